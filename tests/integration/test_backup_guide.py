"""The guide to backups tells the truth: every command in it runs, as printed and in order, and prints what it says."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from selfheal.cli import main
from tests.integration.test_operate_guide import ROOT, SECONDS, blocks, pattern, run_all

PAGE = ROOT / "docs" / "how-to" / "back-up-and-restore.md"


@pytest.fixture
def _selfheal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ``selfheal`` is this checkout's, whether it is installed or not."""
    path = tmp_path / "bin" / "selfheal"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m selfheal "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.usefixtures("_selfheal")
def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    """From the first backup to a machine that is gone, as a person under stress would go through the page."""
    found = blocks(PAGE.read_text(encoding="utf-8"))
    host = tmp_path / "host"
    host.mkdir()

    printed = run_all(found, host)

    assert len(printed) == len(found)
    for block, said in zip(found, printed, strict=True):
        wanted = pattern(block.output) if block.output else re.compile("")
        assert wanted.fullmatch(said), f"{PAGE.name}:{block.line}\n--- it says\n{block.output}--- it printed\n{said}"


def test_the_page_names_only_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command and option that the page names, within its text too, is one that the command line has."""
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"selfheal backup ([a-z]+)", text))
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", text)) - {"--quiet"}
    known = ""
    for name in named:
        assert main(["backup", name, "--help"]) == 0
        known += capsys.readouterr().out

    assert named >= {"init", "create", "list", "verify", "diff", "restore", "prune", "replicate"}
    assert {option for option in options if not re.search(rf"{option}\b", known)} == set()
