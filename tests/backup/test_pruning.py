"""Removing what nothing keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import BackupStore, Section, VerificationRecord
from selfheal.backup.pruning import plan_pruning, proven, prune
from selfheal.backup.records import append_record
from selfheal.backup.retention import Retention
from selfheal.errors import BackupBusyError
from selfheal.testing import FakeClock

DAY = 86_400.0
TWO = Retention(daily=2, weekly=0, monthly=0)


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """Dies at the step of a number.

    Args:
        place: how many steps it lives through.
    """

    def __init__(self, place: int) -> None:
        self._left = place

    def __call__(self, name: str) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1


def store_of(directory: Path, count: int, **options: Any) -> BackupStore:
    """A store with a backup a day."""
    directory.mkdir(exist_ok=True)
    (directory / "app.toml").write_text("size = 3")
    clock = FakeClock()
    store = BackupStore(directory / "backups", [Section("config", directory / "app.toml")], clock=clock, **options)
    for _ in range(count):
        store.create()
        clock.advance(DAY)
    return store


def record(id: str, *, ok: bool = True, kind: str = "deep") -> VerificationRecord:
    """A verification."""
    return VerificationRecord(id, kind, 0.0, ok, {})


def test_what_is_old_goes_and_the_last_proven_stays(tmp_path: Path) -> None:
    """Of five days the last two stay, and the one that is proven; the plan tells it before."""
    store = store_of(tmp_path, 5)
    first, second, *_, last = store.names()
    append_record(store.directory, record(second))
    plan = plan_pruning(store, TWO)
    assert len(store.names()) == 5

    pruned = prune(store, TWO)

    assert pruned.plan == plan
    assert pruned.removed[0] == first
    assert store.names() == [second, *[name for name in store.names() if name > second]]
    assert len(store.names()) == 3
    assert store.names()[-1] == last
    assert not [path for path in store.directory.iterdir() if path.name.startswith((".removing", ".partial"))]


def test_pinned_ones_stay(tmp_path: Path) -> None:
    """Whatever their age."""
    store = store_of(tmp_path, 4)
    first = store.names()[0]
    assert first not in prune(store, TWO, pinned=[first]).removed
    assert first in store.names()


def test_proven_is_what_was_read_whole_and_not_found_wrong_since() -> None:
    """A quick look proves nothing; damage found by any look takes it back, and a whole look gives it again."""
    assert proven([record("a"), record("b", kind="quick"), record("c", kind="restore")]).keys() == {"a", "c"}
    assert proven([record("a"), record("a", ok=False, kind="quick")]) == {}
    assert proven([record("a", ok=False), record("a", kind="quick")]) == {}
    assert proven([record("a", ok=False), record("a")]) == {"a": 0.0}


def test_all_parts_of_a_rolling_one_prove_too() -> None:
    """Each part once, none of it damaged in between; parts of another number of parts do not count."""
    parts = [VerificationRecord("a", "rolling", float(part), True, {}, share=3, part=part) for part in range(3)]
    other = VerificationRecord("a", "rolling", 9.0, True, {}, share=2, part=1)
    assert proven([*parts[:2], other]) == {}
    assert proven(parts) == {"a": 2.0}
    assert proven([*parts[:2], record("a", ok=False), parts[2]]) == {}


def test_cut_off_anywhere_each_backup_is_whole_or_out_of_sight(tmp_path: Path) -> None:
    """At every step that a process may die at; the next one finishes it."""
    steps: list[str] = []
    store = store_of(tmp_path / "named", 4, step=steps.append)
    steps.clear()
    prune(store, TWO)
    names = list(steps)
    assert sum(name.startswith("hidden") for name in names) == 2
    for place in range(len(names)):
        dying = store_of(tmp_path / str(place), 4)
        dying.step = Dying(place)
        with pytest.raises(Killed):
            prune(dying, TWO)
        dying.step = lambda name: None
        for one in dying.names():
            assert (dying.path(one) / "hashes.json").exists()
            assert (dying.path(one) / "data" / "config" / "app.toml").read_text() == "size = 3"
        assert dying.names()[-2:] == sorted(dying.names())[-2:]
        prune(dying, TWO)
        assert len(dying.names()) == 2
        assert not [path for path in dying.directory.iterdir() if path.name.startswith(".removing")]


def test_one_that_cannot_be_removed_is_told_and_the_others_go(tmp_path: Path) -> None:
    """An error of one is no error of all."""
    store = store_of(tmp_path, 4)
    first = store.names()[0]

    def fail(name: str) -> None:
        if name == f"remove {first}":
            raise PermissionError(13, "not yours")

    store.step = fail
    pruned = prune(store, TWO)
    assert list(pruned.problems) == [first]
    assert "not yours" in pruned.problems[first]
    assert len(pruned.removed) == 1
    assert first in store.names()


def test_while_another_writes_nothing_is_removed(tmp_path: Path) -> None:
    """A backup under way elsewhere is not run into."""
    store = store_of(tmp_path, 4)
    with store.writing(), pytest.raises(BackupBusyError):
        prune(BackupStore(store.directory), TWO)
    assert len(store.names()) == 4
