"""Locks that survive ``os.fork``.

A forked child has one thread. A lock that another thread held in the parent would stay held in the
child for ever, so whoever keeps a lock for a long time registers here and is told around each fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Told around a fork. None of these may raise or wait for long."""

    def before_fork(self) -> None:
        """In the parent, right before: bring the state to rest (take the lock, for a bounded time)."""

    def after_fork_in_parent(self) -> None:
        """In the parent, right after: undo :meth:`before_fork`."""

    def after_fork_in_child(self) -> None:
        """In the child: make new locks; the other threads are gone."""


_tracked: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_installed = False
_lock = threading.Lock()
_LOCK_WAIT = 1.0
"""Real seconds that a fork waits for a registration under way."""

_forking = threading.local()
"""Whom the forking thread told before: the same are told after, whoever was added or went meanwhile."""


def track(thing: ForkAware) -> None:
    """Tell ``thing`` around each fork from now on, as long as somebody else keeps it alive. Idempotent."""
    global _installed
    with _lock:
        _tracked.add(thing)
        if not _installed and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
            _installed = True


def _before() -> None:
    held = _lock.acquire(timeout=_LOCK_WAIT)
    try:
        _forking.told = list(_tracked)
    finally:
        if held:
            _lock.release()
    for thing in _forking.told:
        thing.before_fork()


def _in_parent() -> None:
    for thing in _told():
        thing.after_fork_in_parent()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for thing in _told():
        thing.after_fork_in_child()


def _told() -> list[ForkAware]:
    told: list[ForkAware] = _forking.__dict__.pop("told", [])
    return told
