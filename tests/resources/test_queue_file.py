"""The file of a durable queue: reopened, booted, broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import ConfigError, StateError
from selfheal.events import EventBus
from selfheal.resources import TaskQueue
from selfheal.resources.queue import durable_file
from selfheal.testing import FakeClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the queues of a test live."""
    return tmp_path / "queue.sqlite"


class Opened:
    """Opens queues on one file and closes them all."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.queues: list[TaskQueue] = []

    def __call__(self, clock: FakeClock, **options: Any) -> TaskQueue:
        self.queues.append(TaskQueue("jobs", clock=clock, events=EventBus(), path=self.file, **options))
        return self.queues[-1]


@pytest.fixture
def opened(file: Path) -> Iterator[Opened]:
    """Opens queues on the file."""
    made = Opened(file)
    yield made
    for queue in made.queues:
        queue.close()


def test_everything_survives_the_object(opened: Opened) -> None:
    """Order, age, deliveries, delays, dead letters and speed are found again by the next queue on the file."""
    clock = FakeClock()
    first = opened(clock, visibility=30.0)
    for name in ("held", "low", "high", "dead", "later"):
        first.put(name, priority=2 if name == "low" else 5, delay=50.0 if name == "later" else 0.0)
    held, high = first.take("w"), first.take("w")
    assert held is not None
    assert high is not None
    first.nack(high)
    dead = first.take("w")
    assert dead is not None
    assert dead.payload == "high"
    first.nack(dead)
    first.bury(first.take("w") or dead, "no use")
    first.slow_down(3.0)
    first.close()
    clock.advance(10.0)
    second = opened(clock, visibility=30.0)

    snapshot = second.snapshot()
    assert (snapshot.ready, snapshot.delivered, snapshot.delayed, snapshot.dead) == (2, 1, 1, 1)
    assert (snapshot.slow_factor, snapshot.oldest_wait) == (3.0, 10.0)
    assert second.ack(held)
    assert second.put("next") == 6


def test_a_put_is_in_the_file_when_it_returns(opened: Opened, file: Path) -> None:
    """Another connection sees it at once."""
    opened(FakeClock()).put({"to": "ann"})
    connection = sqlite3.connect(file)
    rows = connection.execute("SELECT payload FROM tasks").fetchall()
    connection.close()

    assert rows == [('{"payload":{"to":"ann"}}',)]


def test_a_boot_moves_all_moments(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a boot the clock begins anew: ages and delays go on where they stood, and nobody holds a task any more."""
    before = FakeClock(start=90_000.0)
    first = opened(before, age_step=1.0)
    first.put("old", priority=0)
    before.advance(5.0)
    first.put("held", priority=9)
    first.put("later", delay=40.0)
    assert first.take("w") is not None
    first.close()
    monkeypatch.setattr(durable_file, "boot_id", lambda: "another boot")
    clock = FakeClock(start=50.0)
    queue = opened(clock, age_step=1.0)

    assert queue.snapshot().oldest_wait == pytest.approx(5.0)
    delivery = queue.take("x")
    assert delivery is not None
    assert (delivery.payload, delivery.delivery_count) == ("held", 2)
    again = queue.take("x")
    assert again is not None
    assert (again.payload, again.delivery_count) == ("old", 1)
    clock.advance(39.9)
    assert queue.snapshot().delayed == 1
    clock.advance(0.1)
    later = queue.take("x")
    assert later is not None
    assert later.payload == "later"


def test_a_clock_that_went_back_is_another_boot(opened: Opened) -> None:
    """Where the system names no boot, a monotonic clock behind the file's last moment tells of one."""
    first = opened(FakeClock(start=5_000.0))
    first.put("x")
    assert first.take("w") is not None
    first.close()

    assert opened(FakeClock(start=10.0)).take("v") is not None


@pytest.mark.parametrize("payload", [float("nan"), object(), {1, 2}, (1, 2), {1: "x"}, b"x"])
def test_what_json_has_not_is_refused(opened: Opened, payload: object) -> None:
    """A payload that would not read back as it was is not put."""
    queue = opened(FakeClock())
    with pytest.raises(StateError, match="queue jobs"):
        queue.put(payload)

    assert queue.snapshot().size == 0


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """It may be a volume that was not mounted: it is not made."""
    with pytest.raises(StateError, match=r"the directory .* does not exist"):
        TaskQueue(path=tmp_path / "no" / "queue.sqlite")


def test_a_file_that_is_no_database_is_told(file: Path) -> None:
    """It is left as it is."""
    file.write_text("this is no database, it is a shopping list\n" * 100)
    with pytest.raises(StateError, match="not a database"):
        TaskQueue(path=file)

    assert "shopping" in file.read_text()


def test_a_file_of_another_version_is_told(opened: Opened, file: Path) -> None:
    """A format this version does not know is not touched."""
    opened(FakeClock()).put(1)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE queue SET version = 99")
    connection.commit()
    connection.close()

    with pytest.raises(StateError, match="format 99, this one reads 1"):
        opened(FakeClock())


def test_a_failed_write_changes_nothing(opened: Opened, file: Path) -> None:
    """A put that cannot be written raises, is not there, and the queue goes on when it can be again."""
    queue = opened(FakeClock())
    queue.put(1)
    connection = sqlite3.connect(file)
    connection.execute("CREATE TRIGGER no BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    connection.commit()
    with pytest.raises(StateError, match="disk full"):
        queue.put(2)
    connection.execute("DROP TRIGGER no")
    connection.commit()
    connection.close()

    assert queue.put(3) == 2
    assert queue.snapshot().size == 2


def test_the_file_is_write_ahead(opened: Opened, file: Path) -> None:
    """Readers do not hold up writers."""
    opened(FakeClock()).put(1)
    with open(file, "rb") as stream:
        header = stream.read(20)

    assert (header[18], header[19]) == (2, 2)


def test_a_path_of_any_kind_will_do(file: Path) -> None:
    """Text and path objects name the same file; a name that is none is refused."""
    queue = TaskQueue(path=str(file))
    queue.put(1)
    queue.close()
    again = TaskQueue(path=file)
    assert again.snapshot().size == 1
    again.close()

    with pytest.raises(ConfigError, match=r"QueueOptions\.path"):
        TaskQueue(path="a\0b")
