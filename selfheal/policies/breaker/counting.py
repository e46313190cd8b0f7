"""Which counter circuits count by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock

from selfheal.policies.breaker.counter import AnyCounter, Counter


def counter_of_this_interpreter() -> Callable[[int, Lock], AnyCounter]:
    """The counter that is exact here: by thread where ``sys._is_gil_enabled()`` says that there is no such lock."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return Counter
    from selfheal.policies.breaker.sharded import ShardedCounter

    return ShardedCounter
