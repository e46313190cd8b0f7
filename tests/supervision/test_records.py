"""What a supervisor writes down: whole or not at all, and true after any time."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from selfheal.supervision import records
from selfheal.supervision.records import Pid, read, write
from selfheal.supervision.states import Ending, Memory, WorkerState
from selfheal.testing import FakeClock

MEMORY = Memory(
    state=WorkerState.BACKOFF,
    reason="exit code 1",
    held=True,
    ending=Ending.HUNG,
    restarts=(10.0, 5.0),
    retry_in=4.0,
    uptime=7.0,
    good_seen=True,
    total_restarts=9,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A record comes back as it was, and no draft is left."""
    write(tmp_path / "w.json", MEMORY, Pid(pid=5, started=6), "abc", FakeClock())
    back = read(tmp_path / "w.json")

    assert back is not None
    assert (back.memory, back.process, back.settings) == (MEMORY, Pid(pid=5, started=6), "abc")
    assert back.same_boot
    assert [p.name for p in tmp_path.iterdir()] == ["w.json"]


def test_ages_grow_and_waits_shrink(tmp_path: Path) -> None:
    """Recalled later, restarts are older, the wait is shorter, and it was up for longer."""
    clock = FakeClock()
    write(tmp_path / "w.json", MEMORY, None, "", clock)
    clock.advance(3.0)
    clock.jump(-5000.0)
    back = read(tmp_path / "w.json")

    assert back is not None
    assert back.recalled(clock) == attrs.evolve(MEMORY, restarts=(13.0, 8.0), retry_in=1.0, uptime=10.0)


@pytest.mark.parametrize(("jump", "passed"), [(3.0, 3.0), (-3.0, 0.0)])
def test_after_a_reboot_the_wall_clock_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float, passed: float
) -> None:
    """The monotonic clock of another run of the machine says nothing; a wall clock set back counts as no time."""
    clock = FakeClock()
    write(tmp_path / "w.json", MEMORY, Pid(pid=5, started=6), "", clock)
    monkeypatch.setattr(records, "boot_id", lambda: "another")
    clock.jump(jump)
    back = read(tmp_path / "w.json")

    assert back is not None
    assert not back.same_boot
    assert back.recalled(clock).restarts == (10.0 + passed, 5.0 + passed)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"memory": {"state": "NEW"}}', "\xff", "[" * 100_000])
def test_what_cannot_be_read_counts_for_nothing(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged record is as good as none, and is told in the log."""
    (tmp_path / "w.json").write_bytes(text.encode("latin-1"))

    assert read(tmp_path / "w.json") is None
    assert "counts for nothing" in caplog.text


def test_a_record_of_a_later_version_counts_for_nothing(tmp_path: Path) -> None:
    """Another version is not guessed at."""
    write(tmp_path / "w.json", MEMORY, None, "", FakeClock())
    told = json.loads((tmp_path / "w.json").read_text())
    (tmp_path / "w.json").write_text(json.dumps({**told, "version": 2}))

    assert read(tmp_path / "w.json") is None


def test_no_record_is_none(tmp_path: Path) -> None:
    """A worker never written down has no record."""
    assert read(tmp_path / "none.json") is None
