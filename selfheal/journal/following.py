"""The journal as it grows."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.journal.entry import Entry
from selfheal.journal.lines import ReadReport, read_lines
from selfheal.journal.places import is_at
from selfheal.journal.reader import Reading, limit_of, newest, open_to_read, read_rotated
from selfheal.journal.selecting import Selection

_MARK = 11
"""Bytes at the end of a line that tell it from others: its checksum."""


def follow(
    path: Path | str,
    *,
    since: float | None = None,
    types: Collection[str] | str | None = None,
    strategy: str | None = None,
    target: str | None = None,
    run: str | None = None,
    limit: int | None = 0,
    poll: float = 0.2,
    clock: Clock = SYSTEM_CLOCK,
    stop: Callable[[], bool] | None = None,
) -> Reading:
    """Give each entry as it is written, without end: across rotations, and before there is a journal at all.

    Args:
        path: the file that is being written, as the writer names it.
        since: as for :func:`~selfheal.journal.read_journal`, and so for the others.
        types: only entries of these types.
        strategy: only entries of this strategy.
        target: only entries of this target.
        run: only entries of this run.
        limit: so many of the newest entries that are there already come first; ``None``: all of them.
        poll: seconds between two looks at the file.
        clock: what is waited by.
        stop: asked before each wait; true ends it.

    Raises:
        ConfigError: if ``limit`` is negative.
        JournalError: on the way, if a file cannot be read.
    """
    selection = Selection(since=since, types=types, strategy=strategy, target=target, run=run)
    report = ReadReport()
    follower = _Follower(Path(path).absolute(), report)

    def entries() -> Iterator[Entry]:
        try:
            there = selection.of(follower.more())
            yield from there if limit is None else newest(there, limit)
            while stop is None or not stop():
                clock.sleep(poll)
                yield from selection.of(follower.more())
        finally:
            follower.close()

    if limit is not None:
        limit_of(limit)
    return Reading(entries(), report)


class _Follower:
    """Where somebody is in a journal.

    Args:
        path: the file that is being written.
        report: written into.
    """

    def __init__(self, path: Path, report: ReadReport) -> None:
        self._path = path
        self._report = report
        self._fd: int | None = None
        self._offset = 0
        self._mark = b""
        self._seq = 0
        self._fresh = True

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def more(self) -> Iterator[Entry]:
        """What was written since the last time."""
        while self._fd is not None:
            still = is_at(self._fd, self._path)  # asked before it is read: nothing is added to it after a rotation
            yield from self._rest(self._fd)
            if still:
                return
            self.close()
            self._fresh = True
        self._fd = open_to_read(self._path)
        self._offset, self._mark = 0, b""
        for entry in read_rotated(self._path, self._report, self._fd, after=self._seq):
            yield from self._if_new(entry)
        if self._fd is not None:
            self._report.files += 1
            yield from self._rest(self._fd)

    def _rest(self, fd: int) -> Iterator[Entry]:
        if self._mark != os.pread(fd, _MARK, max(0, self._offset - _MARK)):  # the last line was taken back
            self._offset = 0
        for entry, after in read_lines(fd, self._offset, self._report):
            self._offset = after
            if entry is not None:
                yield from self._if_new(entry)
        self._mark = os.pread(fd, min(_MARK, self._offset), max(0, self._offset - _MARK))

    def _if_new(self, entry: Entry) -> Iterator[Entry]:
        if self._fresh and entry.seq == 1:  # everything was removed, and it begins anew
            self._seq = 0
        self._fresh = False
        if entry.seq > self._seq:
            self._seq = entry.seq
            yield entry
