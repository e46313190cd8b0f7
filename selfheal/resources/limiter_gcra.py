"""The token bucket as a pure machine: no clock, no lock, no waiting."""

from __future__ import annotations

from collections.abc import Hashable

_SLACK = 1e-9
"""Seconds by which a permit may come early: a float clock cannot tell them. It does not add up, because
what was taken is remembered exactly."""


class TokenBuckets:
    """One token bucket a key, each kept as one number: the moment at which it will be full again.

    Args:
        rate: tokens that come in a second.
        burst: tokens a full bucket holds.
        max_keys: buckets kept at most.

    Source: the generic cell rate algorithm, ITU-T I.371 (virtual scheduling).
    """

    __slots__ = ("_full_at", "_tolerance", "burst", "interval", "max_keys", "rate")

    def __init__(self, rate: float, burst: float, max_keys: int) -> None:
        self.max_keys = max_keys
        self._full_at: dict[Hashable, float] = {}  # in order of the last take
        self._set(rate, burst)

    def _set(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.interval = rate, burst, 1.0 / rate
        self._tolerance = burst / rate

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, n: float, now: float) -> float:
        """Take ``n`` tokens at ``now``.

        Returns:
            0 if they were taken; else the seconds until they can be, and nothing was taken.
        """
        full_at = self._full_at.get(key, now)
        after = (full_at if full_at > now else now) + n * self.interval
        wait = after - now - self._tolerance
        if wait > _SLACK:
            return wait
        self._full_at.pop(key, None)  # to the end: the order is that of the last take
        self._full_at[key] = after
        return 0.0

    def wait(self, key: Hashable, n: float, now: float) -> float:
        """Seconds until ``n`` tokens are there, 0 if they are. Takes nothing."""
        wait = max(self._full_at.get(key, now), now) + n * self.interval - now - self._tolerance
        return wait if wait > _SLACK else 0.0

    def room(self, key: Hashable, now: float) -> float:
        """Make room for a bucket of ``key``, dropping the least recently used one if it is full again.

        A bucket that is not full is never dropped: it would come back full, and more would pass than may.

        Returns:
            0 if there is room, else the seconds until the least recently used bucket is full.
        """
        if key in self._full_at or len(self._full_at) < self.max_keys:
            return 0.0
        oldest = next(iter(self._full_at))
        left = self._full_at[oldest] - now
        if left > _SLACK:
            return left
        del self._full_at[oldest]
        return 0.0

    def available(self, key: Hashable, now: float) -> float:
        """Tokens in the bucket of ``key`` at ``now``."""
        used = max(self._full_at.get(key, now) - now, 0.0) * self.rate
        return max(self.burst - used, 0.0)

    def change(self, rate: float, burst: float, now: float) -> None:
        """Go by another rate and burst from ``now`` on. What a bucket holds stays, up to the new burst."""
        held = {key: self.available(key, now) for key, full_at in self._full_at.items() if full_at > now}
        self._set(rate, burst)
        self._full_at = {key: now + (burst - min(tokens, burst)) * self.interval for key, tokens in held.items()}
