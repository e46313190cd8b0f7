"""Progress: bars or lines on a terminal, nothing elsewhere."""

from __future__ import annotations

import argparse
import importlib.util
import io
from typing import Any

import pytest

from selfheal.backup import Progress
from selfheal.cli.backup.showing import share, showing
from tests.cli.backup.rig import Host


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal. Within a test, for pytest puts its own there before each."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    return found


@pytest.fixture
def _no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "rich" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)


def told(*done: int, json: bool = False) -> None:
    """Tell of so many bytes of 100 copied."""
    with showing(argparse.Namespace(json=json)) as tell:
        for number in done:
            if tell is not None:
                tell(Progress("copying", "data", 0, 0, number, 100))


@pytest.mark.usefixtures("_no_rich")
def test_a_line_each_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rich each tenth is a line, none twice."""
    terminal = at_terminal(monkeypatch)
    told(0, 9, 10, 19, 45, 100, 100)

    assert [line.partition(" (")[0] for line in terminal.getvalue().splitlines()] == [
        "copying data: 10 %",
        "copying data: 40 %",
        "copying data: 100 %",
    ]
    assert terminal.getvalue().startswith("copying data: 10 % (0 of 0 files, 10 bytes of 100 bytes)\n")


def test_lines_on_a_terminal_that_can_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets lines, too."""
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    told(50)

    assert terminal.getvalue() == "copying data: 50 % (0 of 0 files, 50 bytes of 100 bytes)\n"


def test_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich there is a bar, which is gone at the end."""
    terminal = at_terminal(monkeypatch)
    told(10, 50, 100)

    assert "copying data" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert not terminal.getvalue().rstrip().endswith("bytes")


def test_nothing_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal nothing is shown."""
    told(10, 50, 100)

    assert capsys.readouterr() == ("", "")


def test_nothing_where_there_is_no_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without stderr shows nothing, and goes on."""
    monkeypatch.setattr("sys.stderr", None)
    told(10, 50, 100)


def test_nothing_beside_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--json`` nothing is shown on a terminal either."""
    terminal = at_terminal(monkeypatch)
    told(10, 50, 100, json=True)

    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("_no_rich")
@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["create"],
            ["copying config: 100 %", "copying data: 100 %", "verifying config: 100 %", "verifying data: 100 %"],
        ),
        (["create", "--json"], []),
        (["diff"], ["comparing config: 100 %", "comparing data: 100 %"]),
        (["diff", "--no-hashes"], ["comparing config: 100 %", "comparing data: 100 %"]),
        (["verify"], ["verifying config: 100 %", "verifying data: 100 %"]),
        (["restore", "--yes"], ["config: 100 %", "data: 100 %"]),
    ],
)
def test_what_commands_show(
    host: Host, arguments: list[str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes long tells of itself, section by section."""
    terminal = at_terminal(monkeypatch)
    host("create", "--json")
    assert terminal.getvalue() == ""
    assert host(*arguments).code == 0

    shown = [line.partition(" (")[0] for line in terminal.getvalue().splitlines()]
    assert len([line for line in shown if any(line.endswith(wanted) for wanted in lines)]) == len(lines)
    assert bool(shown) is bool(lines)


@pytest.mark.parametrize(
    ("progress", "done"),
    [
        (Progress("copying", "a", 0, 0, 0, 0), 1.0),
        (Progress("copying", "a", 5, 10, 0, 0), 0.5),
        (Progress("copying", "a", 0, 0, 1 << 20, 1 << 21), 0.5),
        (Progress("copying", "a", 9, 3, 9, 3), 1.0),
    ],
)
def test_how_much_is_done(progress: Progress, done: float) -> None:
    """Files count beside bytes, so that many small ones move the bar; a source that grew is never beyond its end."""
    assert share(progress) == done
