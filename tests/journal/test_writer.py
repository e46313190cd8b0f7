"""The journal's writer: whole lines, numbers that only grow, one writer, rotation, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfheal.errors import EntryRefusedError, JournalError, JournalObservedError
from selfheal.journal import Journal, read_journal
from selfheal.testing import FakeClock


def types(path: Path) -> list[str]:
    return [entry.type for entry in read_journal(path)]


def test_an_entry_is_one_line_of_json(tmp_path: Path) -> None:
    """A line is a JSON object with version, number, time as text and as seconds, type and the fields."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, clock=FakeClock()) as journal:
        entry = journal.append("action_done", run="r1", step=2, receipt={"freed": 10.5})
        line = json.loads(path.read_text().splitlines()[1])

    crc = line.pop("crc")
    assert line == entry.as_dict()
    assert line == {
        "v": 1,
        "seq": 2,
        "timestamp": "2023-11-14T22:13:20.000Z",
        "at": 1_700_000_000.0,
        "type": "action_done",
        "run": "r1",
        "step": 2,
        "receipt": {"freed": 10.5},
    }
    assert len(crc) == 8


def test_opening_and_closing_are_entries(tmp_path: Path) -> None:
    """The first and last entry tell of the process, and whether the one before ended cleanly."""
    path = tmp_path / "journal.jsonl"
    Journal(path).close("deployed anew")
    crashed = Journal(path)
    crashed._let_go()
    Journal(path).close()

    entries = list(read_journal(path))
    assert [e.type for e in entries] == ["journal_opened", "clean_stop"] + ["journal_opened"] * 2 + ["clean_stop"]
    assert [e.fields["after_clean_stop"] for e in entries if e.type == "journal_opened"] == [True, True, False]
    assert entries[1].fields["reason"] == "deployed anew"
    assert [e.seq for e in entries] == [1, 2, 3, 4, 5]


def test_what_json_does_not_have_is_refused(tmp_path: Path) -> None:
    """A value that is no JSON is named with its place, and nothing is written."""
    with Journal(tmp_path / "journal.jsonl") as journal:
        before = types(journal.path)
        with pytest.raises(EntryRefusedError, match=r"'action_done' was not written: receipt\.x\[1\]: a object"):
            journal.append("action_done", receipt={"x": [1, object()]})
        with pytest.raises(EntryRefusedError, match="seq: a line has that of itself"):
            journal.append("action_done", seq=1)
        with pytest.raises(EntryRefusedError, match="its type is not"):
            journal.append('a"b')
        assert types(journal.path) == before


def test_the_second_observes_and_takes_over(tmp_path: Path) -> None:
    """Who does not get the lock cannot append, and becomes the writer once the first has let go."""
    first = Journal(tmp_path / "journal.jsonl")
    second = Journal(tmp_path / "journal.jsonl")
    assert (first.writing, second.writing) == (True, False)
    with pytest.raises(JournalObservedError, match="is written by process"):
        second.append("verified")
    assert not second.try_to_write()

    first.close()
    assert second.try_to_write()
    assert second.append("verified").seq == 4
    second.close()
    with pytest.raises(JournalError, match="it was closed"):
        second.append("verified")


def test_numbers_run_on_across_rotations(tmp_path: Path) -> None:
    """Files are rotated by size, the oldest go, and the entries that are left have numbers without a gap."""
    with Journal(tmp_path / "journal.jsonl", max_bytes=1024, keep=3) as journal:
        for n in range(50):
            journal.append("verified", n=n)
        entries = list(read_journal(journal.path))
        last = journal.seq
        files = sorted(path.name for path in tmp_path.iterdir())

    assert len([name for name in files if name.removeprefix("journal.jsonl.").isdigit()]) == 3
    assert all(path.stat().st_size <= 1024 for path in tmp_path.iterdir())
    assert [e.seq for e in entries] == list(range(entries[0].seq, last + 1))
    assert entries[-1].fields == {"n": 49}
