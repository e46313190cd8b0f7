"""Counting without a lock."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

Tick = Callable[[], int]


class Counter:
    """Successes of one generation: ticked by anybody without a lock, read exactly under the lock."""

    __slots__ = ("_reads", "_seen", "generation", "tick")

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self.tick: Tick = itertools.count().__next__
        self._reads = 0
        self._seen = 0

    def fresh(self) -> int:
        """Ticks since the last time this was asked. Asking is itself a tick, and is taken off."""
        ticks = self.tick() - self._reads
        self._reads += 1
        fresh, self._seen = ticks - self._seen, ticks
        return fresh

    @property
    def held(self) -> bool:
        """Whether a call in progress still holds the tick, and may use it yet."""
        return sys.getrefcount(self.tick) > _ALONE


_lone = Counter()
_ALONE = sys.getrefcount(_lone.tick)
"""References to a tick that only its counter holds."""
