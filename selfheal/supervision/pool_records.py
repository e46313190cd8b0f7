"""What a worker pool tells of itself, and what it asks of its queue."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from selfheal.resources import Delivery


class TaskSource(Protocol):
    """What a pool needs of a queue; :class:`selfheal.resources.TaskQueue` is one, a host may bring another."""

    def take(self, worker: str = "", timeout: float | None = 0.0) -> Delivery | None:
        """Take the task that is next."""

    def ack(self, delivery: Delivery) -> bool:
        """The task is done."""

    def nack(self, delivery: Delivery, delay: float = 0.0, reason: str = "") -> bool:
        """The task was not done."""

    def bury(self, delivery: Delivery, reason: str) -> bool:
        """The task can never be done."""

    def extend(self, delivery: Delivery) -> Delivery | None:
        """The task is still worked on."""

    def next_change_in(self) -> float | None:
        """Seconds until time alone may make a task takeable."""

    def listen(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Call ``wake`` whenever a task may have become takeable; answer what ends that."""


class PoolState(enum.StrEnum):
    """What a pool is doing."""

    NEW = "NEW"
    """Not started yet, or in a process forked from the one where it ran."""
    RUNNING = "RUNNING"
    """Keeps as many workers as it is to have, and gives them tasks."""
    DRAINING = "DRAINING"
    """Its workers finish what they have and are given nothing more."""
    FAILED = "FAILED"
    """It gave up: a person resets it."""
    STOPPING = "STOPPING"
    """Its workers finish what they have and end."""
    STOPPED = "STOPPED"
    """It has no workers; it can be started again."""


class WorkerPhase(enum.StrEnum):
    """What a pool's worker is doing."""

    STARTING = "STARTING"
    IDLE = "IDLE"
    BUSY = "BUSY"
    ENDING = "ENDING"


@attrs.frozen(kw_only=True)
class TaskResult:
    """One task that was done, told before it is acknowledged.

    Args:
        task_id: the task.
        payload: what was put.
        value: what the target returned.
        delivery_count: which delivery of the task this was.
        worker: who did it.
        duration: seconds from handing it over to its result.
    """

    task_id: int
    payload: Any
    value: Any
    delivery_count: int
    worker: str
    duration: float


@attrs.frozen(kw_only=True)
class PoolWorker:
    """One worker at one moment.

    Args:
        name: of the worker; a replacement has another.
        pid: its process; 0 for a thread, or before it was started.
        phase: what it is doing.
        retiring: whether it ends after its task.
        task_id: what it works on, or ``None``.
        busy_for: seconds since it was given that task; 0 without one.
        uptime: seconds since it was started.
        done: tasks it did.
        failed: tasks of its that raised.
    """

    name: str
    pid: int
    phase: WorkerPhase
    retiring: bool
    task_id: int | None
    busy_for: float
    uptime: float
    done: int
    failed: int


@attrs.frozen(kw_only=True)
class PoolSnapshot:
    """A worker pool at one moment.

    Args:
        name: of the pool.
        state: what it is doing.
        reason: why it has FAILED, or empty.
        mode: ``process`` or ``thread``.
        size: workers it is to have.
        minimum: fewest it may be told to have.
        maximum: most it may be told to have.
        workers: those there are, oldest first.
        busy: how many of them work on a task.
        done: tasks done since it was made.
        failed: runs of tasks that raised.
        returned: tasks given back because their worker ended.
        late: results that came after their task was somebody else's.
        crashes: workers that ended by themselves.
        hung: workers killed because they were hung.
        recent_ends: unplanned ends within the period that counts.
        intensity: how many of them there may be.
        abandoned: hung threads that are still there.
    """

    name: str
    state: PoolState
    reason: str
    mode: str
    size: int
    minimum: int
    maximum: int
    workers: tuple[PoolWorker, ...]
    busy: int
    done: int
    failed: int
    returned: int
    late: int
    crashes: int
    hung: int
    recent_ends: int
    intensity: int
    abandoned: int


@attrs.frozen(kw_only=True)
class PoolStopReport:
    """What came of a stop.

    Args:
        returned: ids of the tasks that were given back unfinished, sorted.
        killed: names of the workers that did not end in time.
        duration: seconds it took.
    """

    returned: tuple[int, ...] = ()
    killed: tuple[str, ...] = ()
    duration: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether everything under way was finished."""
        return not self.returned and not self.killed
