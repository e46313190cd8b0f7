"""A clock that moves only when a test says so."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from selfheal.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    import asyncio

    from selfheal.clock import Waker

_SETTLE = 2.0
"""Real seconds that ``advance`` gives whoever it woke to wait again or end."""
_TICKS = 10
"""Turns of an event loop that a woken coroutine is given to come to its next wait."""

_Settle = Callable[[], None]
"""Waits, in real time and bounded, until whoever was woken has come to rest."""
_Wake = Callable[[], _Settle | None]


class FakeClock:
    """A :class:`selfheal.clock.Clock` under a test's control.

    Both times stand still until :meth:`advance` (both move) or :meth:`jump` (the wall clock alone
    moves). Whoever waits on this clock is woken in order of deadline, each at exactly its own moment,
    and ``advance`` goes on only when the woken thread waits again or has ended.

    Args:
        start: first monotonic value, seconds. Not 0, so that a test sees a forgotten "0 means never".
        wall: first wall-clock value, seconds since 1970 UTC.
        autojump: make ``sleep`` and ``asleep`` advance the clock themselves instead of waiting for
            somebody to do so. For single-threaded tests and simulations.

    >>> clock = FakeClock()
    >>> clock.advance(2.5)
    >>> clock.monotonic()
    1002.5
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_700_000_000.0, *, autojump: bool = False) -> None:
        self._now = start
        self._wall_ahead = wall - start
        self._autojump = autojump
        self._lock = threading.RLock()
        self._parked = threading.Condition(self._lock)
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Wake]] = []
        self._waiting: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"FakeClock(monotonic={self._now}, wall={self.wall()})"

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._now

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._now + self._wall_ahead

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks, waking each waiter at its moment, in order.

        Raises:
            ValueError: if ``seconds`` is negative or not finite; the monotonic clock never goes back.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"FakeClock.advance takes 0 or more finite seconds, got {seconds!r}")
        end = self._now + seconds
        while (wake := self._next_until(end)) is not None:
            settle = wake()
            if settle is not None:
                settle()
        with self._lock:
            self._now = max(self._now, end)

    def jump(self, seconds: float) -> None:
        """Step the wall clock alone by ``seconds`` (negative: back), as an administrator or NTP does."""
        with self._lock:
            self._wall_ahead += seconds

    @property
    def waiters(self) -> int:
        """How many are waiting on this clock with a deadline."""
        with self._lock:
            return len(self._due)

    def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by ``seconds``; with ``autojump``, advance it."""
        if seconds <= 0:
            return
        if self._autojump:
            self.advance(seconds)
            return
        self.waker().wait(seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspend until the clock was advanced by ``seconds``; with ``autojump``, advance it."""
        import asyncio

        if seconds <= 0 or self._autojump:
            self.advance(max(seconds, 0.0))
            await asyncio.sleep(0)
            return
        loop, thread = asyncio.get_running_loop(), threading.current_thread()
        done: asyncio.Future[None] = loop.create_future()

        def wake() -> _Settle:
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish)
            return lambda: _turn(loop, thread)

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        entry = self._add(self._now + seconds, wake)
        try:
            await done
        finally:
            self._drop(entry)

    async def aadvance(self, seconds: float) -> None:
        """:meth:`advance` from inside the event loop, letting the loop run after each wake."""
        import asyncio

        end = self._now + seconds
        while (wake := self._next_until(end)) is not None:
            settle = wake()
            for _ in range(_TICKS):
                await asyncio.sleep(0)
            if settle is not None:
                await asyncio.to_thread(settle)
        self.advance(max(end - self._now, 0.0))

    def waker(self) -> Waker:
        """Make a :class:`~selfheal.clock.Waker` that waits by this clock."""
        return _FakeWaker(self)

    def _add(self, deadline: float, wake: _Wake) -> int:
        with self._lock:
            entry = next(self._order)
            heapq.heappush(self._due, (deadline, entry, wake))
            return entry

    def _drop(self, entry: int) -> None:
        with self._lock:
            self._due = [due for due in self._due if due[1] != entry]
            heapq.heapify(self._due)

    def _next_until(self, end: float) -> _Wake | None:
        with self._lock:
            if not self._due or self._due[0][0] > end:
                return None
            deadline, _, wake = heapq.heappop(self._due)
            self._now = max(self._now, deadline)
            return wake

    def _park(self, thread: threading.Thread, change: int) -> None:
        with self._parked:
            ident = thread.ident or 0
            self._waiting[ident] = self._waiting.get(ident, 0) + change
            if not self._waiting[ident]:
                del self._waiting[ident]
            self._parked.notify_all()

    def _let_it_run(self, thread: threading.Thread) -> None:
        """Wait, in real time and bounded, until a woken thread parks on this clock again or ends."""
        if thread is threading.current_thread() or thread.ident is None:
            return
        ident, end = thread.ident, SYSTEM_CLOCK.monotonic() + _SETTLE
        with self._parked:
            while self._waiting.get(ident, 0) <= 0 and thread.is_alive() and SYSTEM_CLOCK.monotonic() < end:
                self._parked.wait(0.002)


def _turn(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Let an event loop of another thread make some turns."""
    if thread is threading.current_thread():
        return  # advance() was called in the loop itself: nothing can run before it returns
    for _ in range(_TICKS):
        turned = threading.Event()
        if loop.is_closed():
            return
        loop.call_soon_threadsafe(turned.set)
        turned.wait(_SETTLE / _TICKS)


class _FakeWaker:
    """A waker whose timeout runs on a :class:`FakeClock`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._event = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if self._event.is_set() or (timeout is not None and timeout <= 0):
            woken = self._event.is_set()
            self._event.clear()
            return woken
        if self._clock._autojump and timeout is not None:
            self._clock.advance(timeout)
            return False
        return self._block(timeout)

    def _block(self, timeout: float | None) -> bool:
        clock, thread = self._clock, threading.current_thread()
        release = threading.Event()
        left = False

        def leave() -> bool:
            """Stop waiting, once: by the deadline or by being woken, whichever comes first."""
            nonlocal left
            with clock._lock:
                first, left = not left, True
                if first:
                    clock._park(thread, -1)
                return first

        def expire() -> _Settle | None:
            if not leave():
                return None
            release.set()
            return lambda: clock._let_it_run(thread)

        clock._park(thread, +1)
        entry = None if timeout is None else clock._add(clock._now + timeout, expire)
        self._release = release
        if self._event.is_set():
            release.set()
        release.wait()
        if leave() and entry is not None:
            clock._drop(entry)
        woken = self._event.is_set()
        self._event.clear()
        return woken

    _release: threading.Event | None = None

    def wake(self) -> None:
        self._event.set()
        if self._release is not None:
            self._release.set()
