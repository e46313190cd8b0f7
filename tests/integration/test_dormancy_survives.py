"""Dormancy over real processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import selfheal

ENTER = """
import os, signal, sys
from selfheal import DormantController, EventBus
from selfheal.state import SQLiteStore

dormancy = DormantController(store=SQLiteStore(sys.argv[1]), events=EventBus())
print(dormancy.is_dormant, flush=True)
if sys.argv[2] == "enter":
    dormancy.enter("10 consecutive healings failed", "automatic")
elif sys.argv[2] == "resume":
    dormancy.resume("fixed", by="test")
os.kill(os.getpid(), signal.SIGKILL)
"""


def life(path: Path, does: str) -> str:
    """Run a process that looks, does something, and is killed right after; return what it saw."""
    env = {**os.environ, "PYTHONPATH": str(Path(selfheal.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", ENTER, str(path), does], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.strip()


def test_dormancy_and_resume_survive_a_kill(tmp_path: Path) -> None:
    """What was entered or resumed before SIGKILL holds in the next process, and in the one after it."""
    path = tmp_path / "state.sqlite"
    seen = [life(path, does) for does in ("look", "enter", "look", "look", "resume", "look")]

    assert seen == ["False", "False", "True", "True", "True", "False"]
