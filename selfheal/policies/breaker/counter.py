"""Counting without a lock.

Two counters of one contract. :class:`Counter` needs the global interpreter lock: one step of the
interpreter counts for all threads. Where there is none, ``sharded`` counts by thread.
"""

from __future__ import annotations

import itertools
import sys
from threading import Lock
from typing import Protocol


class Stamp(Protocol):
    """The ticks of one generation. A call admitted in it holds them, and succeeds by ``next(stamp)``."""

    def __next__(self) -> int:
        """Count one."""


class AnyCounter(Protocol):
    """Successes of one generation: ticked by anybody without a lock, read exactly under the circuit's lock.

    Attributes:
        generation: whose successes these are.
        ticks: ``next(ticks)`` counts one, whatever other threads do.
    """

    generation: int
    ticks: Stamp

    def fresh(self) -> int:
        """Under the lock: ticks since the last time this was asked."""

    def retire(self) -> None:
        """Its generation is over: nobody is handed the ticks any more."""

    @property
    def held(self) -> bool:
        """Whether a call in progress still holds the ticks of a retired counter, and may add to them yet."""

    def in_child(self, lock: Lock) -> None:
        """After a fork, in the child: go by this lock from now on."""


class Counter:
    """One count for all threads; exact where the global interpreter lock makes ``next(ticks)`` one step."""

    __slots__ = ("_reads", "_seen", "generation", "ticks")

    def __init__(self, generation: int, lock: Lock) -> None:
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

    def retire(self) -> None:
        """Nothing to do: references are counted at once."""

    @property
    def held(self) -> bool:
        """Whether somebody besides this counter has the ticks."""
        return sys.getrefcount(self.ticks) > _ALONE

    def in_child(self, lock: Lock) -> None:
        """Nothing to do: it needs no lock."""


_lone = Counter(0, Lock())
_ALONE = sys.getrefcount(_lone.ticks)
"""References to ticks that only their counter holds."""
