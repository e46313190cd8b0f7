"""Errors of task queues and worker pools."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError
from selfheal.errors.supervision import SupervisionError


class QueueFullError(SelfhealError):
    """A task queue holds as many tasks as it may. The task was not put.

    Attributes:
        queue: its name.
        size: tasks it holds: waiting, delivered and dead ones.
        max_size: tasks it may hold.
        dead: how many of them are dead letters, which wait for a person.
    """

    def __init__(self, queue: str, size: int, max_size: int, dead: int = 0) -> None:
        super().__init__(queue, size, max_size, dead)
        self.queue = queue
        self.size = size
        self.max_size = max_size
        self.dead = dead

    def __str__(self) -> str:
        dead = f", {self.dead} of them dead letters: revive or discard those" if self.dead else ""
        return (
            f"queue {self.queue!r} is full: it holds {self.size} of {self.max_size} tasks{dead}. "
            "The task was not put: put it later, take faster, or raise max_size."
        )


class QueueClosedError(SelfhealError):
    """A task queue was closed and takes no more tasks.

    Attributes:
        queue: its name.
    """

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue

    def __str__(self) -> str:
        return f"queue {self.queue!r} is closed: the task was not put. Make a new TaskQueue."


class PoolFailedError(SupervisionError):
    """A worker pool gave up: its workers ended too often, or cannot start. It starts none until it is reset.

    Attributes:
        pool: its name.
        reason: why it gave up.
    """

    def __init__(self, pool: str, reason: str) -> None:
        super().__init__(pool, reason)
        self.pool = pool
        self.reason = reason

    def __str__(self) -> str:
        return f"pool {self.pool!r} has FAILED ({self.reason}). Fix the cause, then call reset(reason=...)."
