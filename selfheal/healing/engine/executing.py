"""Actions run beside the healer, and are given up when they take too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Protocol, TypeVar

from selfheal.clock import Clock
from selfheal.errors import ActionTimeoutError
from selfheal.forking import track

T = TypeVar("T")


class ActionRunner(Protocol):
    """Calls the methods of actions, each within its time."""

    def run(self, fn: Callable[[], T], *, what: str, timeout: float) -> T:
        """Call ``fn`` and return what it returns, or raise what it raises.

        Raises:
            ActionTimeoutError: if it took longer than ``timeout`` seconds. It may be running still.
        """

    @property
    def abandoned(self) -> int:
        """Calls that were given up and have not come back."""


class InlineRunner:
    """Calls in the caller's own thread: for simulations and tests. A call that never returns is never given up.

    Args:
        clock: by which it is told that a call took too long, once it has returned.
    """

    abandoned = 0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def run(self, fn: Callable[[], T], *, what: str, timeout: float) -> T:
        """Call it here.

        Raises:
            ActionTimeoutError: if it came back late; what it did is in doubt, as after one that never came back.
        """
        began = self._clock.monotonic()
        value = fn()
        if self._clock.monotonic() - began > timeout:
            raise ActionTimeoutError(what, timeout)
        return value


class ThreadRunner:
    """Calls each in a daemon thread of its own, so that one that hangs holds up nothing but itself.

    A thread cannot be killed: it is left behind and counted. The engine goes dormant when too many are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = 0
        track(self, ThreadRunner._in_child)

    @property
    def abandoned(self) -> int:
        """Calls that were given up and have not come back."""
        return self._abandoned

    def run(self, fn: Callable[[], T], *, what: str, timeout: float) -> T:
        """Call it in a thread, and wait.

        Raises:
            ActionTimeoutError: if it took longer than ``timeout`` seconds, by the machine's clock.
        """
        future: Future[T] = Future()
        threading.Thread(target=self._call, args=(fn, future), name=f"action-{what}", daemon=True).start()
        try:
            return future.result(timeout)
        except FutureTimeoutError:
            if not future.cancel():  # it came back at the last moment
                return future.result()
            with self._lock:
                self._abandoned += 1
        raise ActionTimeoutError(what, timeout)

    def _call(self, fn: Callable[[], T], future: Future[T]) -> None:
        try:
            value = fn()
        except BaseException as error:
            if not self._given_up(future):
                future.set_exception(error)
        else:
            if not self._given_up(future):
                future.set_result(value)

    def _given_up(self, future: Future[T]) -> bool:
        """Whether nobody waits any more; from here on nobody gives it up."""
        if future.set_running_or_notify_cancel():
            return False
        with self._lock:
            self._abandoned -= 1
        return True

    def _in_child(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = 0
