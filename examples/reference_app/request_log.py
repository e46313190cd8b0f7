"""What became of each request, in SQLite: readable with any tool while the service writes it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

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

    Args:
        path: the SQLite file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)

    def add(self, entry: Entry) -> int:
        """Keep ``entry``; returns its number."""
        with self._lock:
            done = self._db.execute(
                "INSERT INTO requests (at, document, size, outcome, provider, error, duration_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                attrs.astuple(entry),
            )
            return int(done.lastrowid or 0)

    def tally(self, after: int = 0) -> Tally:
        """Count the entries whose number is greater than ``after``."""
        with self._lock:
            rows = self._db.execute(
                "SELECT outcome, COUNT(*) FROM requests WHERE id > ? GROUP BY outcome", (after,)
            ).fetchall()
            (newest,) = self._db.execute("SELECT COALESCE(MAX(id), 0) FROM requests").fetchone()
        found = {str(outcome): int(count) for outcome, count in rows}
        return Tally(
            ok=found.get("ok", 0),
            degraded=found.get("degraded", 0),
            rejected=found.get("rejected", 0),
            last_id=int(newest),
        )

    def last_error(self) -> str:
        """Why the provider failed the newest request that it failed; empty if it failed none."""
        with self._lock:
            row = self._db.execute("SELECT error FROM requests WHERE error <> '' ORDER BY id DESC LIMIT 1").fetchone()
        return "" if row is None else str(row[0])

    def trim(self, keep: int) -> int:
        """Drop all but the newest ``keep`` entries; returns how many were dropped."""
        with self._lock:
            done = self._db.execute(
                "DELETE FROM requests WHERE id <= (SELECT COALESCE(MAX(id), 0) FROM requests) - ?", (keep,)
            )
            return done.rowcount

    def close(self) -> None:
        """Close the file. Closing again does nothing."""
        with self._lock:
            self._db.close()
