"""What a task of a :class:`~selfheal.supervision.pool.WorkerPool` can ask and say while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple


class CurrentTask(NamedTuple):
    """The task this thread works on.

    Attributes:
        id: of the task; the same at each delivery: what to make its effects idempotent by.
        delivery_count: more than 1 says that it may have been done before.
    """

    id: int
    delivery_count: int


_running = threading.local()


def current_task() -> CurrentTask | None:
    """The task that the calling thread works on; ``None`` outside of one."""
    found: CurrentTask | None = getattr(_running, "task", None)
    return found


def progress() -> None:
    """Tell the pool that the task goes on: its timeout starts anew. Does nothing outside of a task.

    Call it where work was really done, so that a task that turns in circles is noticed.
    """
    sign: Callable[[], None] | None = getattr(_running, "sign", None)
    if sign is not None:
        sign()


@contextlib.contextmanager
def working_on(task: CurrentTask, sign: Callable[[], None]) -> Iterator[None]:
    """Make a task the one the calling thread works on."""
    _running.task, _running.sign = task, sign
    try:
        yield
    finally:
        _running.task = _running.sign = None
