"""Who waits for a task, and how a coroutine waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from selfheal.clock import Clock


class Waiter:
    """One that waits; compared by identity.

    Args:
        wake: ends its wait; may be called from any thread, and when it does not wait any more.
    """

    __slots__ = ("wake",)

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake


class Waiters:
    """Those that wait, first come first served, and listeners that are woken each time.

    Its owner's lock guards it. What it answers is to be called after that lock was given back.

    Attributes:
        there: whether anybody is to be woken at all.
    """

    def __init__(self) -> None:
        self._waiting: dict[Waiter, None] = {}
        self._listeners: tuple[Waiter, ...] = ()
        self.there = False

    def add(self, waiter: Waiter) -> None:
        """Wait, if it does not yet."""
        self._waiting[waiter] = None
        self.there = True

    def remove(self, waiter: Waiter) -> None:
        """Wait no more."""
        self._waiting.pop(waiter, None)
        self.there = bool(self._waiting or self._listeners)

    def listen(self, listener: Waiter) -> None:
        """Wake this one each time."""
        self._listeners += (listener,)
        self.there = True

    def forget(self, listener: Waiter) -> None:
        """Wake this one no more."""
        self._listeners = tuple(there for there in self._listeners if there is not listener)
        self.there = bool(self._waiting or self._listeners)

    def next(self) -> Callable[[], None]:
        """What wakes the one that has waited longest, and all listeners."""
        first = next(iter(self._waiting), None)
        if first is not None:
            self.remove(first)
        return _calls(self._listeners if first is None else (first, *self._listeners))

    def all(self) -> Callable[[], None]:
        """What wakes everybody."""
        everyone = (*self._waiting, *self._listeners)
        self._waiting.clear()
        self.there = bool(self._listeners)
        return _calls(everyone)


def _calls(those: tuple[Waiter, ...]) -> Callable[[], None]:
    def wake() -> None:
        for one in those:
            one.wake()

    return wake


async def pause(woken: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Wait until an event is set, and clear it, or until ``seconds`` of the clock have passed."""
    import asyncio

    waits = [asyncio.ensure_future(woken.wait()), asyncio.ensure_future(clock.asleep(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    woken.clear()


def waker_of(woken: asyncio.Event) -> Callable[[], None]:
    """What sets an event of the running loop from any thread."""
    import asyncio

    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    return wake
