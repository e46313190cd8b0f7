"""One registered task and one run of it, as records."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.tasks.daily import DailySchedule
from selfheal.tasks.options import TaskOptions, is_async
from selfheal.tasks.schedule import NEVER, Phase, Schedule
from selfheal.tasks.snapshots import TaskSnapshot

if TYPE_CHECKING:
    from selfheal.clock import Clock

_TEXT = 300
"""Characters kept of an error."""


class Task:
    """A task and its statistics. Guarded by the registry's lock.

    Args:
        options: what it was told.
        now: monotonic seconds.
        generation: how many tasks of this id there were, this one included.
        order: a number of its own, so that equal due times can be ordered.
        blocked: an earlier generation is still running.
        apart: wall-clock seconds minus monotonic seconds; only daily tasks ask.
    """

    __slots__ = (
        "added",
        "consecutive",
        "executions",
        "failures",
        "fn",
        "generation",
        "id",
        "is_async",
        "last_duration",
        "last_error",
        "options",
        "order",
        "overdue",
        "schedule",
        "timeout",
    )

    def __init__(
        self,
        options: TaskOptions,
        now: float,
        generation: int,
        order: int,
        blocked: bool = False,
        apart: float = 0.0,
    ) -> None:
        self.id = options.id
        self.fn = options.fn
        self.options = options
        self.timeout = options.timeout
        self.is_async = is_async(options.fn)
        self.generation = generation
        self.order = order
        self.added = now
        self.executions = 0
        self.failures = 0
        self.consecutive = 0
        self.overdue = 0
        self.last_error: str | None = None
        self.last_duration: float | None = None
        self.schedule = _schedule(options, now, apart, blocked)

    @property
    def done(self) -> bool:
        """Whether it will never run again."""
        return self.schedule.phase is Phase.DONE

    def failed(self, error: str) -> None:
        """Count one failure."""
        self.failures += 1
        self.consecutive += 1
        self.last_error = error

    def snapshot(self, clock: Clock) -> TaskSnapshot:
        """Tell how it stands."""
        schedule, now = self.schedule, clock.monotonic()
        next_in = None if schedule.due == NEVER else max(schedule.due - now, 0.0)
        daily = schedule if isinstance(schedule, DailySchedule) else None
        slot = clock.wall() + (schedule.due - now) if daily is None else daily.slot
        return TaskSnapshot(
            id=self.id,
            type=self.options.type,
            enabled=not schedule.paused,
            phase=schedule.phase.value,
            execution_count=self.executions,
            failure_count=self.failures,
            consecutive_failures=self.consecutive,
            last_error=self.last_error,
            last_duration=self.last_duration,
            uptime=now - self.added,
            next_run=None if next_in is None else float(slot),
            next_in=next_in,
            missed=schedule.missed,
            misfires=schedule.misfires,
            skipped=schedule.skipped,
            overdue=self.overdue,
            running=schedule.phase is Phase.RUNNING or schedule.phase is Phase.STUCK,
            owner=self.options.owner,
            generation=self.generation,
            last_day=None if daily is None else daily.last_day,
        )


def _schedule(options: TaskOptions, now: float, apart: float, blocked: bool) -> Schedule:
    """The machine that goes with ``options``."""
    rules: dict[str, Any] = {
        "grace": options.grace,
        "skip_late": options.misfire == "skip",
        "buffer_one": options.overrun == "buffer_one",
        "rerun_stuck": options.on_stuck == "rerun",
        "blocked": blocked,
    }
    if options.daily is not None:
        return DailySchedule(options.daily, now, apart, **rules)
    return Schedule(now + options.delay, NEVER if options.every is None else options.every, **rules)


class Run:
    """One run under way.

    Args:
        task: what runs.
        number: the number :meth:`Schedule.begin` gave it.
        started: monotonic seconds.
    """

    __slots__ = ("__weakref__", "abandoned", "cancelled", "ended", "host", "number", "overdue", "started", "task")

    def __init__(self, task: Task, number: int, started: float) -> None:
        self.task = task
        self.number = number
        self.started = started
        self.cancelled = False
        self.abandoned = False
        self.overdue = False
        self.ended = False
        self.host: Any = None


class Trouble(NamedTuple):
    """A run that did not go well.

    ``overdue`` tells a run that took too long from one that raised; ``timeout`` is what it was given.
    """

    task_id: str
    error: str
    consecutive: int
    overdue: bool = False
    timeout: float = 0.0


_current = threading.local()


def set_current(run: Run | None) -> None:
    """Note which run this thread is in."""
    _current.run = run


def current_run() -> Run | None:
    """The run this thread is in, if any."""
    return getattr(_current, "run", None)


def cancel_requested() -> bool:
    """Tell a task whether it should stop early: its run is overdue, or the registry is shutting down.

    For long sync tasks, which nobody can stop from outside: look here between two steps. ``False``
    outside a run. Async tasks need not ask; they are cancelled.
    """
    run = current_run()
    return run is not None and run.cancelled


def describe(error: BaseException) -> str:
    """An error as one bounded text, whatever its ``__str__`` does."""
    kind = type(error).__name__
    try:
        told = str(error)
    except Exception as broken:
        told = f"<its text raised {type(broken).__name__}>"
    text = f"{kind}: {told}" if told else kind
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
