"""How much of what this process may use is in use: CPU and memory, in percent, aware of containers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.usage.cgroup import Cgroups, CpuLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

MACHINE = "machine"
UNKNOWN = "unknown"

_SHORTEST = 0.05
"""Seconds below which two readings say nothing about CPU: the kernel counts in ticks of 10 ms."""


@attrs.frozen(kw_only=True)
class Usage:
    """One reading.

    Args:
        cpu: percent of the CPU time that may be used since the reading before; ``None`` where it is not known, as
            at the very first.
        memory: percent of the memory that may be used; ``None`` where it is not known.
        cpu_source: what ``cpu`` is a share of: a cgroup's directory, ``machine`` or ``unknown``.
        memory_source: the same for ``memory``.
        cpu_cores: CPUs' worth of time that may be used, or ``None``.
        memory_used: bytes in use, or ``None``.
        memory_limit: bytes that may be used, or ``None``.
        cpu_pressure: percent of the last 10 s in which some work waited for a CPU, or ``None`` on a kernel without PSI.
        memory_pressure: the same for memory.
        problems: what could not be read, in words; something else was taken in its place.
    """

    cpu: float | None = None
    memory: float | None = None
    cpu_source: str = UNKNOWN
    memory_source: str = UNKNOWN
    cpu_cores: float | None = None
    memory_used: int | None = None
    memory_limit: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    problems: tuple[str, ...] = ()


class Machine(Protocol):
    """The machine as a whole, for where no cgroup sets a limit."""

    def cpu_times(self) -> tuple[float, float, float]:
        """Busy seconds, all seconds (both of all CPUs this process may run on, since boot), and how many CPUs."""

    def memory(self) -> tuple[int, int]:
        """Bytes in use (what cannot be had without swapping), and bytes there are."""


class PsutilMachine:
    """The :class:`Machine` as psutil sees it."""

    def cpu_times(self) -> tuple[float, float, float]:
        """Busy and all seconds of the CPUs that this process may run on.

        Not ``psutil.cpu_percent``: that keeps one memory for the whole process, so that two who ask
        spoil each other's answer, and its first is 0.0.
        """
        import psutil

        times = psutil.cpu_times(percpu=True)
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(times)))
        mine = [one for number, one in enumerate(times) if number in allowed] or times
        total = sum(sum(one) - getattr(one, "guest", 0.0) - getattr(one, "guest_nice", 0.0) for one in mine)
        idle = sum(one.idle + getattr(one, "iowait", 0.0) for one in mine)
        return total - idle, total, float(len(mine))

    def memory(self) -> tuple[int, int]:
        """Total minus available, and total."""
        import psutil

        memory = psutil.virtual_memory()
        return memory.total - memory.available, memory.total


@attrs.frozen
class _Counters:
    """What the next CPU reading is measured against."""

    at: float
    cgroups: Mapping[str, float]
    busy: float | None
    total: float | None


class UsageReader:
    """Reads :class:`Usage`, each reading measured against the one before.

    CPU: of all cgroups from the process's own upwards that have a quota, the one nearest to it decides; without a
    quota it is the share of the CPUs that the process may run on. Memory: the same with limits, inactive file
    cache not counted; without a limit, of the machine. A file that is missing, garbage or not readable is passed
    over for the next best; ``Usage.problems`` says so. It never raises.

    Made, it takes a first reading, so that the next one has something to be measured against. Two that ask for CPU
    within 50 ms of each other get the same answer. Safe from several threads; readers do not disturb each other.

    Args:
        root: directory that stands for ``/``; another one in tests.
        machine: the machine as a whole; psutil's view where none is given.
        clock: the time it goes by.
    """

    def __init__(self, *, root: Path | str = "/", machine: Machine | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._root = Path(root)
        self._machine: Machine = machine if machine is not None else PsutilMachine()
        self._clock = clock
        self._before: _Counters | None = None
        self._cpu: tuple[float | None, str, float | None] = (None, UNKNOWN, None)
        self._cpu_problems: tuple[str, ...] = ()
        self.read()

    def __repr__(self) -> str:
        return f"UsageReader(root={str(self._root)!r})"

    def read(self) -> Usage:
        """Take a reading."""
        cgroups = Cgroups(self._root)
        cgroups.begin()
        cpu, cpu_source, cores = self._read_cpu(cgroups)
        used, limit, memory_source = self._read_memory(cgroups)
        return Usage(
            cpu=cpu,
            cpu_source=cpu_source,
            cpu_cores=cores,
            memory=_percent(used, limit),
            memory_source=memory_source,
            memory_used=used,
            memory_limit=limit,
            cpu_pressure=cgroups.pressure("cpu"),
            memory_pressure=cgroups.pressure("memory"),
            problems=tuple(cgroups.problems),
        )

    def _read_cpu(self, cgroups: Cgroups) -> tuple[float | None, str, float | None]:
        now, before = self._clock.monotonic(), self._before
        if before is not None and now - before.at < _SHORTEST:
            cgroups.problems.extend(self._cpu_problems)
            return self._cpu
        levels = cgroups.cpu()
        times = self._machine_times(cgroups)
        self._cpu_problems = tuple(cgroups.problems)
        busy, total, cpus = times if times is not None else (None, None, None)
        self._before = _Counters(now, {level.where: level.seconds for level in levels}, busy, total)
        if cpus is not None:  # a quota of more than there is binds nothing
            levels = [level for level in levels if level.cores < cpus]
        if levels:
            self._cpu = _of_quota(levels, before, now)
        elif cpus is not None:
            self._cpu = (_of_machine(busy, total, before), MACHINE, cpus)
        else:
            self._cpu = (None, UNKNOWN, None)
        return self._cpu

    def _read_memory(self, cgroups: Cgroups) -> tuple[int | None, int | None, str]:
        levels = cgroups.memory()
        try:
            used, total = self._machine.memory()
        except Exception as error:
            cgroups.problems.append(f"the machine's memory cannot be read ({type(error).__name__})")
            used, total = 0, 0
        levels = [level for level in levels if not total or level.limit < total]
        if levels:
            tightest = max(levels, key=lambda level: level.used / level.limit)
            return tightest.used, tightest.limit, tightest.where
        return (used, total, MACHINE) if total else (None, None, UNKNOWN)

    def _machine_times(self, cgroups: Cgroups) -> tuple[float, float, float] | None:
        try:
            return self._machine.cpu_times()
        except Exception as error:
            cgroups.problems.append(f"the machine's CPU times cannot be read ({type(error).__name__})")
            return None


def _of_quota(levels: list[CpuLevel], before: _Counters | None, now: float) -> tuple[float | None, str, float | None]:
    """Percent of its quota, where, and the quota in CPUs, of the level nearest to its quota."""
    shares: list[tuple[float, CpuLevel]] = []
    for level in levels:
        was = None if before is None else before.cgroups.get(level.where)
        if before is not None and was is not None and level.seconds >= was:
            shares.append((100.0 * (level.seconds - was) / (level.cores * (now - before.at)), level))
    if not shares:  # the first reading, or moved to another cgroup since
        tightest = min(levels, key=lambda level: level.cores)
        return None, tightest.where, tightest.cores
    share, level = max(shares, key=lambda pair: pair[0])
    return min(share, 100.0), level.where, level.cores


def _of_machine(busy: float | None, total: float | None, before: _Counters | None) -> float | None:
    if busy is None or total is None or before is None or before.busy is None or before.total is None:
        return None
    passed = total - before.total
    return min(max(100.0 * (busy - before.busy) / passed, 0.0), 100.0) if passed > 0 else None


def _percent(used: int | None, limit: int | None) -> float | None:
    return None if used is None or not limit else min(100.0 * used / limit, 100.0)
