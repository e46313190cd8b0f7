"""What backing up and restoring raise."""

from __future__ import annotations

from collections.abc import Iterable

from selfheal.errors.base import SelfhealError


class BackupError(SelfhealError):
    """Something about backups did not work out. What was there before is still there.

    Attributes:
        where: the store, the backup or the file it is about.
        why: what went wrong, and what to do, in words.
    """

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        self.why = why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}."


class BackupBusyError(BackupError):
    """Another process, or another thread of this one, writes the store. Nothing was done.

    Attributes:
        where: the store.
        holder: process id of the writer, or ``None`` where it is not known.
        why: the same in words.
    """

    def __init__(self, where: str, holder: int | None = None) -> None:
        told = "somebody else" if holder is None else f"process {holder}"
        super().__init__(where, f"the store is being written by {told}: nothing was done, try again later")
        self.args = (where, holder)
        self.holder = holder


class ReplicationError(BackupError):
    """A copy of a backup elsewhere could not be written, read or believed.

    Attributes:
        where: the place, without secrets.
        why: what went wrong.
    """


class ManifestRefusedError(BackupError):
    """A manifest is not believed. Nothing of it was used.

    Attributes:
        where: the file.
        why: what is the matter with it.
        entry: the name in it that is refused, or empty.
    """

    def __init__(self, where: str, why: str, entry: str = "") -> None:
        super().__init__(where, why)
        self.args = (where, why, entry)
        self.entry = entry

    def __str__(self) -> str:
        named = f"{self.entry!r}: " if self.entry else ""
        return f"manifest {self.where} is refused: {named}{self.why}. Nothing of it was used."


class SectionRefusedError(BackupError):
    """A section cannot be backed up as it is. No backup was made.

    Attributes:
        where: the section.
        why: what is the matter, and what to do.
        paths: the names in it that are the matter; at most 100.
    """

    def __init__(self, where: str, why: str, paths: Iterable[str] = ()) -> None:
        super().__init__(where, why)
        self.paths = tuple(paths)
        self.args = (where, why, self.paths)

    def __str__(self) -> str:
        named = f" ({', '.join(map(ascii, self.paths[:10]))})" if self.paths else ""
        return f"section {self.where!r}: {self.why}{named}. No backup was made."
