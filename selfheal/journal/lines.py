"""Whole lines of a file that may be written at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

from selfheal.journal.entry import Entry, decode, salvage

_BLOCK = 262_144
"""Bytes read at once; four times the longest line there can be."""


@attrs.define(kw_only=True)
class ReadReport:
    """What was found on the way through a journal.

    Args:
        entries: whole entries read, those included that were not asked for.
        damaged: lines that are not as they were written, and so were passed over.
        missing: numbers between those of entries read that no entry has: damaged, or removed with a file.
        torn: bytes after the last line end: an entry being written, or that a crash left unfinished.
        files: files read.
        last_seq: number of the last entry read; 0 where there is none.
    """

    entries: int = 0
    damaged: int = 0
    missing: int = 0
    torn: int = 0
    files: int = 0
    last_seq: int = 0

    def count(self, entry: Entry) -> None:
        """Count an entry that was read."""
        if self.last_seq and entry.seq > self.last_seq + 1:
            self.missing += entry.seq - self.last_seq - 1
        self.last_seq = entry.seq
        self.entries += 1


def read_lines(fd: int, offset: int, report: ReadReport, end: int | None = None) -> Iterator[tuple[Entry | None, int]]:
    """The entries from ``offset`` to ``end``, or as far as the file goes when this begins.

    Each time it is read anew from the beginning of a line: what was seen of an unfinished one is never relied on,
    because the writer may take it back and write another in its place.

    Args:
        fd: the file.
        offset: where a line begins.
        report: written into.
        end: where to end; the size of the file by default.

    Yields:
        An entry, and where the line after it begins; ``None`` for the entry where only the place is news.

    Raises:
        OSError: if the file cannot be read.
    """
    end = os.fstat(fd).st_size if end is None else end
    report.torn = 0
    while offset < end:
        block = os.pread(fd, min(_BLOCK, end - offset), offset)
        whole = block.rfind(b"\n") + 1
        if not whole and len(block) < _BLOCK:
            report.torn = len(block)
            return
        if not whole:
            report.damaged += 1
            offset = _next_line(fd, offset + len(block), end)
            continue
        start = 0
        while start < whole:
            stop = block.index(b"\n", start)
            for entry in _entries_of(block[start:stop], fd, offset + start, report):
                report.count(entry)
                yield entry, offset + stop + 1
            start = stop + 1
        offset += whole
        yield None, offset


def _entries_of(line: bytes, fd: int, start: int, report: ReadReport) -> Iterator[Entry]:
    entry = decode(line)
    if entry is None and os.pread(fd, len(line), start) != line:  # read while it was taken back and written anew
        line = os.pread(fd, len(line), start)
        entry = decode(line)
    if entry is not None:
        yield entry
        return
    report.damaged += 1
    yield from salvage(line)


def _next_line(fd: int, offset: int, end: int) -> int:
    while offset < end:
        block = os.pread(fd, min(_BLOCK, end - offset), offset)
        found = block.find(b"\n")
        if found >= 0 or not block:
            return offset + found + 1 if block else end
        offset += len(block)
    return end
