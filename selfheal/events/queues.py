"""What happened in task queues and worker pools, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class TaskBuried(Event):
    """A task of a queue became a dead letter: it is not delivered any more until a person puts it back.

    Args:
        queue: name of the queue.
        task_id: the task.
        delivery_count: how often it was delivered.
        reason: why it was given up.
    """

    queue: str
    task_id: int
    delivery_count: int
    reason: str


@attrs.frozen(kw_only=True)
class TaskShed(Event):
    """A sheddable task was dropped from a full queue to make room for a critical one.

    Args:
        queue: name of the queue.
        task_id: the task that was dropped.
    """

    queue: str
    task_id: int


@attrs.frozen(kw_only=True)
class TasksRedistributed(Event):
    """The tasks that a worker held went back to their queue.

    Args:
        queue: name of the queue.
        worker: who held them.
        tasks: how many they were.
        reason: why.
    """

    queue: str
    worker: str
    tasks: int
    reason: str = ""


@attrs.frozen(kw_only=True)
class QueueSlowed(Event):
    """Non-critical deliveries of a queue are spaced from now on, or no more.

    Args:
        queue: name of the queue.
        factor: 1 for full speed.
        gap: seconds between two non-critical deliveries.
        reason: why.
    """

    queue: str
    factor: float
    gap: float
    reason: str = ""


@attrs.frozen(kw_only=True)
class PoolWorkerStarted(Event):
    """A worker of a pool is ready for work.

    Args:
        pool: name of the pool.
        worker: name of the worker.
        pid: its process; 0 for a thread.
        restart: whether it replaces one that ended by itself or was killed.
    """

    pool: str
    worker: str
    pid: int
    restart: bool = False


@attrs.frozen(kw_only=True)
class PoolWorkerEnded(Event):
    """A worker of a pool ended.

    Args:
        pool: name of the pool.
        worker: name of the worker.
        pid: its process; 0 for a thread.
        how: ``stopped`` (as it was told), ``crashed``, ``hung``, ``refused`` (it cannot do this work) or
            ``killed`` (on request, or at the end of a stop).
        detail: exit code or signal, in words.
        task_id: the task that went back to the queue; ``None`` if it had none.
    """

    pool: str
    worker: str
    pid: int
    how: str
    detail: str = ""
    task_id: int | None = None


@attrs.frozen(kw_only=True)
class PoolScaled(Event):
    """A pool is to have another number of workers.

    Args:
        pool: name of the pool.
        old: workers before.
        new: workers from now on.
        reason: why.
    """

    pool: str
    old: int
    new: int
    reason: str = ""


@attrs.frozen(kw_only=True)
class PoolFailed(Event):
    """A pool gave up: it starts no worker and takes no task until it is reset.

    Args:
        pool: name of the pool.
        reason: why.
    """

    pool: str
    reason: str
