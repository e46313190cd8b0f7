"""``selfheal backup verify``: every damage by its name, with code 3; a drill that restores; a report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from selfheal.backup import BackupStore
from tests.cli.backup.rig import Host, damage


@pytest.fixture
def kept(host: Host) -> Path:
    """A backup: where its files are."""
    return host.path("backups") / host.made() / "data" / "data"


@pytest.mark.parametrize("kind", ["quick", "deep", "rolling", "restore"])
def test_what_is_sound(host: Host, kept: Path, kind: str) -> None:
    """Each kind says that it is, what was looked at, and where the report is; with code 0."""
    told = host("verify", "--kind", kind)

    assert (told.code, told.err) == (0, "")
    assert told.lines[0] == f"backup {host.ids()[0]}: sound"
    assert told.lines[1].startswith("rolling, part 1 of 7: " if kind == "rolling" else f"{kind}: ")
    assert told.lines[2] == f"report: {host.path('backups/backup_verification_report_latest.md')}"
    assert [record.kind for record in BackupStore("backups").records] == ["deep", kind]


def test_damages_are_named(host: Host, kept: Path) -> None:
    """Each has a row: where, what, what should be and what is; the code is 3, and the report names it too."""
    damage(kept / "f1")
    (kept / "f0").unlink()
    told = host("verify")

    assert told.code == 3
    assert told.lines[0].endswith(": DAMAGED, 2 things not as written: 1 corrupt, 1 missing")
    assert told.lines[1].split() == ["SECTION", "PATH", "WHAT", "EXPECTED", "FOUND"]
    assert told.lines[2].split() == ["data", "f0", "missing", "file", "-"]
    assert told.lines[3].split()[:4] == ["data", "f1", "corrupt", "sha256"]
    assert "f1" in host.path("backups/backup_verification_report_latest.md").read_text()


def test_of_many_damages_a_hundred_are_told(host: Host, kept: Path) -> None:
    """How many more there are is told, and all are in the document."""
    for number in range(103):
        (kept / f"extra{number}").touch()
    told = host("verify", "--kind", "quick")

    assert sum("extra" in line and "data" in line for line in told.lines) == 100
    assert "and 3 more: all of them are named with --json" in told.lines
    told = host("verify", "--json")
    assert (told.code, told.err) == (3, "")
    assert told.document["exit_code"] == 3
    assert len(told.document["verification"]["damages"]) == 103
    assert told.document["verification"]["counts"] == {"extra": 103}


def test_a_backup_is_chosen(host: Host, kept: Path) -> None:
    """By default it is the newest; by its id or a date another one."""
    first = host.ids()[0]
    damage(kept / "f1")
    host.made()

    assert host("verify").code == 0
    assert host("verify", first).code == 3
    assert host("verify", "2100-01-01").code == 0
    told = host("verify", "1999-01-01")
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("selfheal: no backup is named '1999-01-01'. There are: ")


def test_without_settings(host: Host, kept: Path) -> None:
    """``--store`` is enough, also after the settings were lost."""
    host.path("selfheal-backup.toml").unlink()

    assert host("verify", "--store", "backups").code == 0
    assert host("verify", "--store", "nowhere").code == 1
    assert host("verify", "--store", " ").code == 1


def test_a_drill_finds_damage(host: Host, kept: Path) -> None:
    """What does not come back whole is read byte by byte, so that what is damaged is named, and nothing else."""
    damage(kept / "f1")
    told = host("verify", "--kind", "restore", "--json")

    assert told.code == 3
    assert [(one["path"], one["kind"]) for one in told.document["verification"]["damages"]] == [("f1", "corrupt")]
    assert host("verify", "--kind", "restore").lines[0].startswith("it could not be restored aside: section 'data'")
    assert not any("missing" in record.damages for record in BackupStore("backups").records)


def test_a_drill_in_a_place(host: Host, kept: Path) -> None:
    """``--scratch`` is where it takes place, and is empty afterwards; what is no directory is refused."""
    host.path("scratch").mkdir()
    shutil.rmtree(host.path("data"))

    assert host("verify", "--kind", "restore", "--scratch", "scratch").code == 0
    assert list(host.path("scratch").iterdir()) == []
    assert not host.path("data").exists()
    told = host("verify", "--kind", "restore", "--scratch", "app.toml")
    assert (told.code, told.err) == (1, "selfheal: --scratch app.toml is no directory: make it first\n")


def test_a_drill_that_cannot_be_held(host: Host, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every byte is right and the restore fails all the same, the backup is not called damaged."""
    from selfheal.backup.restoring.moving import Mover

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Mover, "stage", full)
    told = host("verify", "--kind", "restore")

    assert told.code == 1
    assert "every byte of it is right, and yet it could not be restored aside" in told.err
    assert "No space left on device" in told.err
    assert all(record.ok for record in BackupStore("backups").records)


def test_the_report_goes_elsewhere(host: Host, kept: Path) -> None:
    """``--reports`` is where the report is written; the path is told."""
    host.path("reports").mkdir()
    told = host("verify", "--reports", "reports")

    assert told.lines[-1] == "report: reports/backup_verification_report_latest.md"
    assert host.path(told.lines[-1].partition(": ")[2]).exists()


def test_a_report_that_cannot_be_written(host: Host, kept: Path) -> None:
    """What was found counts none the less: the code is that of the damage, and stderr says what was not written."""
    damage(kept / "f1")
    host.path("backups/backup_verification_report_latest.md").unlink()
    host.path("backups/backup_verification_report_latest.md").mkdir()
    told = host("verify")

    assert told.code == 3
    assert told.lines[-1] == "no report could be written"
    assert "the verification is not written down" in told.err
    assert host("verify", "--json").document["verification"]["report"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "shallow"], "invalid choice"),
        (["--share", "0"], "must be a whole number from 1 to 10000"),
        (["--share", "²"], "must be a whole number from 1 to 10000"),
        (["--config", "a", "--store", "b"], "not allowed with argument"),
        (["a", "b"], "unrecognized arguments"),
        (["--kin", "quick"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments(host: Host, arguments: list[str], said: str) -> None:
    """They end with code 2 and say what is wrong."""
    told = host("verify", *arguments)

    assert (told.code, told.out) == (2, "")
    assert said in told.err
