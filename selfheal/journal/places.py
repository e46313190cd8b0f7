"""The files of one journal: the one being written, those rotated away, the lock, and what was cut."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import attrs

from selfheal.journal.entry import Entry, decode, salvage

_WINDOW = 131_072
_KEPT_TORN = 1_048_576
_MODE = 0o640


class Rotated(NamedTuple):
    """A file that was rotated away."""

    number: int
    path: Path


@attrs.frozen
class Places:
    """Where the files of a journal are.

    Args:
        path: the file being written.
    """

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the writer."""
        return self.path.with_name(self.path.name + ".lock")

    @property
    def torn(self) -> Path:
        """Unfinished lines that were cut off."""
        return self.path.with_name(self.path.name + ".torn")

    @property
    def next(self) -> Path:
        """An empty file that is about to be the one being written."""
        return self.path.with_name(self.path.name + ".next")

    def rotated(self) -> list[Rotated]:
        """The rotated files, oldest first. Each bears the number of its last entry, and keeps that name.

        Raises:
            OSError: if the directory cannot be read.
        """
        named = re.compile(re.escape(self.path.name) + r"\.([0-9]{12,})")
        names = os.listdir(self.path.parent)
        found = [(match, name) for name in names if (match := named.fullmatch(name)) is not None]
        return sorted(Rotated(int(match[1]), self.path.with_name(name)) for match, name in found)

    def named(self, number: int) -> Path:
        """The rotated file whose last entry has this number."""
        return self.path.with_name(f"{self.path.name}.{number:012d}")


def open_to_append(path: Path, *, anew: bool = False) -> int:
    """Open a journal file, making it if need be; ``anew`` empties it.

    Raises:
        OSError: if it cannot be opened, or is no regular file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_TRUNC if anew else 0)
    fd = os.open(path, flags, _MODE)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no regular file")
    return fd


def is_at(fd: int, path: Path) -> bool:
    """Whether the open file is (still) the one at this path."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def take_lock(path: Path) -> int | None:
    """Take the lock for as long as the file stays open; ``None`` if somebody has it.

    Raises:
        OSError: if the file cannot be opened.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(fd, path):  # else somebody removed it between the two steps: a lock on nothing
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def release_lock(fd: int) -> None:
    """Give the lock back at once, whoever else has the same open file: a child just forked has, until it closes it."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def holder_of(path: Path) -> int | None:
    """The process that wrote its number into the lock file last."""
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError):
        return None
    return int(text) if text.strip().isdecimal() else None


def cut_torn(fd: int, torn: Path) -> int:
    """Cut what follows the last line end, keeping it aside; return how many bytes that were.

    Raises:
        OSError: if it cannot be kept aside or cut. Then it stays.
    """
    size = os.fstat(fd).st_size
    whole = _end_of_lines(fd, size)
    if whole == size:
        return 0
    aside = os.open(torn, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        if os.fstat(aside).st_size >= _KEPT_TORN:
            os.ftruncate(aside, 0)
        os.write(aside, os.pread(fd, min(size - whole, _KEPT_TORN), whole) + b"\n")
    finally:
        os.close(aside)
    os.ftruncate(fd, whole)
    return size - whole


def _end_of_lines(fd: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _WINDOW)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def last_entry(fd: int) -> tuple[Entry | None, int]:
    """The last whole entry of a file that ends with a line end, and the number of lines after it."""
    size, window = os.fstat(fd).st_size, _WINDOW
    while True:
        start = max(0, size - window)
        lines = os.pread(fd, size - start, start).split(b"\n")[:-1]
        for after, line in enumerate(reversed(lines[1:] if start else lines)):
            entry = decode(line) or max(salvage(line), key=lambda e: e.seq, default=None)
            if entry is not None:
                return entry, after
        if not start:
            return None, len(lines)
        window *= 8
