"""``selfheal journal`` as a process: followed, interrupted, at the end of a pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.journal import Journal

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "selfheal", "journal"]


def healed(journal: Journal, n: int) -> None:
    """One more line of the table."""
    journal.append("healing_finished", strategy=f"strategy-{n}", target="web", success=True, dry_run=False)


@pytest.mark.parametrize("ends", [signal.SIGINT, "writer"])
def test_followed_until_interrupted(tmp_path: Path, ends: object) -> None:
    """What is written is shown at once, across a rotation; an interrupt ends it with 0 and without a traceback."""
    with Journal(tmp_path / "j", max_bytes=1024) as journal:
        healed(journal, 0)
        command = [*COMMAND, str(journal.path), "--follow", "--json"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["strategy"] == "strategy-0"
            for n in range(1, 12):
                healed(journal, n)
                assert json.loads(process.stdout.readline())["strategy"] == f"strategy-{n}"
            if ends == "writer":
                journal.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_the_reader_of_a_pipe_goes_away(tmp_path: Path) -> None:
    """A pipe whose other end was closed ends the command quietly."""
    with Journal(tmp_path / "j") as journal:
        for n in range(5000):
            healed(journal, n)
    line = f"{' '.join(COMMAND)} {tmp_path / 'j'} | head -n 2; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 2


def test_exit_codes(tmp_path: Path) -> None:
    """The process ends as the command says: 0, 1 without a journal, 2 for wrong arguments."""
    with Journal(tmp_path / "j"):
        pass
    codes = [
        subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60).returncode
        for arguments in ([str(tmp_path / "j")], [str(tmp_path / "nowhere")], ["--limit", "many"])
    ]

    assert codes == [0, 1, 2]


def test_a_terminal_of_few_letters(tmp_path: Path) -> None:
    """Letters that the terminal does not have are shown as escapes, and end nothing."""
    with Journal(tmp_path / "j") as journal:
        journal.append("healing_finished", strategy="Überlast", target="web \ud800")
    run = subprocess.run(
        [*COMMAND, str(tmp_path / "j")],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert "\\xdcberlast" in run.stdout
    assert "web \\ud800" in run.stdout
