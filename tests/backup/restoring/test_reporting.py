"""A report that somebody can act on who was woken by a telephone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest

from selfheal.backup.restoring import RestoreReport, StateDiff
from selfheal.backup.restoring.reporting import SectionReport, plain_answer, read_report, write_report

NAMES = tuple(f"n{number:04}" for number in range(1500))
SECTION = SectionReport(
    name="data",
    target="/srv/app/data",
    outcome="restored",
    how="exchanged",
    files=812,
    bytes=5 << 20,
    diff=StateDiff(files_before=3, files_after=812, bytes_before=9, bytes_after=5 << 20, added=NAMES, same=2),
    probe=("orders: 0 -> 790",),
    unlike_backup=("orders: 791 -> 790",),
)
REPORT = RestoreReport(
    outcome="restored",
    backup="20231114T221320Z",
    backup_made=1_700_000_000.0,
    run="0a0b0c0d",
    started=1_700_100_000.0,
    finished=1_700_100_004.25,
    sections=(SECTION,),
    probe="passed",
    notes=("data: setuid was not restored for 1 name: 'tool'",),
)


def test_what_was_restored_from_when_and_what_changed() -> None:
    """The first lines say whether it is well; then of when it is, what to do, what is where and what changed."""
    text = REPORT.as_markdown()
    assert text.splitlines()[2] == "**RESTORED: everything below is in place, and the previous state is gone.**"
    assert "- Backup: `20231114T221320Z`, made 2023-11-14 22:13:20 UTC" in text
    assert "(4.2 s), run `0a0b0c0d`" in text
    assert "| data | restored | `/srv/app/data` | 812 | 5.0 MiB | as a whole |" in text
    assert "- before: 3 files, 9 bytes; after: 812 files, 5.0 MiB" in text
    assert "`n0019`, and 1,480 more" in text
    assert "n0020" not in text
    assert "- the host says: orders: 0 -> 790" in text
    assert "- NOT AS WHEN THE BACKUP WAS MADE: orders: 791 -> 790" in text
    assert "- data: setuid was not restored" in text
    assert text.index("What to do next") < text.index("## Sections") < text.index("What changed") < text.index("Notes")


@pytest.mark.parametrize(
    ("outcome", "ok", "words"),
    [
        ("restored", True, "There is no undo"),
        ("kept", True, "call `rollback()`"),
        ("rolled_back", False, "runs on what it had before"),
        ("discarded", False, "Nothing has to be undone"),
        ("stuck", False, "call `recover()`"),
    ],
)
def test_each_outcome_says_what_to_do(outcome: str, ok: bool, words: str) -> None:
    """Every end has a headline and numbered steps of its own."""
    report = attrs.evolve(REPORT, outcome=outcome, error="the disk is full")
    text = report.as_markdown()
    assert report.ok is ok
    assert ("NOT RESTORED" in text or "STANDS STILL" in text) is not ok
    assert words in text
    assert "\n1. " in text
    assert "- Why: the disk is full" in text


def test_where_the_previous_state_is() -> None:
    """What is kept is told with its path, to be copied from by hand if need be."""
    kept = attrs.evolve(SECTION, previous="/srv/app/.data.restore-0a0b0c0d/previous/data", how="in_place")
    text = attrs.evolve(REPORT, outcome="kept", sections=(kept,)).as_markdown()
    assert "- data: the previous state is in `/srv/app/.data.restore-0a0b0c0d/previous/data`" in text
    assert "entry by entry (not atomic as a whole)" in text


def test_the_data_is_bounded_and_says_so() -> None:
    """Long lists of names are cut, with how many there are."""
    (section,) = REPORT.as_dict()["sections"]
    assert len(section["diff"]["added"]) == 1000
    assert section["diff"]["added_count"] == 1500
    assert attrs.evolve(REPORT, sections=(attrs.evolve(SECTION, diff=None),)).as_dict()["sections"][0]["diff"] is None


def test_names_cannot_write_into_the_report(tmp_path: Path) -> None:
    """A name with a line break, a backtick, a column or no UTF-8 stays within its place."""
    odd = ("a\n# b", "`x`", "a|b", os.fsdecode(b"\xff"), "\u202egnp")
    diff = StateDiff(files_before=0, files_after=5, bytes_before=0, bytes_after=0, added=odd)
    report = attrs.evolve(REPORT, sections=(attrs.evolve(SECTION, diff=diff, target="/srv/a|b\n"),))
    text = report.as_markdown()
    assert "\n# b" not in text
    assert "\u202e" not in text
    assert "| `/srv/a\\x7cb\\n` |" in text
    path = write_report(report, tmp_path)
    assert path.read_text() == text
    data = json.loads((tmp_path / "restore_report_latest.json").read_text())
    assert data["sections"][0]["diff"]["added"] == list(odd)


def test_answers_that_are_no_data() -> None:
    """What JSON cannot hold is kept as text."""
    assert plain_answer({"a": (1, 2)}) == {"a": [1, 2]}
    assert plain_answer({1, 2}) == "{1, 2}"
    assert plain_answer(float("nan")) == "nan"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """As it was, but for names beyond the thousandth, of which the number is kept; and written again it is the same."""
    odd = attrs.evolve(SECTION, name="odd", diff=StateDiff(changed=(os.fsdecode(b"\xff"),)), probe=())
    bare = attrs.evolve(SECTION, name="bare", diff=None, probe=(), unlike_backup=())
    report = attrs.evolve(REPORT, sections=(SECTION, odd, bare))
    write_report(report, tmp_path)
    found = read_report(tmp_path)

    assert found is not None
    assert found.sections[1:] == report.sections[1:]
    assert found.sections[0].diff is not None
    assert found.sections[0].diff.added == NAMES[:1000]
    assert found.as_dict() == report.as_dict()
    assert found.as_markdown() == report.as_markdown()


def test_no_report(tmp_path: Path) -> None:
    """Before the first restore there is none."""
    assert read_report(tmp_path) is None
