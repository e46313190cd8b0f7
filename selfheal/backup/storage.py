"""The directory of a store: who writes it, what a crash left in it, and and new files in it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from selfheal.backup.paths import open_root, remove_tree
from selfheal.errors import BackupBusyError

logger = logging.getLogger("selfheal.backup")

LOCK_NAME = ".lock"
PARTIAL = ".partial-"
REMOVING = ".removing-"
_MODE = 0o700


def make_directory(path: Path) -> None:
    """Make the directory of a store, for its owner alone, if it is not there.

    Raises:
        OSError: if it cannot be made.
    """
    path.mkdir(mode=_MODE, parents=True, exist_ok=True)


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Be the one who writes the store.

    Raises:
        BackupBusyError: if another is.
        OSError: if the lock cannot be opened.
    """
    fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            raise BackupBusyError(str(directory), int(holder) if holder.isdecimal() else None) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
        try:
            yield
        finally:
            os.ftruncate(fd, 0)
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def clean(directory: Path) -> tuple[str, ...]:
    """Remove what a crash left half made or half removed, and say what that was. Only for who holds the lock.

    Raises:
        OSError: if something cannot be removed.
    """
    fd = open_root(directory)
    try:
        left = sorted(name for name in os.listdir(fd) if name.startswith((PARTIAL, REMOVING)))
        for name in left:
            logger.warning("backups %s: %s was left by a crash, and is removed", directory, name)
            remove_tree(fd, name)
    finally:
        os.close(fd)
    return tuple(left)


def write_file(directory: int, name: str, content: bytes, *, mode: int = 0o600) -> None:
    """Write a new file in an open directory; it is on the disk when this returns.

    Raises:
        OSError: if it cannot be written, or there is one.
    """
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=directory)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
