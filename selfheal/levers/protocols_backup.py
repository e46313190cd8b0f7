"""What actions ask of levers on backups. ``selfheal.backup.BackupControl`` serves all three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class BackingUp(Protocol):
    """Makes backups, for ``backup``."""

    def newest(self) -> str:
        """Id of the newest backup; empty where there is none."""

    def backup(self) -> str:
        """Make a backup, or raise; return its id."""


@runtime_checkable
class VerifyingBackups(Protocol):
    """Looks whether backups are sound, for ``verify_backup``."""

    def find(self, which: str, /) -> str:
        """Id of a backup, by id, date or ``"latest"``; raises where there is none."""

    def verify(self, id: str, /) -> Sequence[str]:
        """Read every byte of a backup; return what is wrong with it, in words. Nothing: it is sound."""


@runtime_checkable
class Restoring(Protocol):
    """Puts backups back, for ``restore``."""

    def find(self, which: str, /) -> str:
        """Id of a backup, by id, date or ``"latest"``; raises where there is none."""

    def standing(self) -> tuple[str, str]:
        """Name of the restore that is under way or can be taken back, and the id of its backup; both empty: none."""

    def restore(self, id: str, sections: Sequence[str], /) -> str:
        """Put a backup back, all of it or some sections, and keep what was there; return the name of the restore."""

    def take_back(self) -> None:
        """Put back what was there before the restore that can be taken back."""
