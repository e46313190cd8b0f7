"""``selfheal journal``: a table for people, JSON for programs, clear words when there is nothing to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal import __version__
from selfheal.cli import main
from selfheal.cli.moments import moment
from selfheal.clock import SYSTEM_CLOCK
from selfheal.journal import Journal
from selfheal.testing import FakeClock

RUNS: list[dict[str, Any]] = [
    {"strategy": "High CPU", "target": "web", "metric": "cpu_percent", "value": 93.25, "severity": "critical"},
    {"strategy": "Queue Stuck", "target": "jobs", "metric": "queue_age", "value": 600, "severity": "warning"},
]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 22:13:20 UTC."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path, clock: FakeClock) -> Iterator[Path]:
    """A journal of two healings, an hour apart, that is still being written."""
    with Journal(tmp_path / "journal.jsonl", clock=clock) as journal:
        for n, run in enumerate(RUNS):
            clock.advance(3600.0 * n)
            journal.append("healing_started", run=f"r{n}", strategy=run["strategy"], target=run["target"])
            journal.append("action_done", run=f"r{n}", step=0, receipt={"said": "two words", "n": 1})
            ended: dict[str, Any] = {"actions_executed": n, "actions_total": 2, "success": n == 0, "dry_run": n == 1}
            journal.append("healing_finished", run=f"r{n}", **run, **ended, outcome=["healed", "dry run"][n])
        yield journal.path


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], str]:
    """Exit code, lines and errors of a command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_one_line_for_each_healing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default each healing is a row, aligned under titles."""
    code, lines, err = told(capsys, "journal", path)

    assert (code, err) == (0, "")
    assert lines == [
        "TIME                  STRATEGY     TARGET  METRIC       VALUE  SEVERITY  ACTIONS  SUCCESS  DRY RUN  OUTCOME",
        "2023-11-14T22:13:20Z  High CPU     web     cpu_percent  93.25  critical  0/2      yes      no       healed",
        "2023-11-14T23:13:20Z  Queue Stuck  jobs    queue_age    600    warning   1/2      no       yes      dry run",
    ]


def test_every_record(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--all`` each record is a row: number, type, and its fields in their order."""
    code, lines, _ = told(capsys, "journal", path, "--all")

    assert code == 0
    assert [line.split()[2] for line in lines] == [
        "TYPE",
        "journal_opened",
        *["healing_started", "action_done", "healing_finished"] * 2,
    ]
    assert lines[3] == ('2023-11-14T22:13:20Z  3    action_done       run=r0 step=0 receipt={"said":"two words","n":1}')


def test_json_is_the_entry(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--json`` each line is the whole entry as an object."""
    _, lines, _ = told(capsys, "journal", path, "--json")

    assert [json.loads(line)["strategy"] for line in lines] == ["High CPU", "Queue Stuck"]
    assert json.loads(lines[0])["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert json.loads(lines[0])["seq"] == 4


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["--strategy", "High CPU"], [4]),
        (["--target", "jobs"], [7]),
        (["--target", "jobs", "--strategy", "High CPU"], []),
        (["--limit", "1"], [7]),
        (["--limit", "0"], []),
        (["--run", "r0"], [2, 3, 4]),
        (["--all", "--target", "jobs"], [5, 6, 7]),
        (["--type", "action_done"], [3, 6]),
        (["--type", "action_done", "--type", "journal_opened"], [1, 3, 6]),
        (["--since", "2023-11-14T23:00"], [7]),
        (["--since", "2023-11-15T00:00:00+01:00"], [7]),
        (["--since", "2023-11-15"], []),
    ],
)
def test_selections(path: Path, arguments: list[str], seen: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Each option leaves what was asked for; a record without strategy or target goes by its run."""
    _, lines, _ = told(capsys, "journal", path, "--json", *arguments)

    assert [json.loads(line)["seq"] for line in lines] == seen


def test_since_so_long_ago(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A duration counts back from now, by the real clock."""
    clock = FakeClock(wall=SYSTEM_CLOCK.wall() - 5400.0)
    with Journal(tmp_path / "j", clock=clock) as journal:
        journal.append("verified", n=1)
        clock.advance(3600.0)
        journal.append("verified", n=2)

    _, lines, _ = told(capsys, "journal", tmp_path / "j", "--json", "--type", "verified", "--since", "1h")
    assert [json.loads(line)["n"] for line in lines] == [2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 910.0), ("1h30m", -4400.0), ("0.5d", -42_200.0), ("2w", -1_208_600.0), ("1970-01-01T00:00:01", 1.0)],
)
def test_moments(text: str, seconds: float) -> None:
    """A moment is so long before now, or a date."""
    assert moment(text, 1000.0) == seconds


@pytest.mark.parametrize("text", ["soon", "1", "h1", "-1h", "1.h", "1..5h", "²h", ""])
def test_no_moments(text: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is neither is refused with code 2, naming both."""
    code, lines, err = told(capsys, "journal", path, f"--since={text}")

    assert (code, lines) == (2, [])
    assert "must be so long ago (90s, 1h30m, 2d) or a date" in err


def test_no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is none, one line says so, with code 1."""
    code, lines, err = told(capsys, "journal", tmp_path / "nowhere")

    assert (code, lines) == (1, [])
    assert err == f"selfheal: journal {tmp_path / 'nowhere'}: there is none here.\n"


def test_a_directory_is_no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is said with its cause, without a traceback."""
    code, _, err = told(capsys, "journal", tmp_path)

    assert code == 1
    assert err == f"selfheal: journal {tmp_path}: it cannot be read (Is a directory).\n"


def test_damage_is_told_and_the_rest_is_shown(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged lines are counted on stderr; all others are on stdout."""
    path.write_bytes(path.read_bytes().replace(b"93.25", b"13.25"))
    code, lines, err = told(capsys, "journal", path)

    assert code == 0
    assert [line.split()[1] for line in lines] == ["STRATEGY", "Queue"]
    assert err == f"selfheal: journal {path}: 1 damaged line passed over.\n"


def test_an_empty_choice_is_no_error(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal without a healing of this kind shows the titles alone."""
    code, lines, err = told(capsys, "journal", path, "--strategy", "nobody's")

    assert (code, len(lines), err) == (0, 1, "")


def test_a_terminal_is_not_steered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in the journal are shown as escapes, in the table and among the fields."""
    with Journal(tmp_path / "j") as journal:
        journal.append("healing_finished", strategy="a\x1b[31mb\nc", target="web", value=1)

    for extra in ([], ["--all"]):
        _, lines, _ = told(capsys, "journal", tmp_path / "j", *extra)
        assert all(line.isprintable() for line in lines)
        assert any("[31mb" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["jurnal"], "invalid choice"),
        (["journal", "--limit", "-1"], "must be a whole number of 0 or more"),
        (["journal", "--limit", "x"], "must be a whole number of 0 or more"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments end with code 2 and say what is wrong."""
    code, lines, err = told(capsys, *arguments)

    assert (code, lines) == (2, [])
    assert said in err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` and ``--help`` print and end with 0."""
    assert told(capsys, "--version")[:2] == (0, [f"selfheal {__version__}"])
    code, lines, _ = told(capsys, "journal", "--help")
    assert code == 0
    assert any("exit codes" in line for line in lines)


def test_following_needs_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that cannot ever be a journal is not waited for."""
    code, _, err = told(capsys, "journal", tmp_path / "no" / "j", "--follow")

    assert code == 1
    assert "there is no such directory" in err
