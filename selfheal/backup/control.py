"""Backups as a lever: what healings make, verify and put back by the actions of these names."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.backup.restoring.restorer import Restorer
from selfheal.backup.store import BackupStore
from selfheal.backup.verifying import verify
from selfheal.errors import BackupError


class BackupControl:
    """A lever for the actions ``backup``, ``verify_backup`` and ``restore``.

    Args:
        store: with its sections.
        restorer: puts backups back, and keeps what was there (``keep_previous=True``), so that it can be taken back;
            without one nothing is put back.
    """

    def __init__(self, store: BackupStore, restorer: Restorer | None = None) -> None:
        self._store = store
        self._restorer = restorer

    def __repr__(self) -> str:
        return f"BackupControl({self._store!r})"

    def newest(self) -> str:
        """Id of the newest backup; empty where there is none."""
        names = self._store.names() if self._store.directory.exists() else []
        return names[-1] if names else ""

    def backup(self) -> str:
        """Make a backup; return its id. Raises as :meth:`~selfheal.backup.BackupStore.create`."""
        return self._store.create().id

    def find(self, which: str) -> str:
        """Id of a backup. Raises as :meth:`~selfheal.backup.BackupStore.get`."""
        return self._store.get(which).id

    def verify(self, id: str) -> list[str]:
        """Read every byte of a backup; return what is wrong with it, in words."""
        found = verify(self._store, id, "deep").damages
        return [f"{one.section}/{one.path} {one.kind}" if one.section else f"{one.path} {one.kind}" for one in found]

    def standing(self) -> tuple[str, str]:
        """Name and backup of the restore that is under way or kept; empty if there is none."""
        pending = None if self._restorer is None else self._restorer.pending
        return ("", "") if pending is None else (pending.run, pending.backup)

    def restore(self, id: str, sections: Sequence[str]) -> str:
        """Put a backup back, and keep what was there.

        Raises:
            RestoreError: if that was refused or failed.
            BackupError: if there is nothing to restore by.
        """
        restorer = self._need()
        return restorer.restore(restorer.plan(id, sections=list(sections) or None)).run

    def take_back(self) -> None:
        """Put back what was there before the restore that is kept.

        Raises:
            RestoreError: if none is kept, or it cannot be done.
            BackupError: if there is nothing to restore by.
        """
        self._need().rollback("its healing was undone")

    def _need(self) -> Restorer:
        if self._restorer is None:
            raise BackupError(str(self._store.directory), "no Restorer was given: nothing can be put back")
        return self._restorer
