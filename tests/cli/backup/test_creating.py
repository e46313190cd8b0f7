"""``selfheal backup create``: made, named by what is missing, proven at once, older ones removed only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfheal.backup import BackupStore
from selfheal.cli.backup import creating
from selfheal.errors import BackupError
from tests.cli.backup.rig import Host, damage


def test_a_backup_is_made_and_proven(host: Host) -> None:
    """It says its id, what is in it and where it is, and that every byte was read and found right."""
    told = host("create")
    (id,) = host.ids()

    assert (told.code, told.err) == (0, "")
    assert told.lines[0].startswith(f"backup {id}: 4 files, 69 bytes, in ")
    assert told.lines[1] == f"it is in {host.path('backups')}/{id}"
    assert told.lines[2] == f"backup {id}: sound"
    assert told.lines[3].startswith("deep: 4 files looked at, 4 read (69 bytes); without a key")
    assert told.lines[4] == f"report: {host.path('backups')}/backup_verification_report_latest.md"
    assert [(record.kind, record.ok) for record in BackupStore("backups").records] == [("deep", True)]


def test_what_is_not_in_it_is_named(host: Host) -> None:
    """What was skipped is told with its reason, once, and the code stays 0; what is excluded is not told."""
    os.mkfifo("data/pipe")
    host.path("data/x.tmp").write_text("x")
    told = host("create")

    assert (told.code, told.err) == (0, "")
    assert told.lines[2:4] == ["NOT in the backup: 1 name", "  data/pipe: named pipe"]
    assert host("create", "--json").document["backup"]["skipped"] == [
        {"section": "data", "path": "pipe", "why": "named pipe"}
    ]


def test_of_many_names_a_hundred_are_told(host: Host) -> None:
    """The rest is counted, and all of them are in the document."""
    for number in range(103):
        os.mkfifo(f"data/{number:03}")
    told = host("create")

    assert "NOT in the backup: 103 names" in told.lines
    assert sum("named pipe" in line for line in told.lines) == 100
    assert "  and 3 more: see --json, or its hashes.json" in told.lines
    assert len(host("create", "--json").document["backup"]["skipped"]) == 103


def test_changing_files_are_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is another each time it is read is told of by name."""
    read, inode = os.preadv, host.path("data/f1").stat().st_ino

    def growing(fd: int, buffers: list[memoryview], at: int) -> int:
        count = read(fd, buffers, at)
        if os.fstat(fd).st_ino == inode:
            with open("data/f1", "ab") as file:
                file.write(b"x")
        return count

    monkeypatch.setattr(os, "preadv", growing)
    told = host("create", "--no-verify")

    assert told.code == 0
    assert "  data/f1" in told.lines


def test_without_a_verification(host: Host) -> None:
    """``--no-verify`` reads nothing, and says the command that would."""
    told = host("create", "--no-verify")
    (id,) = host.ids()

    assert told.code == 0
    assert told.lines[-1] == f"not verified: selfheal backup verify {id}"
    assert BackupStore("backups").records == ()
    assert host("create", "--no-verify", "--json").document["verification"] is None


def test_the_command_that_would_verify_names_the_settings(host: Host) -> None:
    """Where the settings were named, so they are in the command that is told, fit for a shell."""
    host.path("selfheal-backup.toml").rename("other settings.toml")
    told = host("create", "--config", "other settings.toml", "--no-verify")

    assert told.lines[-1].endswith("--config 'other settings.toml'")


def test_damage_right_after(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrived damaged is told with code 3, and nothing older is removed for it."""
    first = host.made()
    made = BackupStore.create

    def torn(store: BackupStore) -> object:
        record = made(store)
        damage(record.path / "data" / "data" / "f1")
        return record

    monkeypatch.setattr(BackupStore, "create", torn)
    host.retain(0)
    told = host("create", "--prune")

    assert told.code == 3
    assert any(line.startswith("data     f1    corrupt") for line in told.lines)
    assert first in host.ids()


def test_pruning_after_it(host: Host) -> None:
    """``--prune`` removes what the settings do not keep, once the new one is proven."""
    host.retain(1)
    first = host.made()
    told = host("create", "--prune")
    (second,) = host.ids()

    assert (told.code, first == second) == (0, False)
    assert "1 backup kept, 1 removed" in told.lines
    assert host("create", "--prune", "--json").document["pruned"]["removed"] == [second]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version = 1\nstore = 'b'\n", "BackupStore.sections must be one section or more"),
        ("version = 2\nstore = 'b'\n", "must be 1"),
        ("= 3", "must be well-formed TOML"),
        ("version = 1\nstore = 'b'\nsections = [{name = 'x', path = 'nowhere'}]", "its path cannot be read"),
        ("version = 1\nstore = 'app.toml'\nsections = [{name = 'x', path = 'data'}]", "Not a directory"),
        ("version = 1\nstore = 'b'\nkey_file = 'app.toml'", "only its owner can read"),
    ],
)
def test_what_cannot_be_done(host: Host, content: str, said: str) -> None:
    """What is wrong is one line on stderr, with code 1, and no backup is made."""
    host.path("selfheal-backup.toml").write_text(content)
    told = host("create")

    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("selfheal: ")
    assert told.err.count("\n") == 1
    assert said in told.err


def test_every_wrong_setting_has_a_line(host: Host) -> None:
    """Several wrong settings are told at once, each with its file."""
    host.path("selfheal-backup.toml").write_text("version = 1\nstoer = 'b'\nsections = [{name = 'x'}]")
    told = host("create")

    assert told.code == 1
    assert len(told.err.splitlines()) > 1
    assert all(line.startswith("selfheal: selfheal-backup.toml: ") for line in told.err.splitlines())


def test_no_settings(host: Host) -> None:
    """Where there are none, it says what to do."""
    host.path("selfheal-backup.toml").unlink()
    told = host("create")

    assert told.code == 1
    assert "selfheal-backup.toml is not there in this directory" in told.err
    assert "selfheal backup init" in told.err
    assert host("create", "--config", "x.toml").err.startswith("selfheal: no settings: x.toml is not there. ")


def test_it_fails_after_the_backup_was_made(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made is told although what came after it could not be done, in words and as JSON."""

    def gone(*arguments: object, **options: object) -> None:
        raise BackupError("backups", "the disk went away")

    monkeypatch.setattr(creating, "verified", gone)
    told = host("create")
    assert told.code == 1
    assert told.lines[0].startswith(f"backup {host.ids()[0]}: ")
    assert told.err == "selfheal: backups: the disk went away.\n"

    told = host("create", "--json")
    assert (told.code, told.document["error"]) == (1, "backups: the disk went away.")
    assert told.document["backup"]["id"] == host.ids()[1]


def test_interrupted_while_it_is_made(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt leaves no backup and nothing half made, and is told with code 1."""
    first = host.made()

    def interrupt(step: str) -> None:
        if step == "manifest":
            raise KeyboardInterrupt

    made = BackupStore.create

    def interrupted(store: BackupStore) -> object:
        store.step = interrupt
        return made(store)

    monkeypatch.setattr(BackupStore, "create", interrupted)
    told = host("create")

    assert (told.code, told.out) == (1, "")
    assert "selfheal: interrupted: no backup was made, and nothing is left of it\n" in told.err
    assert host.ids() == [first]
    assert [path.name for path in Path("backups").iterdir() if path.name.startswith(".partial")] == []


def test_interrupted_while_it_is_verified(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backup stays, and the command that verifies it is told."""

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(creating, "verified", interrupted)
    told = host("create")

    assert told.code == 1
    (id,) = host.ids()
    assert f"interrupted: backup {id} is made, and not verified: selfheal backup verify {id}\n" in told.err


def test_what_a_crash_left_is_told(host: Host) -> None:
    """Half a backup of an earlier process is removed, and a line says so."""
    host.made()
    host.path("backups/.partial-20200101T000000Z").mkdir()
    told = host("create")

    assert told.code == 0
    assert told.err.count("\n") == 1
    assert ".partial-20200101T000000Z was left by a crash, and is removed" in told.err


def test_wrong_arguments(host: Host) -> None:
    """``--prune`` goes by the verification, so not without it."""
    told = host("create", "--prune", "--no-verify")

    assert told.code == 2
    assert "not allowed with argument" in told.err
