"""The operations guide tells the truth: every command in it runs, as printed and in order, and prints what it says.

The commands run in one bash, with the real curl and jq, against the reference app that the guide itself starts on
port 3001. The convention of the page: each ```` ```bash ```` block is followed by ``It prints:`` and a block with the
output, or by ``It prints nothing.``; ``...`` stands for any text within a line, or alone on a line for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from markdown_it import MarkdownIt

from examples.reference_app.running import is_free

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "operate.md"
PORT = 3001
PATIENCE = 300
"""Seconds to wait for the port: another run of these tests, in another checkout, gives it back."""
SECONDS = 300
"""Seconds for all commands of the page; they take 35 on a quiet machine."""
_MARK = "@@@@ block"


@attrs.frozen
class Block:
    """Commands of the page, where they begin, and what the page says they print."""

    line: int
    commands: str
    output: str


def blocks(text: str) -> list[Block]:
    """Find the commands of a page with their outputs; every one must have one."""
    tokens = [token for token in MarkdownIt("commonmark").parse(text) if token.type in {"inline", "fence"}]
    found = []
    for i, token in enumerate(tokens):
        if token.type != "fence" or token.info != "bash":
            continue
        line = token.map[0] + 2 if token.map else 0
        said = tokens[i + 1].content if i + 1 < len(tokens) else ""
        if said == "It prints nothing.":
            found.append(Block(line, token.content, ""))
        elif said == "It prints:" and tokens[i + 2].info in {"text", "json"}:
            found.append(Block(line, token.content, tokens[i + 2].content))
        else:
            raise ValueError(f"line {line}: the page does not say what these commands print")
    return found


def pattern(output: str) -> re.Pattern[str]:
    """An output of the page as an expression: ``...`` is any text within a line, or alone on one any lines."""
    return re.compile("".join(map(_line, output.strip("\n").split("\n"))))


def _line(line: str) -> str:
    return r"(?:[^\n]*\n)*?" if line == "..." else r"[^\n]*?".join(map(re.escape, line.split("..."))) + "\n"


def run_all(found: list[Block], directory: Path) -> list[str]:
    """Run the blocks in one bash; give what each printed. Whatever they started is ended."""
    script = "".join(f"echo '{_MARK} {i}'\n{block.commands}\n" for i, block in enumerate(found))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FEATURE_", "SUMMARY_API"))}
    environ |= {"PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    # The machine is shared with other tests: how busy those keep it must not show in what the guide prints.
    environ |= {"REFERENCE_APP_CPU_LIMIT": "100", "REFERENCE_APP_MEMORY_LIMIT": "100"}
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        so_far = (late.stdout or b"").decode()
        pytest.fail(f"the guide's commands did not end within {SECONDS} s; so far they printed:\n{so_far}")
    finally:
        end(shell)
    return [part.partition("\n")[2] for part in said.split(_MARK)[1:]]


def end(shell: subprocess.Popen[str]) -> None:
    """Kill what is left of the shell's session: nothing, when all went well."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    shell.wait()


def wait_for_port() -> None:
    """Wait until nobody listens on the port; fail when somebody goes on doing so."""
    deadline = time.monotonic() + PATIENCE
    while not is_free(PORT):
        if time.monotonic() > deadline:
            pytest.fail(
                f"port {PORT} is in use; the guide's commands, run as printed, need it: stop what listens there"
            )
        time.sleep(0.5)


@pytest.mark.timeout(PATIENCE + SECONDS + 30)
def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    """From the start of the service over dormancy and back to its end, as an operator would go through the page."""
    for tool in ("bash", "curl", "jq"):
        assert shutil.which(tool), f"{tool} is needed to run the commands of the guide"
    wait_for_port()
    found = blocks(PAGE.read_text(encoding="utf-8"))

    printed = run_all(found, tmp_path)

    assert len(printed) == len(found)
    for block, said in zip(found, printed, strict=True):
        wanted = pattern(block.output) if block.output else re.compile("")
        where = f"{PAGE.name}:{block.line}"
        assert wanted.fullmatch(said), (
            f"{where}\n--- it says\n{block.output}--- it printed\n{said}--- log\n{log(tmp_path)}"
        )


def log(directory: Path) -> str:
    """The end of the app's log, for whoever has to find out."""
    kept = directory / ".reference_app" / "app.log"
    return kept.read_text()[-3000:] if kept.exists() else ""


def test_the_page_covers_what_an_operator_needs() -> None:
    """Each part of the status, recovery, reset, clean-up, flags and all three levels are there."""
    commands = "\n".join(block.commands for block in blocks(PAGE.read_text(encoding="utf-8")))

    for needed in (
        "jq '.selfHealing'",
        "jq '.circuitBreakers'",
        "jq '.backgroundTasks'",
        "jq '{issues, recommendations}'",
        "jq '.llm.keyManagement'",
        "group_by(.id)",
        "/api/system/heal/resume",
        "/api/breakers/summary-provider/reset",
        "/api/tasks/cleanup",
        "FEATURE_AUTO_HEALING_ENABLED=false",
    ):
        assert needed in commands
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("### Level")] == [
        "### Level 1: look and resume",
        "### Level 2: take automation out of the game",
        "### Level 3: stop and start clean",
    ]


def test_a_command_without_its_output_is_found() -> None:
    """The reader of the page does not let a command pass of which the page does not say what it prints."""
    with pytest.raises(ValueError, match="line 2"):
        blocks("```bash\necho hello\n```\n\nSome text.\n")


@pytest.mark.parametrize(
    ("output", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ('"x": ...,\n', '"x": 17,\n', True),
        ('"x": ...,\n', '"x": 1,\n"y": 2,\n', False),
        ("[\n...\n]\n", "[\n1\n2\n]\n", True),
        ("a.c\n", "abc\n", False),
    ],
)
def test_outputs_are_compared_line_by_line(output: str, printed: str, same: bool) -> None:
    """Only what ``...`` stands for may differ."""
    assert bool(pattern(output).fullmatch(printed)) is same
