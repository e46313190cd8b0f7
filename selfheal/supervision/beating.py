"""The sign of life that a work loop gives. For the worker; it loads nothing of the supervisor."""

from __future__ import annotations

import logging
import os

HEARTBEAT = "SELFHEAL_HEARTBEAT"
"""The variable that names a worker's heartbeat file. A worker in any language may ``touch`` it."""

logger = logging.getLogger("selfheal.supervision")

_told = False


def heartbeat() -> bool:
    """Tell the supervisor that the work loop goes round.

    Call it from the loop that does the work, once a turn, never from a timer or thread of its own: a beat of
    those says nothing about the work. It takes a few microseconds, never waits and never raises. Without a supervisor
    it does nothing.

    Returns:
        Whether there is a supervisor that can see it.
    """
    global _told
    path = os.environ.get(HEARTBEAT)
    if not path:
        return False
    try:
        os.utime(path)
    except OSError as error:
        if not _told:  # once: the loop beats often
            _told = True
            logger.warning("the heartbeat %s cannot be seen by a supervisor: %s", path, error)
        return False
    return True
