"""Requests are kept, counted and trimmed."""

import sqlite3
import threading
from pathlib import Path

import pytest

from examples.reference_app.request_log import Entry, NotKeptError, RequestLog, look_into


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


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_gone_keeps_nothing(tmp_path: Path, replaced: bool) -> None:
    """SQLite would go on writing into a file that nobody finds: that is noticed at the first entry."""
    log = RequestLog(tmp_path / "r.sqlite")
    log.add(entry())
    (tmp_path / "r.sqlite").rename(tmp_path / "elsewhere")
    if replaced:
        (tmp_path / "r.sqlite").write_bytes((tmp_path / "elsewhere").read_bytes())

    with pytest.raises(NotKeptError, match="r.sqlite was removed or replaced"):
        log.add(entry())
    assert log.section()["problem"] == "the request log keeps nothing: r.sqlite was removed or replaced"
    log.close()


def test_what_sqlite_refuses_is_not_kept(tmp_path: Path) -> None:
    """A table that is gone is an error of the log, and not of whoever asked for a summary."""
    log = RequestLog(tmp_path / "r.sqlite")
    with sqlite3.connect(tmp_path / "r.sqlite") as outside:
        outside.execute("DROP TABLE requests")
    outside.close()

    with pytest.raises(NotKeptError, match="no such table"):
        log.add(entry())
    log.close()


def test_a_distrusted_file_keeps_nothing_until_it_is_opened_anew(tmp_path: Path) -> None:
    """Somebody found it damaged: nothing is acknowledged, and after a restore all goes on."""
    log = RequestLog(tmp_path / "r.sqlite")
    log.distrust("it is damaged")

    with pytest.raises(NotKeptError, match="it is damaged"):
        log.add(entry())
    log.resume()

    assert log.add(entry()) == 1
    log.close()


def test_who_comes_while_it_is_paused_waits(tmp_path: Path) -> None:
    """An entry is kept once the log goes on, in the file that is there then."""
    log = RequestLog(tmp_path / "r.sqlite", patience=600.0)
    numbers: list[int] = []
    log.pause()
    waiting = threading.Thread(target=lambda: numbers.append(log.add(entry())), daemon=True)
    waiting.start()

    (tmp_path / "r.sqlite").rename(tmp_path / "elsewhere")
    RequestLog(tmp_path / "r.sqlite").close()
    log.resume()
    waiting.join(60.0)

    assert numbers == [1]
    assert look_into(tmp_path / "r.sqlite")["documents"] == 1
    log.close()


def test_who_waited_too_long_is_told(tmp_path: Path) -> None:
    """A pause that does not end holds nobody for ever."""
    log = RequestLog(tmp_path / "r.sqlite", patience=0.0)
    log.pause()
    log.pause()

    with pytest.raises(NotKeptError, match="is paused, for a backup or a restore"):
        log.add(entry())
    log.close()


def test_a_pause_makes_no_file(tmp_path: Path) -> None:
    """What a restore did not bring back is not made up: an empty log would pass for one without requests."""
    log = RequestLog(tmp_path / "r.sqlite")
    log.pause()
    (tmp_path / "r.sqlite").unlink()

    log.resume()

    assert not (tmp_path / "r.sqlite").exists()
    with pytest.raises(NotKeptError, match="r.sqlite is not there"):
        log.add(entry())
    log.close()


def test_a_file_that_cannot_be_opened_is_told_and_stays_distrusted(tmp_path: Path) -> None:
    """It was replaced by something that is no database."""
    log = RequestLog(tmp_path / "r.sqlite")
    log.pause()
    (tmp_path / "r.sqlite").write_text("no database at all" * 100)

    with pytest.raises(NotKeptError, match="r.sqlite cannot be opened"):
        log.resume()
    with pytest.raises(NotKeptError, match="cannot be opened"):
        log.tally()
    log.close()


def test_what_it_holds_can_be_seen_from_outside(tmp_path: Path) -> None:
    """Entries, the newest number, the columns; a damaged one is none."""
    log = RequestLog(tmp_path / "r.sqlite")
    for _ in range(300):
        log.add(entry(error="a long explanation " * 10))
    log.trim(keep=200)
    log.close()

    seen = look_into(tmp_path / "r.sqlite")
    content = bytearray((tmp_path / "r.sqlite").read_bytes())
    content[8192:12288] = bytes(4096)
    (tmp_path / "r.sqlite").write_bytes(content)

    assert (seen["documents"], seen["newest"]) == (200, 300)
    assert str(seen["columns"]).startswith("id,at,document")
    with pytest.raises(sqlite3.DatabaseError):
        look_into(tmp_path / "r.sqlite")
