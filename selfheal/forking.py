"""Locks that survive ``os.fork``.

A forked child has one thread. A lock that another thread held in the parent would stay held in the
child for ever, and what it guarded may be half changed. So whoever keeps a lock for a long time registers
here: the lock is taken before each fork, for a bounded time, given back in the parent, and left behind
in the child, which starts over with a new one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

_WAIT = 1.0
"""Real seconds that a fork waits for each lock."""


class Lockable(Protocol):
    """A lock: ``threading.Lock``, ``RLock`` or a condition."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; tell whether it was taken in time."""

    def release(self) -> None:
        """Give it back."""


class _Tracked(NamedTuple):
    owner: weakref.ref[Any]
    in_child: Callable[[Any], object]
    lock: Callable[[Any], Lockable | None] | None


class _Told(NamedTuple):
    owner: Any
    in_child: Callable[[Any], object]
    held: Lockable | None


T = TypeVar("T")

_tracked: dict[int, _Tracked] = {}
_installed = False
_lock = threading.Lock()

_forking = threading.local()
"""Whom the forking thread came to before: the same are told after, whoever was added or went meanwhile."""


def track(owner: T, in_child: Callable[[T], object], *, lock: Callable[[T], Lockable | None] | None = None) -> None:
    """Start ``owner`` over in each forked child from now on, as long as somebody else keeps it alive.

    Args:
        owner: whose state a fork concerns. Tracking it again replaces what was said before.
        in_child: called with it in the child: makes new locks, forgets threads. Must not raise or wait. Hand
            over a function of its class, not a bound method, which would keep it alive.
        lock: called with it before a fork, gives the lock that brings its state to rest; ``None``, or giving
            ``None``: nothing has to be brought to rest. A lock not had within a second is not waited for.
    """
    global _installed
    key = id(owner)
    with _lock:
        _tracked[key] = _Tracked(weakref.ref(owner, lambda _: _tracked.pop(key, None)), in_child, lock)
        if not _installed and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
            _installed = True


def _before() -> None:
    held = _lock.acquire(timeout=_WAIT)
    try:
        tracked = list(_tracked.values())
    finally:
        if held:
            _lock.release()
    _forking.told = [
        _Told(owner, in_child, _take(lock(owner)) if lock is not None else None)
        for reference, in_child, lock in tracked
        if (owner := reference()) is not None
    ]


def _take(lock: Lockable | None) -> Lockable | None:
    return lock if lock is not None and lock.acquire(timeout=_WAIT) else None


def _in_parent() -> None:
    for told in _told():
        if told.held is not None:
            told.held.release()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for told in _told():
        told.in_child(told.owner)


def _told() -> list[_Told]:
    told: list[_Told] = _forking.__dict__.pop("told", [])
    return told
