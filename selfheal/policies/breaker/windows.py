"""Sliding windows over call results. Pure: time is handed in, nothing is locked."""

from __future__ import annotations

import math
from typing import Protocol

from selfheal.policies.breaker.config import CountWindow, TimeWindow

FAILED = 1
SLOW = 2


class Window(Protocol):
    """The calls that are judged. ``calls``, ``failures`` and ``slow`` are what is in it now.

    A success that is not slow can raise no rate: it adds to the calls and, in a ring, pushes an older one
    out. So such successes may be counted elsewhere and handed in later by :meth:`absorb`, as long as
    nothing else is recorded first and the time stays below ``look_at``.
    """

    calls: int
    failures: int
    slow: int
    look_at: float

    def record(self, result: int, now: float) -> None:
        """Take in one call: 0, or ``FAILED``, ``SLOW`` or both, added up."""

    def absorb(self, successes: int) -> None:
        """Take in successes, not slow, that came since the last record and before ``look_at``."""

    def look(self, now: float) -> None:
        """Let go of what is too old at ``now``."""

    def clear(self) -> None:
        """Forget all calls."""


class CountRing:
    """The last ``size`` calls, in a ring of one byte a call."""

    __slots__ = ("_at", "_ring", "calls", "failures", "slow")

    look_at = math.inf

    def __init__(self, config: CountWindow) -> None:
        self._ring = bytearray(config.size)
        self._at = self.calls = self.failures = self.slow = 0

    def record(self, result: int, now: float) -> None:
        """Take in one call, letting go of the oldest when full. Time plays no part."""
        ring = self._ring
        at = self._at
        size = len(ring)
        if self.calls < size:
            self.calls += 1
            old = 0
        else:
            old = ring[at]
        if old != result:
            self.failures += (result & FAILED) - (old & FAILED)
            self.slow += (result >> 1) - (old >> 1)
        ring[at] = result
        at += 1
        self._at = at if at < size else 0

    def absorb(self, successes: int) -> None:
        """Take in successes, letting go of as many of the oldest when full."""
        size = len(self._ring)
        if self.failures or self.slow:
            for _ in range(min(successes, size)):
                self.record(0, 0.0)
        else:
            self.calls = min(self.calls + successes, size)
            self._at = (self._at + successes) % size

    def look(self, now: float) -> None:
        """Nothing: calls do not age."""

    def clear(self) -> None:
        """Forget all calls."""
        self._ring = bytearray(len(self._ring))
        self._at = self.calls = self.failures = self.slow = 0


class TimeBuckets:
    """The calls of the last seconds, in buckets of equal width."""

    __slots__ = (
        "_buckets",
        "_calls",
        "_failures",
        "_newest",
        "_slow",
        "_width",
        "calls",
        "failures",
        "look_at",
        "slow",
    )

    def __init__(self, config: TimeWindow) -> None:
        self._buckets = config.buckets
        self._width = config.seconds / config.buckets
        self._newest = -1
        self.look_at = 0.0
        self.clear()

    def record(self, result: int, now: float) -> None:
        """Take in one call at ``now``."""
        self.look(now)
        at = self._newest % self._buckets
        self.calls += 1
        self._calls[at] += 1
        if result:
            self.failures += result & FAILED
            self._failures[at] += result & FAILED
            self.slow += result >> 1
            self._slow[at] += result >> 1

    def absorb(self, successes: int) -> None:
        """Take in successes of the newest bucket."""
        self.calls += successes
        self._calls[self._newest % self._buckets] += successes

    def look(self, now: float) -> None:
        """Empty the buckets that are too old at ``now``."""
        if now < self.look_at:
            return
        bucket = max(int(now // self._width), self._newest + 1)
        if self.calls:
            for stale in range(max(self._newest + 1, bucket - self._buckets + 1), bucket + 1):
                self._empty(stale % self._buckets)
        self._newest = bucket
        self.look_at = (bucket + 1) * self._width

    def clear(self) -> None:
        """Forget all calls."""
        self.calls = self.failures = self.slow = 0
        self._calls = [0] * self._buckets
        self._failures = [0] * self._buckets
        self._slow = [0] * self._buckets

    def _empty(self, at: int) -> None:
        self.calls -= self._calls[at]
        self.failures -= self._failures[at]
        self.slow -= self._slow[at]
        self._calls[at] = self._failures[at] = self._slow[at] = 0


def make_window(config: CountWindow | TimeWindow) -> Window:
    """The window that ``config`` describes, empty."""
    return CountRing(config) if isinstance(config, CountWindow) else TimeBuckets(config)
