"""The supervisor beside supervisord and circus, all measured in one run.

``python -m benchmarks.bench_supervisor`` takes about a minute and prints a table and, for each gate, whether it holds.
All supervisors idle side by side, each in a process of its own with ten workers, so that they are measured under the
same conditions. A crash counts as noticed when the dead worker has been reaped: until then it is a zombie.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Gate, print_gates, print_table

WORKERS = 10
SETTLE = 5.0
IDLE_FOR = 30.0
KILLS = 8
LOST = 15.0
"""Seconds after which a crash counts as not noticed."""

OURS, BEATING, SUPERVISORD, CIRCUS = "selfheal", "selfheal, heartbeats", "supervisord", "circus"
BEAT = 'while :; do touch "$SELFHEAL_HEARTBEAT"; sleep 1; done'

HOST = """
import sys
from selfheal.supervision import Supervisor
worker = {"command": sys.argv[3:], "restart": {"intensity": 1000, "backoff": 0.05, "factor": 1.0}}
if sys.argv[2] == "beating":
    worker["health"] = {"type": "heartbeat"}
made = Supervisor({"workers": {f"w{i}": worker for i in range(int(sys.argv[1]))}}, state_dir="state")
made.start()
sys.stdin.read()
made.shutdown(5.0)
"""

SUPERVISORD_CONF = """
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/pid

[program:w]
command = sleep 100000
process_name = %(program_name)s_%(process_num)02d
numprocs = {workers}
startsecs = 0
"""

CIRCUS_CONF = """
[circus]
endpoint = ipc://{folder}/endpoint
pubsub_endpoint = ipc://{folder}/pubsub
stats_endpoint = ipc://{folder}/stats
statsd = false

[watcher:w]
cmd = sleep 100000
numprocesses = {workers}
"""


def _ours(folder: Path, how: str, *command: str) -> list[str]:
    return [sys.executable, "-c", HOST, str(WORKERS), how, *command]


def _supervisord(folder: Path) -> list[str]:
    (folder / "conf").write_text(SUPERVISORD_CONF.format(folder=folder, workers=WORKERS))
    return [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder / "conf")]


def _circus(folder: Path) -> list[str]:
    (folder / "conf").write_text(CIRCUS_CONF.format(folder=folder, workers=WORKERS))
    start = "import sys; from circus.circusd import main; sys.exit(main())"
    return [sys.executable, "-W", "ignore", "-c", start, str(folder / "conf")]


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    OURS: lambda folder: _ours(folder, "plain", "sleep", "100000"),
    BEATING: lambda folder: _ours(folder, "beating", "/bin/sh", "-c", BEAT),
    SUPERVISORD: _supervisord,
    CIRCUS: _circus,
}


class Subject:
    """One supervisor at work in a directory of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        folder.mkdir()
        self._popen = subprocess.Popen(
            COMMANDS[name](folder),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "errors").open("w"),
        )
        self._errors = folder / "errors"

    def workers(self) -> list[int]:
        """Its live children."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == self._popen.pid and fields[0] != "Z":
                    found.append(int(name))
        return found

    def settle(self) -> None:
        """Wait until all its workers are there."""
        end = time.monotonic() + 30
        while len(self.workers()) < WORKERS:
            if time.monotonic() > end or self._popen.poll() is not None:
                raise SystemExit(f"{self.name} did not start its workers:\n{self._errors.read_text()}")
            time.sleep(0.05)

    def cpu(self) -> float:
        """Seconds of CPU that it has used, all its threads together."""
        tasks = Path(f"/proc/{self._popen.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def notice(self) -> float:
        """Kill a worker; the seconds until it was reaped."""
        victim = random.choice(self.workers())
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        while Path(f"/proc/{victim}").exists():
            if time.monotonic() - began > LOST:
                return LOST
            time.sleep(0.0005)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it and its workers."""
        workers = self.workers()
        self._popen.send_signal(signal.SIGTERM) if self.name in (SUPERVISORD, CIRCUS) else None
        try:
            self._popen.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.communicate()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def measure(folder: Path) -> dict[str, tuple[float, list[float]]]:
    """Idle CPU in percent and the seconds until each crash was noticed, for each supervisor."""
    subjects = [Subject(name, folder / str(number)) for number, name in enumerate(COMMANDS)]
    try:
        for subject in subjects:
            subject.settle()
        time.sleep(SETTLE)
        before, began = [subject.cpu() for subject in subjects], time.monotonic()
        time.sleep(IDLE_FOR)
        passed = time.monotonic() - began
        idle = [100 * (subject.cpu() - cpu) / passed for subject, cpu in zip(subjects, before, strict=True)]
        noticed: list[list[float]] = [[] for _ in subjects]
        for _ in range(KILLS):
            time.sleep(random.random() * 0.5)
            for subject, times in zip(subjects, noticed, strict=True):
                times.append(subject.notice())
        return {s.name: (cpu, times) for s, cpu, times in zip(subjects, idle, noticed, strict=True)}
    finally:
        for subject in subjects:
            subject.stop()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(Path(folder))
    rows = [
        [name, f"{cpu:.3f}", f"{1000 * statistics.median(times):.1f}", f"{1000 * max(times):.1f}"]
        for name, (cpu, times) in found.items()
    ]
    head = [f"{WORKERS} workers", "idle CPU, %", "crash noticed, median ms", "worst ms"]
    print_table("supervisors side by side", head, rows)
    gates = [
        Gate("idle CPU, %", found[OURS][0], "≤", 0.1),
        Gate("idle CPU with heartbeats, %", found[BEATING][0], "≤", 0.1),
        Gate("crash noticed, worst, ms", 1000 * max(found[OURS][1] + found[BEATING][1]), "≤", 100),
    ]
    return print_gates(gates)


if __name__ == "__main__":
    sys.exit(main())
