"""The nightly round, and what is told in between."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from selfheal.backup import BackupStore, Section
from selfheal.backup.retention import Retention
from selfheal.backup.routine import BackupRoutine
from selfheal.events import Alert, AlertCleared, Event, EventBus
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

DAY = 86_400.0


class Elsewhere:
    """A place for copies, in memory.

    Args:
        name: what it is known by.
    """

    def __init__(self, name: str = "elsewhere") -> None:
        self.name = name
        self.has: list[str] = []
        self.at: float | None = None
        self.error = ""

    def send(self, store: BackupStore, id: str) -> None:
        """Take a backup."""
        if self.error:
            raise OSError(self.error)
        self.has.append(id)
        self.at = store.get(id).created

    def last_copied(self) -> float | None:
        """When what it has was made."""
        return self.at


class Rig:
    """A host with a file, a store, and a routine.

    Args:
        directory: for all of it.
        wall: what time it is.
        options: of the routine.
    """

    def __init__(self, directory: Path, wall: float = 1_700_000_000.0, **options: Any) -> None:
        self.source = directory / "app.toml"
        self.source.write_text("size = 3")
        self.clock = FakeClock(wall=wall)
        self.events = EventBus()
        self.seen: list[Event] = []
        self.events.subscribe(self.seen.append, inline=True)
        self.before: Callable[[], object] = lambda: None
        section = Section("config", self.source, before=lambda: self.before())
        self.store = BackupStore(directory / "backups", [section], clock=self.clock, events=self.events)
        self.routine = BackupRoutine(self.store, **options)

    def kinds(self) -> list[str]:
        """The kinds of the alerts that are open."""
        return sorted(alert.kind for alert in self.routine.check())

    def damage(self, id: str) -> None:
        """Change one byte."""
        (self.store.path(id) / "data" / "config" / "app.toml").write_text("size = 4")


def test_a_round_makes_proves_copies_and_thins_out(tmp_path: Path) -> None:
    """After ten nights of it there are as many as are kept, the newest is proven, and copies are elsewhere."""
    place = Elsewhere()
    rig = Rig(tmp_path, retention=Retention(daily=3, weekly=0, monthly=0), places=[place])
    for _ in range(10):
        done = rig.routine.run()
        assert (done.ok, done.copied, done.errors) == (True, ("elsewhere",), ())
        rig.clock.advance(DAY)
    assert len(rig.store.names()) == 3
    assert len(place.has) == 10
    assert rig.kinds() == []
    assert (rig.store.directory / "backup_verification_report_latest.md").exists()


def test_when_none_can_be_made_the_last_is_still_looked_at_and_nothing_is_removed(tmp_path: Path) -> None:
    """A hook of the host that fails is told, for as long as it does; older backups stay."""
    rig = Rig(tmp_path, retention=Retention(daily=1, weekly=0, monthly=0))
    rig.routine.run()
    rig.clock.advance(DAY)

    def locked() -> None:
        raise RuntimeError("the database is locked")

    rig.before = locked
    done = rig.routine.run()

    assert done.backup is None
    assert done.verification is not None
    assert done.pruned is None
    assert "the database is locked" in done.errors[0]
    assert rig.kinds() == ["backup_failed"]
    rig.before = lambda: None
    assert rig.routine.run().ok
    assert rig.kinds() == []
    assert [event.fingerprint for event in rig.seen if isinstance(event, AlertCleared)]


def test_what_is_damaged_is_neither_copied_nor_makes_others_go(tmp_path: Path) -> None:
    """A backup that rots while it is made: told, kept apart, and no older one is given up for it."""
    place = Elsewhere()
    rig = Rig(tmp_path, retention=Retention(daily=1, weekly=0, monthly=0), places=[place])
    rig.routine.run()
    first = rig.store.names()[0]
    rig.clock.advance(DAY)
    made = rig.store.create

    def rotten() -> Any:
        record = made()
        rig.damage(record.id)
        return record

    rig.store.create = rotten  # type: ignore[method-assign]
    done = rig.routine.run()

    assert done.verification is not None
    assert done.verification.counts == {"corrupt": 1}
    assert (done.pruned, done.copied) == (None, ())
    assert place.has == [first]
    assert rig.kinds() == ["backup_damaged"]
    assert first in rig.store.names()


def test_a_place_that_fails_is_told_and_the_others_get_theirs(tmp_path: Path) -> None:
    """By name, until a copy has been made there."""
    broken, good = Elsewhere("broken"), Elsewhere("good")
    broken.error = "no route to host"
    rig = Rig(tmp_path, places=[broken, good])
    done = rig.routine.run()
    assert done.copied == ("good",)
    [alert] = rig.routine.check()
    assert (alert.kind, alert.target) == ("replication_failed", "broken")
    broken.error = ""
    rig.clock.advance(60)
    rig.routine.run()
    assert rig.kinds() == []


def test_what_is_overdue_is_raised_again_and_again_as_one_and_cleared_once(tmp_path: Path) -> None:
    """A night without a backup becomes one alert under one fingerprint, and ends with the next backup."""
    rig = Rig(tmp_path)
    rig.routine.run()
    rig.clock.advance(27 * 3600)
    for _ in range(3):
        assert rig.kinds() == ["backup_overdue"]
    raised = [event for event in rig.seen if isinstance(event, Alert)]
    assert len({alert.fingerprint for alert in raised}) == 1
    assert len(raised) == 3
    rig.routine.run()
    assert len([event for event in rig.seen if isinstance(event, AlertCleared)]) == 1


def test_what_is_proven_is_known_after_a_restart(tmp_path: Path) -> None:
    """The store remembers what was found; a new process is not told that nothing was ever proven."""
    rig = Rig(tmp_path)
    rig.routine.run()
    rig.clock.advance(49 * 3600)
    again = BackupRoutine(BackupStore(rig.store.directory, clock=rig.clock, events=rig.events))
    assert [alert.kind for alert in again.check()] == ["backup_overdue"]
    rig.clock.advance(2 * 3600)
    assert sorted(alert.kind for alert in again.check()) == ["backup_overdue", "verification_overdue"]
    assert again.section()["provenAge"] == 51 * 3_600_000


def test_a_store_that_is_gone_is_told(tmp_path: Path) -> None:
    """Where there was a store and is a file now, the round says so and raises nothing."""
    rig = Rig(tmp_path)
    rig.store.directory.write_text("not a directory")
    done = rig.routine.run()
    assert not done.ok
    assert len(done.errors) == 2
    assert "backup_failed" in rig.kinds()


@pytest.mark.parametrize(
    ("made", "runs"),
    [("2025-06-02T03:30", 0), ("2025-06-02T01:00", 1), ("2025-06-01T15:00", 1), ("2025-06-02T15:00", 0), (None, 1)],
)
def test_a_night_that_was_missed_is_made_up_for_once(tmp_path: Path, made: str | None, runs: int) -> None:
    """Registered in the evening of June 2nd: by a run now if that night has no backup, else not until the next."""
    zone = ZoneInfo("Europe/Berlin")
    evening = datetime.datetime(2025, 6, 2, 20, tzinfo=zone).timestamp()
    earlier = evening if made is None else datetime.datetime.fromisoformat(made).replace(tzinfo=zone).timestamp()
    rig = Rig(tmp_path, wall=earlier)
    if made is not None:
        rig.routine.run()
    rig.clock.advance(evening - earlier)
    registry = TaskRegistry(clock=rig.clock, events=rig.events, start=False)
    before = len(rig.store.names()) if made is not None else 0

    ids = rig.routine.register(registry, zone=zone)
    registry.run_due()

    assert ids == ("backup", "backup-check")
    assert len(rig.store.names() if rig.store.directory.exists() else []) - before == runs
    rig.clock.advance(9 * 3600)
    registry.run_due()
    assert len(rig.store.names()) - before == runs + 1
    registry.shutdown()
