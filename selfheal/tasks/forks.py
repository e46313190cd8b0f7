"""Around a fork: bring a registry to rest before, start over in the child."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from selfheal.forking import track

_WAIT = 1.0
"""Real seconds a fork may wait for the registry to come to rest."""


class ForkGuard:
    """Told around each fork as long as somebody keeps it alive.

    Args:
        lock: gives the lock that guards the registry now.
        in_child: starts over with a new lock and no threads.
    """

    def __init__(self, lock: Callable[[], RLock], in_child: Callable[[], None]) -> None:
        self._lock = lock
        self._in_child = in_child
        self._held: RLock | None = None
        track(self)

    def before_fork(self) -> None:
        """Take the lock, so that the child finds the tasks whole."""
        lock = self._lock()
        self._held = lock if lock.acquire(timeout=_WAIT) else None

    def after_fork_in_parent(self) -> None:
        """Go on."""
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def after_fork_in_child(self) -> None:
        """The lock stays behind with the threads that used it."""
        self._held = None
        self._in_child()
