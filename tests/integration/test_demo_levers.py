"""The demo of the levers: every fault is seen and ended within its bound, and nothing is left, however it ends."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from examples.reference_app.running import survivors

ROOT = Path(__file__).resolve().parents[2]
FAULTS = (
    "provider process: SIGKILL",
    "provider process: hung (SIGSTOP)",
    "provider process: exits at once",
    "summary worker: SIGKILL at work",
    "summary worker: hung (SIGSTOP)",
    "summary worker: leaks memory",
    "summary worker: exits at once",
    "a task that ends its workers",
    "queue stuck: taken, never acknowledged",
    "queue stuck: tasks redistributed",
    "service: provider fails, workers are killed",
)


CPU = 45.0
"""Seconds of processor time for all of it. On a machine of its own it waits for the rest of its 90 s at most."""
PATIENCE = 10.0
"""How much more slack than by default: the machine may be busy with other tests."""


def start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.demo_levers", "--patience", f"{PATIENCE:g}"]
    environ = {**os.environ, "TMPDIR": str(directory)}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.timeout(600)
def test_every_fault_is_ended_within_its_bound(tmp_path: Path) -> None:
    """The exit code is 0, the table has a row for each fault with measured times, and it cost little CPU."""
    demo, before = start(tmp_path), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        said, _ = demo.communicate(timeout=500)
    finally:
        demo.kill()

    assert demo.returncode == 0, said
    assert list(tmp_path.iterdir()) == []
    assert "FAILED  " not in said
    assert "Traceback" not in said
    for fault in FAULTS:
        row = re.search(
            rf"^{re.escape(fault)} +(\d+\.\d+) s +(\d+\.\d+) s +(\d+\.\d+) s +(\d+\.\d+) s +ok ", said, re.M
        )
        assert row, f"{fault}\n{said}"
        seen, seen_bound, ended, ended_bound = map(float, row.groups())
        assert seen <= seen_bound
        assert seen <= ended <= ended_bound
    assert len(re.findall(r"^\S.* ok  ", said, re.M)) == len(FAULTS)
    assert "4 of 4 expectations held: ok" in said
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime <= CPU


def test_killed_in_the_middle_it_leaves_no_process(tmp_path: Path) -> None:
    """KILL at any moment: providers, workers and all they started end by themselves."""
    demo = start(tmp_path)
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if "requests wait for their summaries" in line:
                break
        family = {psutil.Process(demo.pid)}
        deadline = time.monotonic() + 60.0
        while len(family) < 3 and time.monotonic() < deadline:  # a worker may just be between two processes
            family.update(psutil.Process(demo.pid).children(recursive=True))
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()

    assert len(family) >= 3
    assert survivors(list(family), within=60.0) == []
