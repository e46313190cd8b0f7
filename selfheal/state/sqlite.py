"""Records in one SQLite file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, StateError
from selfheal.state.store import decode, encode

if TYPE_CHECKING:
    import sqlite3

_BUSY = 5.0
"""Seconds to wait for another process or thread that is writing."""
_TABLE = "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"


class SQLiteStore:
    """A :class:`~selfheal.state.Store` in a file: it survives restarts, crashes and a loss of power.

    Several threads and processes may use the file at once (write-ahead log, full synchronisation). No
    connection is kept between calls, so that a fork inherits none; a call costs less than a
    millisecond, a write plus one flush to the disk. The file is made at the first write.

    Args:
        path: the file. Its directory must exist: that it is missing is an error and not an empty store,
            because it may be a volume that was not mounted.

    Raises:
        ConfigError: if ``path`` is no path to a file.
    """

    def __init__(self, path: Path | str) -> None:
        if not str(path).strip() or str(path) == ":memory:":
            raise ConfigError("SQLiteStore.path", path, "a path to a file (MemoryStore is for memory)")
        self.path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record, ``None`` where there is none.

        Raises:
            StateError: if the file cannot be read, or what is stored there is no record.
        """
        with self._told(key):
            if not self._exists(key):
                return None
            with self._connected() as connection:
                row = self._select(connection, key)
        return None if row is None else decode(str(self.path), key, row[0])

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write the record, in place of the one there may be. It is on the disk when this returns.

        Raises:
            StateError: if the file cannot be written, or the record is not made of what JSON has.
        """
        text = encode(str(self.path), key, record)
        with self._told(key), self._connected() as connection:
            self._prepare(connection)
            connection.execute(
                "INSERT INTO records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record",
                (key, text),
            )

    def delete(self, key: str) -> None:
        """Forget the record. Does nothing where there is none.

        Raises:
            StateError: if the file cannot be written.
        """
        with self._told(key):
            if not self._exists(key):
                return
            with self._connected() as connection:
                self._prepare(connection)
                connection.execute("DELETE FROM records WHERE key = ?", (key,))

    def _exists(self, key: str) -> bool:
        try:
            self.path.stat()
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise StateError(str(self.path), key, "the directory of the file does not exist") from None
            return False
        return True

    @contextlib.contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Say everything that goes wrong with the file as a :class:`StateError`."""
        import sqlite3

        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, OSError, UnicodeError) as error:
            raise StateError(str(self.path), key, f"{type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        import sqlite3

        connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            connection.close()

    def _select(self, connection: sqlite3.Connection, key: str) -> Any:
        import sqlite3

        try:
            return connection.execute("SELECT record FROM records WHERE key = ?", (key,)).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # another process has just made the file, or died doing so
                return None
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            _insist(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute(_TABLE)


def _insist(step: Callable[[], object]) -> None:
    """Repeat a step that SQLite refuses at once, without its own waiting, while another process does the same."""
    import sqlite3

    end = SYSTEM_CLOCK.monotonic() + _BUSY
    while True:
        try:
            step()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or SYSTEM_CLOCK.monotonic() > end:
                raise
        SYSTEM_CLOCK.sleep(0.01)
