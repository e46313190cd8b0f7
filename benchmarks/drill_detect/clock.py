"""A clock that goes faster than the machine's, and a sampler that measures by the one and tells by the other."""

from __future__ import annotations

import threading

from selfheal.clock import SYSTEM_CLOCK, Clock, Waker
from selfheal.detection import Sample, Sampler, SamplerConfig


class FastClock:
    """Goes ``speed`` times as fast as the machine's clock, in strides, and waits at the end of each for :meth:`stride`.

    So its seconds are never shorter than real ones divided by ``speed``; where the machine is so busy that the monitor
    comes late, they are longer. No reading of the clock is skipped by that.

    Args:
        speed: seconds of this clock in a real one.
        every: seconds of this clock in a stride.
    """

    def __init__(self, speed: float, every: float) -> None:
        self.speed, self.every = speed, every
        self._lock = threading.Lock()
        self._base, self._began = 1000.0, SYSTEM_CLOCK.monotonic()
        self._ahead = SYSTEM_CLOCK.wall() - self._base

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        with self._lock:
            return self._base + min((SYSTEM_CLOCK.monotonic() - self._began) * self.speed, self.every)

    def wall(self) -> float:
        """Seconds since 1970, right at the start only."""
        return self._ahead + self.monotonic()

    def stride(self) -> None:
        """Wait until a stride is over, and begin the next one."""
        SYSTEM_CLOCK.sleep(self._began + self.every / self.speed - SYSTEM_CLOCK.monotonic())
        with self._lock:
            self._base += self.every
            self._began = SYSTEM_CLOCK.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for so many seconds of this clock, if nobody comes late."""
        SYSTEM_CLOCK.sleep(seconds / self.speed)

    async def asleep(self, seconds: float) -> None:
        """Suspend this coroutine likewise."""
        await SYSTEM_CLOCK.asleep(seconds / self.speed)

    def waker(self) -> Waker:
        """Make a place to wait by this clock."""
        return _FastWaker(self.speed)


class _FastWaker:
    def __init__(self, speed: float) -> None:
        self._speed, self._waker = speed, SYSTEM_CLOCK.waker()

    def wait(self, timeout: float | None = None) -> bool:
        return self._waker.wait(None if timeout is None else timeout / self._speed)

    def wake(self) -> None:
        self._waker.wake()


class RealSampler(Sampler):
    """Measures against real time, so that CPU is in percent of a real CPU, and stamps what it measured with a clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(SamplerConfig(machine=False))
        self._told_by = clock

    def sample(self) -> tuple[Sample, ...]:
        """Measure everything now."""
        found = super().sample()
        t, at = self._told_by.wall(), self._told_by.monotonic()
        return tuple(one._replace(t=t, at=at) for one in found)
