"""Time, injected. This module is the only importer of :mod:`time`.

Everything in selfheal that measures or waits is handed a :class:`Clock`. Durations come from
``monotonic()``; ``wall()`` is for journals and calendars and never decides how long something took.
Tests hand over :class:`selfheal.testing.FakeClock` and wait for nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Waker(Protocol):
    """A place for one thread to wait until a moment comes or somebody wakes it."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until woken or until ``timeout`` seconds of the clock have passed.

        Args:
            timeout: seconds; ``None`` waits until woken; zero or less returns at once.

        Returns:
            Whether it was woken. A wake that came before the wait counts, once.
        """

    def wake(self) -> None:
        """End the current wait, or the next one if nobody waits now. Safe from any thread."""


class Clock(Protocol):
    """What selfheal asks of time. All values are seconds as ``float``."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For every duration."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC. For journals and calendars only: it can jump."""

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``; zero or less returns at once."""

    async def asleep(self, seconds: float) -> None:
        """Suspend this coroutine for ``seconds``; zero or less lets the others run once."""

    def waker(self) -> Waker:
        """Make a new :class:`Waker` that waits by this clock."""


class _SystemWaker:
    """A :class:`Waker` over a real event."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            timeout = min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        woken = self._event.wait(timeout)
        if woken:
            self._event.clear()
        return woken

    def wake(self) -> None:
        self._event.set()


class SystemClock:
    """The machine's own clock. Stateless; one shared instance is :data:`SYSTEM_CLOCK`."""

    #: The builtins themselves, so that a hot path may bind them once and pay no method call.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``; zero or less returns at once."""
        if seconds > 0:
            time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspend this coroutine for ``seconds``."""
        import asyncio  # 60 ms to import: only who waits in a coroutine pays

        await asyncio.sleep(seconds)

    def waker(self) -> Waker:
        """Make a new :class:`Waker` that waits in real time."""
        return _SystemWaker()

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK = SystemClock()
"""The clock used wherever none is given."""
