"""A store for tests: a fake clock, its own bus, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfheal.backup import BackupStore, Entry, Manifest, Section, SectionManifest, Verification
from selfheal.events import EventBus
from selfheal.testing import FakeClock

KEY = b"a key kept outside the store"


def store_at(directory: Path, sections: Sequence[Section] = (), **options: Any) -> BackupStore:
    """A store below ``directory`` that tells nobody else."""
    options.setdefault("clock", FakeClock())
    options.setdefault("events", EventBus())
    return BackupStore(directory, sections, **options)


def found(verification: Verification) -> set[tuple[str, str, str]]:
    """Section, path and kind of each damage; a damage told twice is a failure."""
    told = [(damage.section, damage.path, damage.kind) for damage in verification.damages]
    assert len(told) == len(set(told))
    return set(told)


def manifest_of(*entries: Entry, **options: Any) -> Manifest:
    """A manifest of one section."""
    return Manifest("20260101T000000Z", 5.0, (SectionManifest("data", "/srv/data", entries),), **options)


def file_entry(path: str, **options: Any) -> Entry:
    """An entry of a file."""
    return Entry(path, "file", **{"mode": 0o644, "size": 3, "mtime_ns": 7, "digest": "ab" * 32, **options})


class DiedError(BaseException):
    """Ends a test's work the way SIGKILL would: no ``except Exception`` sees it."""


def dying_at(step: str, times: int = 1) -> Callable[[str], None]:
    """A step hook that dies at the n-th occurrence of a step."""
    left = [times]

    def hook(name: str) -> None:
        if name == step:
            left[0] -= 1
            if not left[0]:
                raise DiedError(step)

    return hook
