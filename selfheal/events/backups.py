"""What happened to backups, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class BackupCreated(Event):
    """A backup was made. That it is sound is what a verification tells.

    Args:
        store: the directory of the backups.
        id: of the backup.
        files: how many are in it.
        size: their bytes, holes included.
        duration: seconds it took.
        skipped: how many things of the sources are not in it.
        unstable: how many files changed each time they were read.
    """

    store: str
    id: str
    files: int
    size: int
    duration: float
    skipped: int = 0
    unstable: int = 0


@attrs.frozen(kw_only=True)
class BackupFailed(Event):
    """No backup was made; those there were are untouched.

    Args:
        store: the directory of the backups.
        error: why, in words.
    """

    store: str
    error: str


@attrs.frozen(kw_only=True)
class BackupVerified(Event):
    """A backup was verified.

    Args:
        store: the directory of the backups.
        id: of the backup.
        kind: ``quick``, ``deep``, ``rolling`` or ``restore``.
        sound: whether nothing was found.
        damages: how many were.
        duration: seconds it took.
    """

    store: str
    id: str
    kind: str
    sound: bool
    damages: int
    duration: float
