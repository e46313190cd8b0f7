"""``selfheal backup restore``: planned, asked for, done, undone or kept; and brought to its end after a crash."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from selfheal.backup import BackupStore
from selfheal.backup.restoring import Restorer
from tests.backup.rig import DiedError
from tests.cli.backup.rig import Host, damage


class Terminal(io.StringIO):
    """Somebody who types at a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture
def id(host: Host) -> str:
    """A backup, after which the service lost a file and changed another."""
    made = host.made()
    host.path("data/f0").unlink()
    host.path("data/f1").write_text("changed")
    return made


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Somebody types this."""
    monkeypatch.setattr("sys.stdin", Terminal(text))


def is_back(host: Host) -> bool:
    """Whether the service has the data of the backup."""
    return host.path("data/f1").read_text() == "1\n" * 10 and host.path("data/f0").exists()


def test_a_dry_run(host: Host, id: str) -> None:
    """It prints what would be done, and neither the targets nor anything beside them changes."""
    before = sorted(host.directory.rglob("*"))
    told = host("restore", "--dry-run")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0].startswith(f"Restore of backup {id}, made ")
    assert f"2. data: {host.path('data')}" in told.lines
    assert told.lines[-1] == "Nothing was changed."
    assert sorted(host.directory.rglob("*")) == before
    assert not is_back(host)


def test_a_dry_run_of_what_would_be_refused(host: Host, id: str) -> None:
    """It says why, with code 1."""
    told = host("restore", "--dry-run", "--to", f"data={host.path('backups/x')}")

    assert told.code == 1
    assert "This would be REFUSED:" in told.lines
    assert host("restore", "--dry-run", "--to", f"data={host.path('backups/x')}", "--json").document["plan"]["problems"]


def test_the_id_is_typed(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is shown and the id asked for; typed, it is restored, and how to undo that is told."""
    types(monkeypatch, f"{id}\n")
    told = host("restore")

    assert told.code == 0
    assert f"Restore of backup {id}, made " in told.err
    assert f"What differs now from the backup: selfheal backup diff {id}\n" in told.err
    assert told.err.endswith(f"To restore it, type its id, {id}: ")
    assert is_back(host)
    assert told.lines[0].startswith(f"restored: backup {id}, 4 files, 69 bytes, in ")
    assert "  it works, remove what was before:       selfheal backup restore --commit" in told.lines
    assert "  it does not, put back what was before:  selfheal backup restore --rollback" in told.lines
    assert told.lines[-1] == f"report: {host.path('backups-restores/restore_report_latest.md')}"
    assert host.path("backups-restores/restore_report_latest.md").exists()


@pytest.mark.parametrize("typed", ["", "\n", "yes\n", "y\n", "20200101T000000Z\n", "latest\n"])
def test_something_else_is_typed(host: Host, id: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is done, with code 1."""
    types(monkeypatch, typed)
    told = host("restore")

    assert (told.code, told.out) == (1, "")
    assert told.err.endswith("selfheal: that is not the id: nothing was changed\n")
    assert not is_back(host)


def test_interrupted_while_asked(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the question changes nothing."""

    def leave() -> str:
        raise KeyboardInterrupt

    leaving = Terminal()
    monkeypatch.setattr(leaving, "readline", leave)
    monkeypatch.setattr("sys.stdin", leaving)
    told = host("restore")

    assert told.code == 1
    assert told.err.endswith("\nselfheal: interrupted: nothing was changed\n")
    assert not is_back(host)


def test_nobody_to_ask(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without ``--yes`` nothing is done."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{id}\n"))
    told = host("restore")

    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("selfheal: nothing was changed: there is no terminal to ask on.")
    assert not is_back(host)


def test_no_stdin_at_all(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stdin is closed there is nobody to ask either."""
    monkeypatch.setattr("sys.stdin", None)

    assert host("restore").code == 1
    assert not is_back(host)


def test_rolled_back(host: Host, id: str) -> None:
    """What was there before is back."""
    assert host("restore", "--yes").code == 0
    told = host("restore", "--rollback", "--yes")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0] == f"backup {id}: what was there before the restore is back"
    assert host.path("data/f1").read_text() == "changed"
    assert host("restore", "--rollback", "--yes").code == 1


def test_committed(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there before is removed, once the id is typed; it cannot be rolled back then."""
    assert host("restore", "--yes").code == 0
    types(monkeypatch, "no\n")
    assert host("restore", "--commit").code == 1
    types(monkeypatch, f"{id}\n")
    told = host("restore", "--commit")

    assert told.code == 0
    assert f"To keep the restore of {id} for good, type its id, {id}: " in told.err
    assert is_back(host)
    assert [path.name for path in host.directory.iterdir() if ".restore-" in path.name] == []
    told = host("restore", "--rollback", "--yes")
    assert (told.code, told.out) == (1, "")
    assert "there is no restore to rollback" in told.err


def test_nothing_is_kept(host: Host, id: str) -> None:
    """``--no-keep`` removes what was there before at once, and says that there is no undo."""
    told = host("restore", "--yes", "--no-keep")

    assert told.code == 0
    assert "what was there before is gone: there is no undo but to restore another backup" in told.lines
    assert host("restore", "--status").lines == ["no restore is under way, and none is kept"]


def test_one_section_elsewhere(host: Host, id: str) -> None:
    """``--section`` chooses, ``--to`` puts it elsewhere; the service itself is not touched."""
    told = host("restore", id, "--section", "data", "--to", f"data={host.path('aside')}", "--yes", "--json")

    assert told.code == 0
    assert [one["target"] for one in told.document["restore"]["sections"]] == [str(host.path("aside"))]
    assert host.path("aside/f0").read_text() == "0\n" * 10
    assert not is_back(host)


def test_in_place(host: Host, id: str) -> None:
    """``--in-place`` keeps the directory itself."""
    inode = host.path("data").stat().st_ino

    assert host("restore", "--section", "data", "--in-place", "data", "--yes").code == 0
    assert host.path("data").stat().st_ino == inode
    assert is_back(host)


def test_all_is_lost_but_the_backups(host: Host, id: str) -> None:
    """``--store`` restores without any settings, to where it all was, and says commands that name the same store."""
    shutil.rmtree("data")
    host.path("app.toml").unlink()
    host.path("selfheal-backup.toml").unlink()
    host.path("backups").rename("elsewhere")
    told = host("restore", "--store", "elsewhere", "--restores", "records", "--yes")

    assert told.code == 0
    assert is_back(host)
    assert any(line.endswith("restore --commit --restores records --store elsewhere") for line in told.lines)
    assert host("restore", "--status", "--store", "elsewhere", "--restores", "records").lines[1] == (
        f"  config: {host.path('app.toml')}"
    )
    assert host("restore", "--commit", "--yes", "--store", "elsewhere", "--restores", "records").code == 0


def test_no_place_for_the_record(host: Host, id: str) -> None:
    """Where the record cannot be kept nothing is begun, and the option that helps is told."""
    told = host("restore", "--yes", "--restores", "selfheal-backup.toml/x")

    assert told.code == 1
    assert "name another by --restores DIR" in told.err
    assert not is_back(host)


def test_a_record_within_a_target(host: Host, id: str) -> None:
    """The record of a restore cannot lie in what is replaced: refused before anything is made or asked."""
    for arguments in (["--yes"], ["--dry-run"]):
        told = host("restore", "--restores", "data/record", *arguments)
        assert told.code == 1
        assert "lie in one another" in told.err + told.out
    assert not host.path("data/record").exists()


def test_another_is_in_the_way(host: Host, id: str) -> None:
    """While one is kept no other begins; both ways out are told as commands."""
    assert host("restore", "--yes").code == 0
    told = host("restore", "--yes")

    assert (told.code, told.out) == (1, "")
    assert "selfheal backup restore --commit" in told.err
    assert "selfheal backup restore --rollback" in told.err
    assert host("restore", "--status", "--json").document["pending"]["phase"] == "kept"
    assert host("restore", "--recover").lines[0] == "nothing was cut off"
    assert host("restore", "--status").lines[-1].endswith("selfheal backup restore --rollback")


def test_a_damaged_backup(host: Host, id: str) -> None:
    """It is not restored: one line says what is damaged, that nothing was touched, and where the report is."""
    damage(host.path("backups") / id / "data" / "data" / "f2")
    told = host("restore", "--yes")

    assert (told.code, told.out) == (1, "")
    assert "and no target was touched: section 'data' of the backup: 1 name damaged: 'f2' is corrupt" in told.err
    assert told.err.endswith(f"Report: {host.path('backups-restores/restore_report_latest.md')}\n")
    assert not is_back(host)
    assert host("restore", "--status").lines == ["no restore is under way, and none is kept"]


def cut_off(host: Host, step: str) -> None:
    """Let a restore die at a step, as by SIGKILL: from there on it does nothing more, nor takes anything back."""
    record = host.path("backups-restores")
    record.mkdir(exist_ok=True)
    dead = False

    def die(name: str) -> None:
        nonlocal dead
        dead = dead or name == step
        if dead:
            raise DiedError(step)

    restorer = Restorer(BackupStore("backups"), record, step=die)
    with pytest.raises(DiedError):
        restorer.restore(restorer.plan())


@pytest.mark.parametrize("resume", [False, True])
def test_cut_off(host: Host, id: str, resume: bool) -> None:
    """A restore that was cut off is told, no other begins, and it is taken back, or gone on with if so asked."""
    cut_off(host, "after swapping")
    told = host("restore", "--status")
    assert told.code == 0
    assert any("is under way, or was cut off" in line for line in told.lines)
    assert host("restore", "--yes").code == 1
    assert host("restore", "--commit", "--yes").code == 1
    told = host("create")
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("selfheal: no backup was made: a restore of ")

    told = host("restore", "--recover", *(["--resume"] if resume else []))
    assert told.code == 0
    assert is_back(host) is resume
    assert host("restore", "--recover").code == 0
    assert host("create").code == 0


def test_a_record_that_cannot_be_read(host: Host, id: str) -> None:
    """It is not guessed at: code 1, and what a person can do."""
    host.path("backups-restores").mkdir()
    host.path("backups-restores/restore_journal.json").write_text("{")

    for arguments in (["--status"], ["--yes"], ["--recover"], ["--rollback", "--yes"]):
        told = host("restore", *arguments)
        assert (told.code, told.out) == (1, "")
        assert "cannot be read" in told.err
        assert told.err.count("\n") == 1


def test_interrupted(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it copies takes it back, and says so."""

    def interrupted(restorer: Restorer, plan: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Restorer, "restore", interrupted)
    told = host("restore", "--yes")

    assert told.code == 1
    assert told.err == "selfheal: interrupted: the restore was taken back, everything is as it was before\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json"], "--json asks nothing: say --yes too"),
        (["--to", "data"], "must be SECTION=PATH, got 'data'"),
        (["--to", "a=b", "--to", "a=c"], "--to names one section twice"),
        (["--status", "--commit"], "not allowed with argument"),
        (["--resume"], "--resume says how to --recover"),
        (["--rollback", "--section", "data"], "--rollback is about the restore there is"),
        (["--commit", "20200101T000000Z"], "--commit is about the restore there is"),
    ],
)
def test_wrong_arguments(host: Host, id: str, arguments: list[str], said: str) -> None:
    """What does not go together is refused with code 2, before anything is looked at."""
    told = host("restore", *arguments)

    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert not is_back(host)


def test_what_is_not_there(host: Host, id: str) -> None:
    """Unknown backups and sections are told by name."""
    assert host("restore", "x", "--yes").err.startswith("selfheal: no backup is named 'x'. There are: ")
    assert host("restore", "--section", "x", "--yes").err == (
        "selfheal: no section is named 'x'. There are: config, data.\n"
    )
    assert not Path("backups-restores").exists()
