"""The SQLite file of a durable queue: its tables, its connection, and time that outlives a reboot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import StateError
from selfheal.processes import boot_id
from selfheal.resources.queue.options import QueueOptions

if TYPE_CHECKING:
    import sqlite3

VERSION = 1
_BUSY = 30.0
"""Seconds to wait for another process or thread that is writing."""
_BACK = 1.0
"""Seconds that a file's last moment may lie ahead of now before that is taken for another boot's clock."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT NOT NULL, priority INTEGER NOT NULL,
        criticality TEXT NOT NULL, critical INTEGER NOT NULL, since REAL NOT NULL, key REAL NOT NULL,
        state INTEGER NOT NULL, due REAL NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
        generation INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '', dedup TEXT,
        reason TEXT NOT NULL DEFAULT '', buried_at REAL NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS ready ON tasks (critical, key, id) WHERE state = 0",
    "CREATE INDEX IF NOT EXISTS leased ON tasks (due, id) WHERE state = 1",
    "CREATE INDEX IF NOT EXISTS delayed ON tasks (due, id) WHERE state = 2",
    "CREATE INDEX IF NOT EXISTS dead ON tasks (buried_at, id) WHERE state = 3",
    "CREATE INDEX IF NOT EXISTS sheddable ON tasks (id) WHERE state = 0 AND criticality = 'sheddable'",
    "CREATE UNIQUE INDEX IF NOT EXISTS dedup ON tasks (dedup) WHERE dedup IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS queue (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, boot TEXT NOT NULL, stamp REAL NOT NULL,
        size INTEGER NOT NULL DEFAULT 0, factor REAL NOT NULL DEFAULT 1, slot REAL NOT NULL DEFAULT -1e300,
        run INTEGER NOT NULL DEFAULT 0)""",
)


class QueueFile:
    """One process's connection to the file. Calls come one at a time.

    All moments in the file are monotonic seconds: on one machine they are the same for all processes, until it
    boots. After a boot the first to open the file moves them, so that ages and waits go on where they stood.

    Args:
        options: of the queue.
        now: monotonic seconds.
    """

    def __init__(self, options: QueueOptions, now: float) -> None:
        self.path = Path(options.path or "").absolute()
        self._synchronous = options.synchronous.upper()
        self._name = options.name
        self._connection: sqlite3.Connection | None = None
        with self.writing() as connection:
            self._prepare(connection, now)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Say everything that goes wrong with the file as a :class:`~selfheal.errors.StateError`."""
        import sqlite3

        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, OSError, UnicodeError, OverflowError) as error:
            raise StateError(str(self.path), f"queue {self._name}", f"{type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for single reads."""
        with self.told():
            yield self._connection or self._connect()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is in the file when this ends, or nothing."""
        with self.told():
            connection = self._connection or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file until the next call."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connection alone, closing it here could harm the parent's."""
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the directory {self.path.parent} does not exist")
        connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._use_wal(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switch to the write-ahead log. SQLite refuses at once, without its own waiting, while another does it."""
        import sqlite3

        end = SYSTEM_CLOCK.monotonic() + _BUSY
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or SYSTEM_CLOCK.monotonic() > end:
                    raise
                SYSTEM_CLOCK.sleep(0.01)

    def _prepare(self, connection: sqlite3.Connection, now: float) -> None:
        for statement in _TABLES:
            connection.execute(statement)
        boot = boot_id()  # where there is none, a clock that went back tells of most boots
        row: Any = connection.execute("SELECT version, boot, stamp FROM queue").fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO queue (one, version, boot, stamp) VALUES (1, ?, ?, ?)", (VERSION, boot, now)
            )
            return
        version, old_boot, stamp = row
        if version != VERSION:
            raise OSError(f"it was written by another version of selfheal (format {version}, this one reads {VERSION})")
        if old_boot != boot or stamp > now + _BACK:
            self._rebase(connection, boot, now, now - stamp)

    def _rebase(self, connection: sqlite3.Connection, boot: str, now: float, shift: float) -> None:
        """Move all moments to this boot's clock. Whoever held a task then is gone."""
        connection.execute("UPDATE tasks SET since = since + ?, key = key + ?, due = due + ?", (shift, shift, shift))
        connection.execute("UPDATE tasks SET due = ? WHERE state = 1", (now,))
        connection.execute("UPDATE queue SET boot = ?, stamp = ?, slot = slot + ?", (boot, now, shift))


_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process, kept so that this one never closes them."""
