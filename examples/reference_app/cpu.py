"""The CPU that a process takes, and that it waits for."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from pathlib import Path

import psutil

from selfheal.clock import Clock

OVER = 2.0
"""Seconds that are looked back over: what is shorter is mostly chance."""
MOST = 100.0
"""Percent of one core. A process that wants more is not worse for that: one core is more than any here may have."""


class CpuMeter:
    """The CPU of one process.

    What it waits for counts as well, unless told otherwise: on a machine that others keep busy, a process that runs
    away gets no more than its share, and would go unnoticed by what it got.

    Args:
        pid: the process, or ``None`` where there is none.
        clock: for the time between two looks.
        waiting: whether what it waits for counts. Where it does, a process on a machine that others keep busy looks
            busy itself.
    """

    def __init__(self, pid: int | None, clock: Clock, *, waiting: bool = True) -> None:
        self.pid = pid
        self._waiting = waiting
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()
        self._queued = self._in_queue = 0.0

    def percent(self) -> float:
        """Percent of one core, 100 at most; NaN at the first look, and without a process."""
        if self.pid is None:
            return math.nan
        try:
            taken = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess:  # it ended since: the next look finds the new one
            return math.nan
        now, queued = self._clock.monotonic(), waited(self.pid) if self._waiting else 0.0
        self._in_queue += max(queued - self._queued, 0.0)  # it drops when a thread ends
        self._queued = queued
        self._seen.append((now, taken.user + taken.system + self._in_queue))
        while len(self._seen) > 2 and now - self._seen[1][0] >= OVER:
            self._seen.popleft()
        (since, before), (at, total) = self._seen[0], self._seen[-1]
        return min((total - before) / (at - since) * 100, MOST) if at > since else math.nan


def waited(pid: int) -> float:
    """Seconds for which the threads of a process were ready to run and had no CPU; 0 where the system does not tell."""
    nanoseconds = 0
    tasks = Path(f"/proc/{pid}/task")
    try:
        threads = os.listdir(tasks)
    except OSError:  # that process has ended
        return 0.0
    for thread in threads:
        with contextlib.suppress(OSError):  # that thread has ended
            nanoseconds += int((tasks / thread / "schedstat").read_text().split()[1])
    return nanoseconds / 1e9
