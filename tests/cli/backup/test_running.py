"""What all commands have in common: names that steer nothing, one document, exit codes, pipes that end."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from selfheal.cli import main
from selfheal.cli.backup.arguments import add_to
from selfheal.cli.backup.commands import COMMANDS
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import words
from tests.backup.trees import grow
from tests.cli.backup.rig import Host, Told, damage

EVIL = b"a\n\x1b[2J\x1b]0;owned\x07\r\xff\xe2\x80\xae"


def is_tame(told: Told) -> bool:
    """Whether nothing in it could steer a terminal."""
    return all(line.isprintable() for line in (told.out + told.err).split("\n"))


def evil(directory: Path) -> Path:
    """A path below it that would do harm on a terminal."""
    return directory / os.fsdecode(EVIL)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_names_are_shown_as_escapes(host: Host, seed: int) -> None:
    """Whatever files are called, no command writes a name as it is to the terminal, nor a line that it began."""
    shutil.rmtree("data")
    grow(Path("data"), seed, files=60)
    os.mkfifo(evil(Path("data")))
    first = host("create")
    assert first.code == 0
    kept = host.path("backups") / host.ids()[0] / "data" / "data"
    for path in [path for path in Path("data").rglob("*") if path.is_file() and not path.is_symlink()][::2]:
        path.unlink()
    evil(Path("data")).unlink()
    evil(Path("data")).write_bytes(b"x")
    evil(kept).write_bytes(b"x")
    for path in kept.iterdir():
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            damage(path)
    told = [first, host("verify"), host("list"), host("diff"), host("create"), host("diff", host.ids()[0], "latest")]
    told += [host("restore", "--dry-run"), host("restore", "--yes"), host("restore", "--status"), host("prune")]

    assert all(map(is_tame, told))
    assert [one.code for one in told][1:6] == [3, 0, 3, 0, 3]
    assert "owned" in told[1].out
    assert "owned" in told[3].out


def test_hostile_paths_and_arguments(host: Host) -> None:
    """The same for the names of stores, settings, backups, sections and targets."""
    host.made()
    host.path("backups").rename(evil(host.directory))
    store = evil(host.directory)
    told = [
        host("list", "--store", store),
        host("verify", "--store", store),
        host("verify", "--store", evil(store)),
        host("verify", os.fsdecode(EVIL), "--store", store),
        host("create", "--config", store),
        host("init", "--config", evil(store)),
        host("verify", "--store", store, "--scratch", evil(store)),
        host("restore", "--store", store, "--dry-run", "--to", f"data={evil(evil(host.directory / 'x'))}"),
        host("restore", "--store", store, "--yes", "--to", f"data={evil(host.directory / 'x')}"),
        host("restore", "--store", store, "--section", os.fsdecode(EVIL), "--yes"),
        host("restore", "--store", store, "--status"),
        host("restore", "--store", store, "--rollback", "--yes"),
    ]

    assert all(map(is_tame, told))
    assert [one.code for one in told] == [0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0]


def test_a_plan_has_no_line_that_a_name_began(host: Host) -> None:
    """A target with a line end in it does not look like another line of the plan."""
    host.made()
    told = host("restore", "--dry-run", "--to", f"data={host.directory}/x\nNothing was changed.")

    assert told.lines.count("Nothing was changed.") == 1
    assert any(line.endswith("/x\\nNothing was changed.") for line in told.lines)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_tells_its_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each says what it does and what its codes mean."""
    assert main(["backup", name, "--help"]) == 0
    out = capsys.readouterr().out

    assert "exit codes:\n  0  " in out
    assert "--json" in out
    assert ("3  damage" in out) is (name in {"create", "diff", "replicate", "verify"})


def test_the_commands_are_those_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    """Each that can be asked for is there, and the other way round."""
    main(["backup", "--help"])
    listed = {
        line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ") and line.split()
    }

    assert set(COMMANDS) <= listed
    for name in COMMANDS:
        assert main(["backup", name, "--help"]) == 0
    assert callable(add_to)


def test_nothing_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """``selfheal backup`` alone says which commands there are, with code 2."""
    assert main(["backup"]) == 2
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["verify"],
        ["verify", "x"],
        ["create"],
        ["diff"],
        ["prune"],
        ["restore", "--yes"],
        ["restore", "--status"],
    ],
)
def test_json_is_one_document(host: Host, arguments: list[str]) -> None:
    """With ``--json`` stdout is one document, that says how it ended, also where it could not be done."""
    host.made()
    for gone in (False, True):
        if gone:
            host.path("selfheal-backup.toml").write_text("version = 1\nstore = 'nowhere'")
        told = host(*arguments, "--json")
        assert told.document["exit_code"] == told.code
        assert told.document["ok"] is (told.code == 0)
        assert ("error" in told.document) is bool(told.err)
        if "error" in told.document:
            assert told.err == f"selfheal: {told.document['error']}\n"


def test_the_end_of_a_pipe(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads may stop: what was found stays the exit code."""
    damage(host.path("backups") / host.made() / "data" / "data" / "f1")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["backup", "verify"]) == 3


def test_a_disk_that_is_full(host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be written to stdout is told on stderr; the code is 1, or that of the damage."""
    id = host.made()
    for code in (1, 3):
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert main(["backup", "verify"]) == code
        monkeypatch.undo()
        monkeypatch.chdir(host.directory)
        assert capsys.readouterr().err.endswith("what was found could not be written: No space left on device\n")
        damage(host.path("backups") / id / "data" / "data" / "f1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(28, "No space left on device", "/a"), "/a: No space left on device"),
        (OSError(28, "No space left on device", b"/\xff"), "/\udcff: No space left on device"),
        (OSError(28, "No space left on device", 7), "No space left on device"),
        (OSError("of no number"), "of no number"),
        (ValueError("other"), "other"),
    ],
)
def test_errors_in_words(error: Exception, said: str) -> None:
    """What the system says, with the file if it names one: it may name a number instead."""
    assert words(error) == said


def test_a_page_has_no_raw_line() -> None:
    """Whatever is added to a page is one line, and printable; the document is ASCII."""
    page = Page()
    page.say("a\nb", "\x1b[31m", "\udcff")
    page.table(("A", "B"), [("x\ny", "long enough"), ("z", "\x07")])
    page.data = {"path": "\udcff\x1bé"}

    assert page.text().splitlines() == ["a\\nb", "\\x1b[31m", "\\udcff", "A     B", "x\\ny  long enough", "z     \\x07"]
    assert page.document() == '{\n  "path": "\\udcff\\u001b\\u00e9"\n}\n'
