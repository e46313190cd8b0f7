"""What a registry tells about itself: frozen records."""

from __future__ import annotations

import enum
from datetime import date
from typing import Any

import attrs

CAUTION_ABOVE = 5
"""More live tasks than this are graded ``caution``."""
OVERLOAD_ABOVE = 10
"""More live tasks than this are graded ``overload``."""


class RegistryState(enum.StrEnum):
    """What a registry is doing.

    ``idle``: no thread was started yet, or none is wanted. ``running``: its threads are at work.
    ``exhausted``: too many runs were abandoned, no further run starts until one of them ends.
    ``forked``: this process was forked from one where it ran; call ``start()``. ``stopped``: for good.
    """

    IDLE = "idle"
    RUNNING = "running"
    EXHAUSTED = "exhausted"
    FORKED = "forked"
    STOPPED = "stopped"


def load_grade(tasks: int) -> str:
    """Grade a number of live tasks: up to 5 ``normal``, 6 to 10 ``caution``, more ``overload``."""
    if tasks > OVERLOAD_ABOVE:
        return "overload"
    return "caution" if tasks > CAUTION_ABOVE else "normal"


@attrs.frozen(kw_only=True)
class TaskSnapshot:
    """One task at one moment.

    Args:
        id: its name.
        type: ``interval``, ``once`` or ``daily``.
        enabled: not paused.
        phase: ``waiting``, ``queued``, ``running``, ``stuck`` (an abandoned run is still alive), ``blocked``
            (waits for the run of an earlier generation) or ``done``.
        execution_count: runs that ended or were given up, failures included.
        failure_count: runs that raised or were overdue.
        consecutive_failures: failures since the last good run.
        last_error: the last failure as text, kept after later good runs; ``None`` if there was none.
        last_duration: seconds the last run took; ``None`` before the first.
        uptime: seconds since registration.
        next_run: wall-clock seconds since 1970 UTC of the next slot; ``None`` if there is none.
        next_in: seconds until the next slot, 0 if it is past; ``None`` if there is none.
        missed: slots without a run of their own because they were too late, or one run stood for several.
        misfires: how often a run was later than its grace.
        skipped: slots left out because the task was still running.
        overdue: runs that took longer than their timeout.
        running: whether a run is under way.
        owner: who registered it.
        generation: 1 for the first task of this id, one more for each that replaced it.
        last_day: of a daily task, the date its last run was for: what the next process hands over as ``last_run``.
            ``None`` before the first run.
    """

    id: str
    type: str
    enabled: bool
    phase: str
    execution_count: int
    failure_count: int
    consecutive_failures: int
    last_error: str | None
    last_duration: float | None
    uptime: float
    next_run: float | None
    next_in: float | None
    missed: int
    misfires: int
    skipped: int
    overdue: int
    running: bool
    owner: str | None
    generation: int
    last_day: date | None = None


@attrs.frozen(kw_only=True)
class RegistrySnapshot:
    """A registry at one moment.

    Args:
        total_tasks: tasks it holds, finished single runs included.
        active_tasks: those that are neither paused nor done.
        executions: runs of all its tasks that ended.
        failures: those that failed.
        load: ``normal``, ``caution`` or ``overload`` by the number of tasks that are not done.
        max_tasks: how many it may hold.
        state: what it is doing.
        abandoned: runs given up whose threads are still alive.
        settling: seconds left of the settle time after a clock jump; 0 if there was none.
        tasks: each task, in order of registration.
    """

    total_tasks: int
    active_tasks: int
    executions: int
    failures: int
    load: str
    max_tasks: int
    state: str
    abandoned: int
    settling: float
    tasks: tuple[TaskSnapshot, ...]


def summary(tasks: tuple[TaskSnapshot, ...], **rest: Any) -> RegistrySnapshot:
    """Add up ``tasks``; ``rest`` are the fields that do not come from them."""
    return RegistrySnapshot(
        total_tasks=len(tasks),
        active_tasks=sum(task.enabled and task.phase != "done" for task in tasks),
        executions=sum(task.execution_count for task in tasks),
        failures=sum(task.failure_count for task in tasks),
        load=load_grade(sum(task.phase != "done" for task in tasks)),
        tasks=tasks,
        **rest,
    )


@attrs.frozen(kw_only=True)
class ShutdownReport:
    """What came of a shutdown.

    Args:
        still_running: ids of tasks whose run did not end in time, sorted.
        dropped: ids of tasks whose queued run was dropped, sorted.
        duration: seconds it took.
    """

    still_running: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    duration: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing is left running."""
        return not self.still_running
