"""A clock that goes as fast as the service is told to: a demonstration has its five minutes in three seconds."""

from __future__ import annotations

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock, Waker


@attrs.frozen
class _PacedWaker:
    """Waits by a clock that is so many times as fast."""

    waker: Waker
    speed: float

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until woken or until ``timeout`` seconds of the fast clock have passed; whether it was woken."""
        return self.waker.wait(None if timeout is None else timeout / self.speed)

    def wake(self) -> None:
        """End the current wait, or the next one."""
        self.waker.wake()


class PacedClock:
    """A :class:`~selfheal.clock.Clock` that agrees with another one now, and goes ``speed`` times as fast from then on.

    Args:
        speed: how many times.
        clock: the other one.
        not_before: where its wall clock begins, if that is later than now: when it went on from an earlier life.
    """

    def __init__(self, speed: float, clock: Clock = SYSTEM_CLOCK, not_before: float = 0.0) -> None:
        self._speed = speed
        self._clock = clock
        self._began = clock.monotonic()
        self._wall = max(clock.wall(), not_before)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return self._began + self._gone()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; ahead of the other clock, the more the longer it goes."""
        return self._wall + self._gone()

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds`` of this clock."""
        self._clock.sleep(seconds / self._speed)

    async def asleep(self, seconds: float) -> None:
        """Suspend this coroutine for ``seconds`` of this clock."""
        await self._clock.asleep(seconds / self._speed)

    def waker(self) -> Waker:
        """Make a place to wait by this clock."""
        return _PacedWaker(self._clock.waker(), self._speed)

    def _gone(self) -> float:
        return (self._clock.monotonic() - self._began) * self._speed


def paced(speed: float, clock: Clock = SYSTEM_CLOCK, not_before: float = 0.0) -> Clock:
    """A clock of that speed: the very one that is given where that is 1."""
    return clock if speed == 1.0 else PacedClock(speed, clock, not_before)
