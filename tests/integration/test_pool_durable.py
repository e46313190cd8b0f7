"""A pool over a durable queue whose whole host is killed in the middle of the work, more than once."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from selfheal.events import EventBus
from selfheal.resources import TaskQueue

ROOT = Path(__file__).parents[2]
TASKS = 1_500

HOST = """
    import sys, time
    from selfheal.resources import TaskQueue
    from selfheal.supervision import WorkerPool
    queue = TaskQueue("host", path=sys.argv[1], synchronous="normal", visibility=1.0, max_deliveries=100)
    with WorkerPool("benchmarks.bench_queue:note", queue, size=3, stop_grace=1.0) as pool:
        pool.wait_ready()
        print("ready", flush=True)
        while queue.snapshot().size:
            time.sleep(0.05)
    print("done", flush=True)
"""


def done(log: Path) -> int:
    """How many runs were noted so far."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.timeout(300)
def test_a_killed_host_loses_nothing(tmp_path: Path) -> None:
    """Its successor on the same file finishes every task; what was done twice has a delivery count that says so."""
    file, log, rng = tmp_path / "queue.sqlite", tmp_path / "log", random.Random(3)
    queue = TaskQueue("host", path=file, synchronous="normal", events=EventBus())
    ids = {queue.put(str(log), priority=n % 10) for n in range(TASKS)}
    queue.close()
    killed, said = 0, ""
    while said != "done\n":
        command = [sys.executable, "-c", textwrap.dedent(HOST), str(file)]
        host = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert host.stdout is not None
        said = host.stdout.readline()
        if killed < 4:
            enough = done(log) + rng.randrange(1, 200)
            while done(log) < enough:
                time.sleep(0.001)
            host.kill()
            killed += 1
        else:
            said = host.stdout.readline()
        host.wait()
        host.stdout.close()

    runs = Counter(tuple(map(int, line.split())) for line in log.read_text().splitlines())
    assert {task for task, _ in runs} == ids
    assert [run for run, times in runs.items() if times > 1] == []
    assert max(count for _, count in runs) > 1
