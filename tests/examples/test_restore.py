"""The command that puts a backup back while the service is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.reference_app.alone import alone
from examples.reference_app.backups import open_store
from examples.reference_app.places import Places
from examples.reference_app.request_log import Entry, RequestLog, look_into
from examples.reference_app.restore import main
from selfheal.backup import BackupRecord


def entry(document: str) -> Entry:
    return Entry(at=1.0, document=document, size=9, outcome="ok", provider="upstream", error="", duration_ms=1.0)


def stopped(root: Path) -> tuple[Places, BackupRecord]:
    """A stopped service with a backup of one document, a second document since, and another journal."""
    places = Places(root)
    places.make()
    places.settings.write_text("A=1\n")
    places.journal.write_text("{}\n")
    log = RequestLog(places.requests)
    log.add(entry("a"))
    made = open_store(places).create()
    log.add(entry("b"))
    log.close()
    places.journal.write_text("{}\n{}\n")
    return places, made


def test_all_four_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal too: nobody writes it now. Nothing is kept beside."""
    places, made = stopped(tmp_path / "app")

    assert main(["--state-dir", str(places.root)]) == 0

    said = capsys.readouterr().out
    assert f"restored: backup {made.id} (config, data, state, journal)" in said
    assert str(places.restores / "restore_report_latest.md") in said
    assert look_into(places.requests)["documents"] == 1
    assert places.journal.read_text() == "{}\n"
    assert not list(places.root.glob(".*.restore-*"))


def test_one_section_alone(tmp_path: Path) -> None:
    """The others stay as they are."""
    places, _ = stopped(tmp_path / "app")

    assert main(["--state-dir", str(places.root), "--section", "journal"]) == 0

    assert places.journal.read_text() == "{}\n"
    assert look_into(places.requests)["documents"] == 2


def test_a_dry_run_tells_and_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would go where."""
    places, made = stopped(tmp_path / "app")

    assert main(["--state-dir", str(places.root), "--dry-run", "--which", made.id]) == 0

    assert "Nothing was changed." in capsys.readouterr().out
    assert look_into(places.requests)["documents"] == 2


def test_nothing_is_left_of_the_service(tmp_path: Path) -> None:
    """A store elsewhere brings all of it back, into a directory that is made for it."""
    places, _ = stopped(tmp_path / "app")
    places.backups.rename(tmp_path / "elsewhere")
    places.root.rename(tmp_path / "gone")

    assert main(["--state-dir", str(places.root), "--backups", str(tmp_path / "elsewhere")]) == 0

    assert look_into(places.requests)["documents"] == 1
    assert places.settings.read_text() == "A=1\n"


def test_a_damaged_backup_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and all as it was."""
    places, made = stopped(tmp_path / "app")
    (made.path / "data" / "config" / ".env.local").write_text("A=2\n")

    assert main(["--state-dir", str(places.root)]) == 1

    assert "'.env.local' is corrupt" in capsys.readouterr().err
    assert look_into(places.requests)["documents"] == 2


def test_not_under_a_service_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its files are open: whoever wants to restore it asks the service."""
    places, _ = stopped(tmp_path / "app")

    with alone(places.root):
        assert main(["--state-dir", str(places.root)]) == 1

    assert "already uses" in capsys.readouterr().err
    assert look_into(places.requests)["documents"] == 2


def test_the_id_of_one_that_is_gone_is_no_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who names a backup gets that one, or none."""
    places, _ = stopped(tmp_path / "app")

    assert main(["--state-dir", str(places.root), "--which", "20991231T000000Z"]) == 1
    assert "20991231T000000Z" in capsys.readouterr().err
    assert main(["--state-dir", str(places.root), "--which", "2099-12-31"]) == 0


def test_no_backup_no_restore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in words."""
    assert main(["--state-dir", str(tmp_path / "app")]) == 1
    assert "not restored: " in capsys.readouterr().err


class Cut(BaseException):
    """The process ends here."""


def test_one_that_was_cut_off_is_taken_back_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And then done anew."""
    places, made = stopped(tmp_path / "app")
    seen: list[str] = []

    def step(name: str) -> None:
        seen.append(name)
        if "written swapped" in seen:
            raise Cut

    with pytest.raises(Cut):
        main(["--state-dir", str(places.root)], step)

    assert main(["--state-dir", str(places.root)]) == 0
    assert f"a restore of {made.id} had been cut off: rolled_back" in capsys.readouterr().out
    assert look_into(places.requests)["documents"] == 1
