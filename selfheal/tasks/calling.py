"""Calling a task's function so that nothing it raises ends anything but its own run."""

from __future__ import annotations

import logging
from contextvars import Context
from types import CoroutineType
from typing import Any

from selfheal.tasks.task import Run, _current, describe

logger = logging.getLogger("selfheal.tasks")


def call(run: Run, let_through: tuple[type[BaseException], ...] = ()) -> str | CoroutineType[Any, Any, object] | None:
    """Call the function of ``run`` in this thread.

    Args:
        run: what to call.
        let_through: errors that are the thread's, not the task's; raised on.

    Returns:
        ``None`` if it returned, the error as text if it raised, or the coroutine it returned: a sync
        function that hands back a coroutine (``lambda: work()``) is to be awaited like an async one.
    """
    _current.run = run  # left there: outside a run nobody asks in a thread of ours
    try:
        result = Context().run(run.task.fn)  # context variables of one run must not reach the next
    except let_through:
        raise
    except BaseException as error:  # a SystemExit in a task must not end the host's thread either
        return told(run, error)
    return result if type(result) is CoroutineType else None


def told(run: Run, error: BaseException) -> str:
    """Log an error of ``run``, with its traceback if it is the first in a row, and give it as text."""
    text = describe(error)
    if isinstance(error, Exception):
        first = run.task.consecutive == 0
        logger.warning("task %r failed: %s", run.task.id, text, exc_info=error if first else None)
    else:
        logger.critical("task %r raised %s; the task goes on", run.task.id, text, exc_info=error)
    return text
