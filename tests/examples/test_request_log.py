"""Requests are kept, counted and trimmed."""

import sqlite3
from pathlib import Path

import pytest

from examples.reference_app.request_log import Entry, RequestLog


def entry(outcome: str = "ok", error: str = "", at: float = 1.0) -> Entry:
    provider = {"ok": "upstream", "degraded": "local"}.get(outcome, "")
    return Entry(at=at, document="a", size=10, outcome=outcome, provider=provider, error=error, duration_ms=1.5)


def test_a_fresh_log_is_empty(tmp_path: Path) -> None:
    """Nothing happened yet: all counts are 0."""
    log = RequestLog(tmp_path / "r.sqlite")

    tally = log.tally()

    assert (tally.total, tally.last_id, log.last_error()) == (0, 0, "")
    log.close()


def test_outcomes_are_counted_since_an_entry(tmp_path: Path) -> None:
    """A tally covers what came after the entry it is given."""
    log = RequestLog(tmp_path / "r.sqlite")
    first = log.add(entry())
    log.add(entry("degraded", "away"))
    log.add(entry("rejected", "empty"))

    everything, later = log.tally(), log.tally(after=first)

    assert (everything.ok, everything.degraded, everything.rejected, everything.last_id) == (1, 1, 1, 3)
    assert (later.ok, later.degraded, later.rejected, later.last_id) == (0, 1, 1, 3)
    assert log.last_error() == "empty"
    log.close()


def test_it_survives_closing_and_reads_from_outside(tmp_path: Path) -> None:
    """The file is plain SQLite in WAL mode: another connection reads it while it is open."""
    log = RequestLog(tmp_path / "r.sqlite")
    log.add(entry())
    outside = sqlite3.connect(tmp_path / "r.sqlite")

    (mode,) = outside.execute("PRAGMA journal_mode").fetchone()
    (count,) = outside.execute("SELECT COUNT(*) FROM requests").fetchone()
    outside.close()
    log.close()
    again = RequestLog(tmp_path / "r.sqlite")

    assert (mode, count, again.tally().ok) == ("wal", 1, 1)
    again.close()


def test_trim_keeps_the_newest(tmp_path: Path) -> None:
    """Older entries go, numbers go on."""
    log = RequestLog(tmp_path / "r.sqlite")
    for _ in range(5):
        log.add(entry())

    assert log.trim(keep=2) == 3
    assert (log.tally().total, log.tally().last_id) == (2, 5)
    assert log.add(entry()) == 6
    log.close()


def test_an_unknown_outcome_is_refused(tmp_path: Path) -> None:
    """The table accepts the three outcomes and nothing else."""
    log = RequestLog(tmp_path / "r.sqlite")

    with pytest.raises(sqlite3.IntegrityError):
        log.add(entry("perhaps"))
    log.close()
