"""How threads that find the queue's lock taken wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import EventBus
from selfheal.resources import TaskQueue
from selfheal.resources.queue import desk as desks
from selfheal.resources.queue.desk import Desk
from selfheal.resources.queue.options import QueueOptions


class Pauses:
    """Stands in for the pauses of whoever gives way."""

    def __init__(self, desk: Desk, release_at: int = 0) -> None:
        self.desk, self.release_at, self.taken = desk, release_at, 0

    def sleep(self, seconds: float) -> None:
        self.taken += 1
        if self.taken == self.release_at:
            self.desk.lock.release()


def paused(monkeypatch: pytest.MonkeyPatch, release_at: int = 0, **options: str) -> tuple[Desk, Pauses]:
    """A desk whose lock is held, and what counts the pauses."""
    desk = Desk(QueueOptions(**options), SYSTEM_CLOCK, EventBus())  # type: ignore[arg-type]
    pauses = Pauses(desk, release_at)
    monkeypatch.setattr(desks, "SYSTEM_CLOCK", pauses)
    desk.lock.acquire()
    return desk, pauses


def test_the_holder_is_let_run_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody lines up for a lock that is given back in time."""
    desk, pauses = paused(monkeypatch, release_at=3)

    desk.give_way()

    assert (pauses.taken, desk.lock.locked()) == (3, False)


def test_way_is_given_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it longer than that is waited for as for any lock."""
    desk, pauses = paused(monkeypatch)

    desk.give_way()

    assert (pauses.taken, desk.lock.locked()) == (100, True)


def test_around_a_file_threads_line_up_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The holder may wait for the disk."""
    desk, pauses = paused(monkeypatch, path=str(tmp_path / "queue.sqlite"))

    desk.give_way()

    assert pauses.taken == 0


@pytest.mark.parametrize("call", ["put", "take", "ack", "nack"])
def test_a_call_that_finds_the_lock_taken_is_made_all_the_same(call: str) -> None:
    """Held for long or not, the call comes about as soon as the lock is given back."""
    queue = TaskQueue(events=EventBus())
    queue.put("first")
    delivery = queue.take() if call in ("ack", "nack") else None
    steps: dict[str, Callable[[], object]] = {
        "put": lambda: queue.put("second"),
        "take": lambda: queue.take("w"),
        "ack": lambda: delivery and queue.ack(delivery),
        "nack": lambda: delivery and queue.nack(delivery),
    }
    done = threading.Event()

    def run() -> None:
        if steps[call]():
            done.set()

    thread = threading.Thread(target=run)
    with queue._desk.lock:
        thread.start()
        assert not done.wait(0.05)
    thread.join(60)

    assert done.is_set()
