"""Counting without a lock where there is no global interpreter lock: each thread has a count of its own.

``n += 1`` reads, adds and writes, and without that lock another thread may write in between. So each thread
that ticks a counter gets a shard, which nobody else writes; whoever reads adds the shards up. The shard
of a thread that has ended is final: it is added to a sum and let go. Nothing here goes by
``sys.getrefcount`` either, which does not tell the whole truth without that lock.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from threading import Lock
from typing import NamedTuple

from selfheal.policies.breaker.counter import Stamp

_FEW = 64
"""Shards that are never worth a look for threads that have ended."""


class _Leash:
    """Lives as long as the thread that holds it in its ``threading.local``."""

    __slots__ = ("__weakref__",)


class _Enrolled(NamedTuple):
    shard: list[int]
    leash: weakref.ref[_Leash]


class _Shards:
    """The counts of all threads that ticked.

    A thread enrols with its first tick. It never waits for the lock: a signal handler may tick while the very
    thread that it interrupted holds it.
    """

    __slots__ = ("_enrolled", "_folded", "_look_at", "_new", "lock", "own")

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.own = threading.local()
        self._new: deque[_Enrolled] = deque()
        self._enrolled: list[_Enrolled] = []
        self._folded = 0
        self._look_at = _FEW

    def __len__(self) -> int:
        return len(self._new) + len(self._enrolled)

    def enrol(self) -> list[int]:
        """Give the calling thread its shard; now and then let go of those of threads that have ended."""
        shard, leash = [0], _Leash()
        self._new.append(_Enrolled(shard, weakref.ref(leash)))
        self.own.leash = leash
        self.own.shard = shard  # last: from here on it is ticked, so it has to be known by now
        lock = self.lock
        if len(self) >= self._look_at and lock.acquire(blocking=False):
            try:
                self._fold()
                self._look_at = max(2 * len(self), _FEW)
            finally:
                lock.release()
        return shard

    def total(self) -> int:
        """Under the lock: all ticks there were."""
        self._fold()
        return self._folded + sum(one.shard[0] for one in self._enrolled)

    def _fold(self) -> None:
        """Under the lock: take in new shards, and add up those that nobody can write any more."""
        for _ in range(len(self._new)):
            self._enrolled.append(self._new.popleft())
        alive = []
        for one in self._enrolled:
            if one.leash() is None:  # asked first: then its count is final
                self._folded += one.shard[0]
            else:
                alive.append(one)
        self._enrolled = alive


class _Ticks:
    """What a call holds. It knows the shards and is not known by them, so that it ends with its last call."""

    __slots__ = ("__weakref__", "_own", "_shards")

    def __init__(self, shards: _Shards) -> None:
        self._shards = shards
        self._own = shards.own

    def __next__(self) -> int:
        """Count one, in the calling thread's shard."""
        try:
            shard: list[int] = self._own.shard
        except AttributeError:
            shard = self._shards.enrol()
        shard[0] += 1
        return shard[0]


_NOBODYS: Stamp = itertools.count()
"""The ticks of retired counters: no call is ever admitted by them."""


class ShardedCounter:
    """A count for each thread; exact on any interpreter. See :class:`~selfheal.policies.breaker.counter.AnyCounter`.

    Args:
        generation: whose successes these are.
        lock: the circuit's, under which it is read.
    """

    __slots__ = ("_seen", "_shards", "_ticks", "generation", "ticks")

    def __init__(self, generation: int, lock: Lock) -> None:
        self.generation = generation
        self._shards = _Shards(lock)
        ticks = _Ticks(self._shards)
        self.ticks: Stamp = ticks
        self._ticks = weakref.ref(ticks)
        self._seen = 0

    def fresh(self) -> int:
        """Under the lock: ticks since the last time this was asked."""
        total = self._shards.total()
        fresh, self._seen = total - self._seen, total
        return fresh

    def retire(self) -> None:
        """Let go of the ticks: from now on only calls in progress keep them alive."""
        self.ticks = _NOBODYS

    @property
    def held(self) -> bool:
        """Whether the ticks are still alive. Perhaps a moment longer than they are held, and never shorter."""
        return self._ticks() is not None

    def in_child(self, lock: Lock) -> None:
        """After a fork, in the child: go by this lock from now on."""
        self._shards.lock = lock
