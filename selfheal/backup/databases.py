"""SQLite databases copied by SQLite: one state of the database, whoever writes it meanwhile."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from typing import TYPE_CHECKING

from selfheal.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"
COMPANIONS = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside a database: part of it while it is open, and of no copy."""
_SMALLEST_PAGE = 512
_PAGES = 2_000
_PATIENCE = 30.0
"""Seconds to wait for a database that somebody has for himself."""


class DatabaseCopyError(Exception):
    """SQLite did not copy it; nothing was changed.

    Attributes:
        busy: whether it was in use all the time; else it is damaged, encrypted, or left by a crash.
    """

    def __init__(self, why: str, busy: bool) -> None:
        super().__init__(why)
        self.busy = busy


def is_database(fd: int) -> bool:
    """Whether an open file begins like a SQLite database.

    Raises:
        OSError: if it cannot be read.
    """
    return os.pread(fd, len(MAGIC), 0) == MAGIC


def open_here(status: os.stat_result) -> bool:
    """Whether a file is a SQLite database that this process has open.

    Such a file must not be opened and closed beside SQLite: with any descriptor of a file that a process closes, the
    system takes all its locks on that file away, SQLite's too. Then another process may remove the write-ahead log, and
    what is committed here after that is lost. So its first bytes are read by the descriptor that is there.

    Args:
        status: of the file.

    Source: SQLite, "How To Corrupt An SQLite Database File", section 2.2.
    """
    if status.st_size % _SMALLEST_PAGE:
        return False
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return False  # no such system: the page on backups says what to do
    for number in numbers:
        try:
            if os.path.samestat(os.fstat(number), status) and os.pread(number, len(MAGIC), 0) == MAGIC:
                return os.path.samestat(os.fstat(number), status)  # no other file had come in its place
        except OSError:
            continue  # closed meanwhile, or for writing only
    return False


def database_of(name: str) -> str | None:
    """The database that a file belongs to by its name, ``None`` where it does not look so.

    >>> database_of("app.db-wal"), database_of("app.db")
    ('app.db', None)
    """
    return next((name[: -len(end)] for end in COMPANIONS if name.endswith(end) and len(name) > len(end)), None)


def copy_database(source: int, name: str, target: int, new_name: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Copy the database ``name`` of one directory into the empty file ``new_name`` of another.

    What others have committed is in the copy, that in the write-ahead log included. The source is opened for reading
    only; as any reader does, SQLite may make the ``-shm`` file beside a database with a log.

    Raises:
        DatabaseCopyError: if SQLite cannot. The target may hold anything then.
    """
    import sqlite3

    with contextlib.ExitStack() as stack:
        try:
            here = stack.enter_context(contextlib.closing(_connect(source, name, "ro")))
            there = stack.enter_context(contextlib.closing(_connect(target, new_name, "rw")))
            there.execute("PRAGMA journal_mode = OFF")
            there.execute("PRAGMA synchronous = OFF")
            here.execute("BEGIN")
            here.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it is one state, step by step
            here.backup(there, pages=_PAGES, progress=_Patience(clock), sleep=0.05)
        except (sqlite3.Error, sqlite3.Warning) as error:
            busy = "locked" in str(error) or "busy" in str(error)
            raise DatabaseCopyError(f"SQLite: {error}", busy) from error
        except TimeoutError as error:
            raise DatabaseCopyError(str(error), True) from error


def _connect(directory: int, name: str, mode: str) -> sqlite3.Connection:
    import sqlite3

    quoted = urllib.parse.quote(os.fsencode(f"/proc/self/fd/{directory}/{name}"))
    return sqlite3.connect(f"file:{quoted}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None)


class _Patience:
    """Called after each step; without it a database that stays locked is waited for without end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = -1
        self._since = clock.monotonic()

    def __call__(self, status: int, left: int, total: int) -> None:
        now = self._clock.monotonic()
        if left != self._left:
            self._left, self._since = left, now
        elif now - self._since > _PATIENCE:
            raise TimeoutError(f"it was in use for {_PATIENCE:g} s")
