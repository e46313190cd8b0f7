"""Counting without a lock."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

Stamp = Iterator[int]
"""The ticks of one generation. A call admitted in it holds them, and succeeds by ``next(stamp)``."""


class Counter:
    """Successes of one generation: ticked by anybody without a lock, read exactly under the lock.

    Attributes:
        generation: whose successes these are.
        ticks: ``next(ticks)`` counts one, atomically: it is one step of the interpreter.
    """

    __slots__ = ("_reads", "_seen", "generation", "ticks")

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self.ticks: Stamp = itertools.count()
        self._reads = 0
        self._seen = 0

    def fresh(self) -> int:
        """Ticks since the last time this was asked. Asking is itself a tick, and is taken off."""
        ticks = next(self.ticks) - self._reads
        self._reads += 1
        fresh, self._seen = ticks - self._seen, ticks
        return fresh

    @property
    def held(self) -> bool:
        """Whether a call in progress still holds the ticks, and may add to them yet."""
        return sys.getrefcount(self.ticks) > _ALONE


_lone = Counter()
_ALONE = sys.getrefcount(_lone.ticks)
"""References to ticks that only their counter holds."""
