"""The journal as anybody may read it, while it is written and rotated."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

from selfheal.errors import ConfigError, JournalError
from selfheal.journal.entry import Entry
from selfheal.journal.lines import ReadReport, read_lines
from selfheal.journal.places import Places
from selfheal.journal.selecting import Selection

__all__ = ["ReadReport", "Reading", "read_journal"]


class Reading(Iterator[Entry]):
    """The entries of a journal, oldest first, and what was found wrong on the way.

    Args:
        entries: gives them.
        report: what the one who gives them writes into; complete once they are all given.
    """

    def __init__(self, entries: Iterator[Entry], report: ReadReport) -> None:
        self._entries = entries
        self.report = report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)


def read_journal(
    path: Path | str,
    *,
    since: float | None = None,
    types: Collection[str] | str | None = None,
    strategy: str | None = None,
    target: str | None = None,
    run: str | None = None,
    limit: int | None = None,
) -> Reading:
    """Read the entries that were in a journal when reading began, oldest first, across its rotated files.

    Needs no lock and disturbs nobody. An unfinished line at the end is left alone; a damaged one is passed over and
    counted, and all others are read. Where there is no journal there are no entries. Nothing is opened before the
    first entry is asked for.

    Args:
        path: the file that is being written, as the writer names it.
        since: only entries written at this time (wall seconds) or later.
        types: only entries of these types, or of this one.
        strategy: only entries with this value in the field ``strategy``; one without the field goes by what an
            entry before it, of the same ``run``, had there.
        target: the same for ``target``.
        run: only entries with this value in the field ``run``.
        limit: only the newest so many; ``None``: all of them.

    Raises:
        ConfigError: if ``limit`` is negative.
        JournalError: on the way, if a file cannot be read.
    """
    selection = Selection(since=since, types=types, strategy=strategy, target=target, run=run)
    report = ReadReport()
    entries = selection.of(_chain(Path(path).absolute(), report))
    return Reading(entries if limit is None else newest(entries, limit_of(limit)), report)


def limit_of(limit: object) -> int:
    """The limit, if it is one.

    Raises:
        ConfigError: if it is not.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ConfigError("limit", limit, "an integer of 0 or more, or None")
    return limit


def newest(entries: Iterator[Entry], limit: int) -> Iterator[Entry]:
    """The last so many of them; all are taken before the first is given."""
    yield from deque(entries, limit)


def _chain(path: Path, report: ReadReport) -> Iterator[Entry]:
    """Entries of all files, oldest first.

    The file being written is opened before the others are looked for: should it be rotated meanwhile, it is known
    by its identity, and whatever is newer than it was written after reading began.
    """
    current = open_to_read(path)
    try:
        end = None if current is None else os.fstat(current).st_size
        yield from read_rotated(path, report, current)
        if current is not None:
            yield from _entries(path, current, report, end)
    finally:
        if current is not None:
            os.close(current)


def read_rotated(path: Path, report: ReadReport, current: int | None, *, after: int = 0) -> Iterator[Entry]:
    """Entries of the files that were rotated away, oldest first.

    Args:
        path: the file that is being written.
        report: written into.
        current: where to stop, should it have been rotated away meanwhile; an open file.
        after: files whose last entry has at most this number are passed over.

    Raises:
        JournalError: if a file cannot be read.
    """
    for number, name in _rotated(path):
        fd = open_to_read(name) if number > after else None
        if fd is None:  # too old, and perhaps removed meanwhile
            continue
        try:
            if current is not None and os.path.sameopenfile(current, fd):
                return
            yield from _entries(name, fd, report)
            report.damaged += report.torn > 0  # what was rotated away is finished
            report.torn = 0
        finally:
            os.close(fd)


def _entries(path: Path, fd: int, report: ReadReport, end: int | None = None) -> Iterator[Entry]:
    report.files += 1
    try:
        for entry, _ in read_lines(fd, 0, report, end):
            if entry is not None:
                yield entry
    except OSError as error:
        raise _unreadable(path, error) from error


def _rotated(path: Path) -> list[tuple[int, Path]]:
    try:
        return [(file.number, file.path) for file in Places(path).rotated()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error


def open_to_read(path: Path) -> int | None:
    """Open a file of a journal; ``None`` where there is none.

    Raises:
        JournalError: if it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> JournalError:
    return JournalError(str(path), f"it cannot be read ({error.strerror or error})")
