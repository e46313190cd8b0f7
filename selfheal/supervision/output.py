"""What a worker prints, kept in a bounded number of bounded files.

A worker writes to the file itself, not to a pipe: it neither waits for the supervisor nor dies with it. The supervisor
looks at the size now and then; at the limit it copies the file away and empties it (the worker appends, so it
goes on at the start). What is written between the copy and the emptying, a matter of microseconds, is lost.
"""

from __future__ import annotations

import os
from pathlib import Path

from selfheal.supervision.configs import OutputLimits

LOOK_EVERY = 1.0
"""Seconds between two looks at the size, while it grows slowly."""
LOOK_SOONEST = 0.05
_CHUNK = 1 << 20


class OutputFile:
    """The output of one worker.

    Args:
        path: the file written to; older ones are ``path.1`` (the youngest) and up.
        limits: see :class:`~selfheal.supervision.configs.OutputLimits`.
    """

    def __init__(self, path: Path, limits: OutputLimits) -> None:
        self.path = path
        self.limits = limits
        self.rotations = 0
        self._size = 0
        self._looked = 0.0

    def open(self) -> int:
        """Open it for a worker: appending, private. The caller closes it."""
        if not self.limits.keep:
            return os.open(os.devnull, os.O_WRONLY)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def look(self, now: float) -> float:
        """Rotate it if it is full; return the seconds after which to look again.

        The faster it grows, the sooner: so that it outgrows its limit by little.
        """
        if not self.limits.keep:
            return LOOK_EVERY
        try:
            size = os.stat(self.path).st_size
        except FileNotFoundError:  # a person removed it; the next process makes it anew
            return LOOK_EVERY
        grown, passed = size - self._size, now - self._looked
        if size >= self.limits.max_bytes:
            self.rotate()
            size = 0
        self._size, self._looked = size, now
        if grown <= 0 or passed <= 0:
            return LOOK_EVERY
        return min(max((self.limits.max_bytes - size) / (grown / passed) / 2, LOOK_SOONEST), LOOK_EVERY)

    def rotate(self) -> None:
        """Copy the file away and empty it. Of one far beyond the limit, the end is kept."""
        self.rotations += 1
        for number in range(self.limits.backups - 1, 0, -1):
            older = self._backup(number)
            if older.exists():
                older.replace(self._backup(number + 1))
        with self.path.open("rb+") as full:
            if self.limits.backups:
                self._copy(full.fileno())
            full.truncate(0)

    def tail(self, size: int = 4096) -> str:
        """The last ``size`` bytes as text, across a rotation just done."""
        found = b""
        for path in (self.path, self._backup(1)):
            try:
                with path.open("rb") as file:
                    end = file.seek(0, os.SEEK_END)
                    file.seek(max(end - (size - len(found)), 0))
                    found = file.read(size) + found
            except FileNotFoundError:
                continue
            if len(found) >= size:
                break
        return found[-size:].decode(errors="replace")

    def _backup(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _copy(self, source: int) -> None:
        size = os.fstat(source).st_size
        at = max(size - self.limits.max_bytes, 0)
        target = os.open(self._backup(1), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            while at < size:
                done = os.sendfile(target, source, at, min(size - at, _CHUNK))
                if not done:
                    break
                at += done
        finally:
            os.close(target)
