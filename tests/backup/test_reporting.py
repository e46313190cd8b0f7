"""The report of a verification: what it comes to first, then what to do, then everything that was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfheal.backup import Damage, Section, Verification, verify
from selfheal.backup.reporting import as_data, as_markdown, write_report
from tests.backup.rig import KEY, store_at

FOUND = Verification(
    "20260101T000000Z",
    "deep",
    1_767_225_600.0,
    (Damage("data", "a|b`c\n\udcff", "corrupt", "sha256 x", "y"), Damage("", "SHA256SUMS", "missing")),
    files=10,
    files_read=10,
    bytes_read=1_000,
    store="/srv/back ups",
)


def test_the_verdict_comes_first() -> None:
    """The first lines say whether the backup is sound, how much is not, and how to look again by hand."""
    page = as_markdown(FOUND)

    assert page.startswith(
        "# Backup 20260101T000000Z: DAMAGED\n\n**2 things are not as they were backed up:** 1 corrupt"
    )
    assert "cd '/srv/back ups/20260101T000000Z' && sha256sum --quiet -c SHA256SUMS" in page
    assert "not checked with a key" in page
    assert page.index("What to do") < page.index("What was found")


def test_a_name_cannot_break_the_page() -> None:
    """Names with line ends, bars, backticks and bytes that are no text stay in their cell, readable."""
    (row,) = [line for line in as_markdown(FOUND).split("\n") if line.startswith("| data")]

    assert row == "| data | `a\\|b\\x60c\\n\\udcff` | corrupt | sha256 x | y |"


@pytest.mark.parametrize(
    ("kind", "said"), [("quick", "no byte of a file"), ("rolling", "part 3 of 7"), ("restore", "aside")]
)
def test_it_says_what_was_not_looked_at(kind: str, said: str) -> None:
    """A sound verdict says how much it is worth."""
    page = as_markdown(Verification("x", kind, 0.0, (), share=7, part=2))  # type: ignore[arg-type]
    assert "sound" in page.split("\n")[0]
    assert said in page


def test_thousands_of_damages(tmp_path: Path) -> None:
    """The page names a thousand and says where the rest is; the data names all."""
    many = tuple(Damage("data", f"f{number:05d}", "missing") for number in range(3_000))
    verification = Verification("x", "deep", 0.0, many)
    write_report(verification, tmp_path)

    page = (tmp_path / "backup_verification_report_latest.md").read_text()
    data = json.loads((tmp_path / "backup_verification_report_latest.json").read_text())
    assert "And 2,000 more, in backup_verification_report_latest.json." in page
    assert len(data["damages"]) == 3_000
    assert data == json.loads(json.dumps(as_data(verification)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "backup_verification_report_latest.json",
        "backup_verification_report_latest.md",
    ]


def test_each_verification_writes_it_anew(tmp_path: Path) -> None:
    """The report is that of the last verification, in the store or where it is asked for."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "reports").mkdir()
    store = store_at(tmp_path / "store", [Section("data", tmp_path / "file")], key=KEY)
    record = store.create()
    verify(store)
    page = store.directory / "backup_verification_report_latest.md"
    assert "sound" in page.read_text()
    assert "signed, and checked with the key" in page.read_text()
    (record.path / "data" / "data" / "file").unlink()
    verify(store, reports=tmp_path / "reports")

    assert "sound" in page.read_text()
    assert "1 missing" in (tmp_path / "reports" / page.name).read_text()
