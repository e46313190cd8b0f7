"""What the journal raises. Whoever could not write an entry must not act on it."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class JournalError(SelfhealError):
    """The journal cannot be written or read. What was to be written is not in it.

    Attributes:
        journal: the file.
        why: what went wrong, in words.
    """

    def __init__(self, journal: str, why: str) -> None:
        super().__init__(journal, why)
        self.journal = journal
        self.why = why

    def __str__(self) -> str:
        return f"journal {self.journal}: {self.why}."


class EntryRefusedError(JournalError, ValueError):
    """An entry holds what a line of the journal cannot. Nothing was written.

    Attributes:
        journal: the file.
        entry: type of the entry.
        why: which field, and what is the matter with it.
    """

    def __init__(self, journal: str, entry: str, why: str) -> None:
        super().__init__(journal, why)
        self.args = (journal, entry, why)
        self.entry = entry

    def __str__(self) -> str:
        return f"journal {self.journal}: entry {self.entry!r} was not written: {self.why}."


class JournalObservedError(JournalError):
    """Another process, or another Journal of this one, writes the journal. This one only looks on.

    Attributes:
        journal: the file.
        holder: process id of the writer, or ``None`` where it is not known.
        why: the same in words.
    """

    def __init__(self, journal: str, holder: int | None = None) -> None:
        super().__init__(journal, f"written by {'another process' if holder is None else f'process {holder}'}")
        self.args = (journal, holder)
        self.holder = holder

    def __str__(self) -> str:
        return f"journal {self.journal} is {self.why}: nothing was written. Ask try_to_write() whether that one ended."
