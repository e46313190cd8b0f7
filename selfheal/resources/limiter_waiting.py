"""Places in which a thread or a coroutine waits for its turn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from selfheal.clock import Clock


class Place(Protocol):
    """Where one caller waits."""

    def wake(self) -> bool:
        """End the wait, from any thread; tell whether there is still somebody to wake."""


class ThreadPlace:
    """A thread waits here."""

    __slots__ = ("_waker",)

    def __init__(self, clock: Clock) -> None:
        self._waker = clock.waker()

    def wait(self, seconds: float) -> None:
        """Wait until woken or until ``seconds`` have passed; infinity: until woken."""
        self._waker.wait(None if seconds == math.inf else seconds)

    def wake(self) -> bool:
        """End the wait, or the next one."""
        self._waker.wake()
        return True


class CoroutinePlace:
    """A coroutine waits here. Made in the loop that runs it."""

    __slots__ = ("_clock", "_loop", "_woken")

    def __init__(self, clock: Clock) -> None:
        import asyncio

        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] = self._loop.create_future()

    async def wait(self, seconds: float) -> None:
        """Wait until woken or until ``seconds`` have passed; infinity: until woken."""
        import asyncio

        if seconds == math.inf:
            await asyncio.wait([self._woken])
        else:
            timer = self._loop.create_task(self._clock.asleep(seconds))
            try:
                await asyncio.wait([timer, self._woken], return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
        if self._woken.done():
            self._woken = self._loop.create_future()

    def wake(self) -> bool:
        """End the wait, or the next one. False where its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:
            return False
        return True

    def _finish(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)
