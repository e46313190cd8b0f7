"""What became of each request, in SQLite: readable with any tool while the service writes it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id          INTEGER PRIMARY KEY,
    at          REAL NOT NULL,
    document    TEXT NOT NULL,
    size        INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('ok', 'degraded', 'rejected')),
    provider    TEXT NOT NULL,
    error       TEXT NOT NULL,
    duration_ms REAL NOT NULL
)
"""


class NotKeptError(Exception):
    """A request cannot be written down now, so that it must not be acknowledged."""


@attrs.frozen(kw_only=True)
class Entry:
    """One request.

    Args:
        at: wall-clock seconds when it was answered.
        document: what the client called the document.
        size: characters of its text.
        outcome: ``ok`` (the provider answered), ``degraded`` (the local fallback did), ``rejected`` (neither could).
        provider: ``upstream``, ``local`` or empty.
        error: why the provider did not answer; empty when it did.
        duration_ms: how long the client waited.
    """

    at: float
    document: str
    size: int
    outcome: str
    provider: str
    error: str
    duration_ms: float


@attrs.frozen(kw_only=True)
class Tally:
    """How many requests ended how, since some entry.

    Args:
        ok: answered by the provider.
        degraded: answered by the local fallback.
        rejected: not answered.
        last_id: number of the newest entry; 0 when there is none.
    """

    ok: int
    degraded: int
    rejected: int
    last_id: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.ok + self.degraded + self.rejected


class RequestLog:
    """The table of requests.

    An open database can be removed, and SQLite goes on writing into a file that nobody will ever find. So each entry
    asks first whether the file is still the one that was opened: what could not be kept is not acknowledged.

    Args:
        path: the SQLite file; made if it is not there.
        patience: seconds for which an entry waits while the log is paused.
    """

    def __init__(self, path: Path, patience: float = 10.0) -> None:
        self.path = path
        self._patience = patience
        self._lock = threading.Condition()
        self._distrusted = ""
        self._file = (0, 0)
        self._db: sqlite3.Connection | None = self._opened()

    def add(self, entry: Entry) -> int:
        """Keep ``entry``; returns its number. While the log is paused it waits.

        Raises:
            NotKeptError: if it cannot be kept.
        """
        with self._using() as db:
            done = db.execute(
                "INSERT INTO requests (at, document, size, outcome, provider, error, duration_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                attrs.astuple(entry),
            )
            return int(done.lastrowid or 0)

    def tally(self, after: int = 0) -> Tally:
        """Count the entries whose number is greater than ``after``.

        Raises:
            NotKeptError: if the log cannot be read.
        """
        with self._using() as db:
            rows = db.execute(
                "SELECT outcome, COUNT(*) FROM requests WHERE id > ? GROUP BY outcome", (after,)
            ).fetchall()
            (newest,) = db.execute("SELECT COALESCE(MAX(id), 0) FROM requests").fetchone()
        found = {str(outcome): int(count) for outcome, count in rows}
        return Tally(
            ok=found.get("ok", 0),
            degraded=found.get("degraded", 0),
            rejected=found.get("rejected", 0),
            last_id=int(newest),
        )

    def last_error(self) -> str:
        """Why the provider failed the newest request that it failed; empty if it failed none.

        Raises:
            NotKeptError: if the log cannot be read.
        """
        with self._using() as db:
            row = db.execute("SELECT error FROM requests WHERE error <> '' ORDER BY id DESC LIMIT 1").fetchone()
        return "" if row is None else str(row[0])

    def trim(self, keep: int) -> int:
        """Drop all but the newest ``keep`` entries; returns how many were dropped.

        Raises:
            NotKeptError: if the log cannot be written.
        """
        with self._using() as db:
            done = db.execute(
                "DELETE FROM requests WHERE id <= (SELECT COALESCE(MAX(id), 0) FROM requests) - ?", (keep,)
            )
            return done.rowcount

    def section(self) -> dict[str, Any]:
        """How many requests ended how, for the status; ``problem`` if that cannot be told."""
        try:
            tally = self.tally()
        except NotKeptError as error:
            return {"ok": None, "degraded": None, "rejected": None, "problem": str(error)}
        return {"ok": tally.ok, "degraded": tally.degraded, "rejected": tally.rejected}

    def distrust(self, why: str) -> None:
        """Keep nothing any more, until :meth:`resume`: the file is damaged."""
        with self._lock:
            self._distrusted = why

    def pause(self) -> None:
        """Close the file, and have everybody wait, until :meth:`resume`. Pausing again does nothing."""
        with self._lock:
            self._close()

    def resume(self) -> None:
        """Open the file that is there now, and trust it. If none is there, none is made: nothing is kept.

        Raises:
            NotKeptError: if it is there and cannot be opened.
        """
        with self._lock:
            self._close()
            self._distrusted = ""
            if not self.path.exists():
                self._distrusted = f"{self.path.name} is not there"
                return
            try:
                self._db = self._opened()
            except sqlite3.DatabaseError as error:
                self._distrusted = f"{self.path.name} cannot be opened: {error}"
                raise NotKeptError(self._distrusted) from error
            self._lock.notify_all()

    def close(self) -> None:
        """Close the file. Closing again does nothing."""
        with self._lock:
            self._close()
            self._distrusted = "the request log is closed"
            self._lock.notify_all()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if not self._lock.wait_for(lambda: self._db is not None or self._distrusted, self._patience):
                raise NotKeptError("the request log is paused, for a backup or a restore")
            if self._distrusted or self._db is None:
                raise NotKeptError(f"the request log keeps nothing: {self._distrusted}")
            if _identity(self.path) != self._file:
                raise NotKeptError(f"the request log keeps nothing: {self.path.name} was removed or replaced")
            try:
                yield self._db
            except sqlite3.IntegrityError:
                raise
            except sqlite3.DatabaseError as error:
                raise NotKeptError(f"the request log keeps nothing: {self.path.name}: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=5.0)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        self._file = _identity(self.path)
        return db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _identity(path: Path) -> tuple[int, int]:
    try:
        seen = os.stat(path)
    except OSError:
        return (0, 0)
    return (seen.st_dev, seen.st_ino)


def look_into(path: Path) -> dict[str, object]:
    """What a request log holds, by a connection of its own: entries, the newest number, and the columns of the table.

    Raises:
        sqlite3.Error: if it is not there, damaged, or no request log.
    """
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=5.0)
    try:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        count, newest = db.execute("SELECT COUNT(*), COALESCE(MAX(id), 0) FROM requests").fetchone()
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(requests)")]
    finally:
        db.close()
    return {"documents": count, "newest": newest, "columns": ",".join(columns)}
