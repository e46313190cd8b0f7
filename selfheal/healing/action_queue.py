"""What is to be done, now or later, one after the other: bounded, and starving nobody. Pure: the caller gives the time.

Immediate, scheduled and deferred items are of one kind and in one order. They differ in when they are due.
"""

from __future__ import annotations

import itertools
from collections import deque
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar, Unpack

import attrs

from selfheal.errors import ConfigError, QueueFullError
from selfheal.healing.action_records import (
    ActionQueueConfig,
    ActionQueueOptions,
    ActionQueueSnapshot,
    Counts,
    Key,
    QueuedAction,
)

__all__ = ["ActionQueue", "ActionQueueConfig", "ActionQueueOptions", "ActionQueueSnapshot", "Key", "QueuedAction"]

T = TypeVar("T")
_SLACK = 64
"""Stale places in a heap that are not worth a clean-up."""


class ActionQueue(Generic[T]):
    """Items by strategy and target, each with a moment from which it may be done.

    Of those that are due, the one with the smallest ``due - priority * age_step`` is next, then the one put first: an
    urgent item comes before others, and each ``age_step`` of waiting makes up for one step of priority. So an item
    that has been due for ``9 * age_step`` seconds is overtaken by nothing that becomes due after that. Not
    thread-safe: the owner holds a lock; ``now`` is monotonic seconds and never goes back.

    Args:
        config: its limits; the fields may be given as keyword arguments instead.
        name: in errors.

    >>> queue = ActionQueue()
    >>> _ = queue.add("restart", "high_cpu", "web-1", 1000.0)
    >>> _ = queue.add("notify", "low_success", "web-2", 1000.0, priority=9)
    >>> _ = queue.add("snapshot", "anomaly", "web-3", 1000.0, due=1060.0)
    >>> [queue.take(1001.0).item, queue.take(1001.0).item, queue.take(1001.0), queue.take(1060.0).item]
    ['notify', 'restart', None, 'snapshot']
    """

    def __init__(
        self, config: ActionQueueConfig | None = None, *, name: str = "actions", **options: Unpack[ActionQueueOptions]
    ) -> None:
        self.config = attrs.evolve(config or ActionQueueConfig(), **options)
        self.name = name
        self._waiting: dict[Key, QueuedAction[T]] = {}
        self._later: list[tuple[float, int, QueuedAction[T]]] = []  # by due
        self._ready: list[tuple[float, int, int, QueuedAction[T]]] = []  # by turn
        self._ends: list[tuple[float, int, QueuedAction[T]]] = []  # by expiry
        self._ticket = itertools.count(1)  # no two places in a heap are equal, so items are never compared
        self._last = 0
        self._counts = Counts()
        self._untold: deque[QueuedAction[T]] = deque(maxlen=self.config.max_size)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def add(
        self,
        item: T,
        strategy: str,
        target: str,
        now: float,
        *,
        due: float | None = None,
        priority: int = 0,
        ttl: float | None = None,
    ) -> QueuedAction[T]:
        """Put an item, or bring the waiting one of this strategy and target up to date.

        The waiting one keeps its place, takes the new ``item``, the higher priority and the later expiry; and the
        earlier moment, unless it was put off.

        Args:
            item: what is to be done.
            strategy: that does it.
            target: what it is done to.
            now: monotonic seconds.
            due: when it may be done; ``None``, or a moment that is over: now.
            priority: 0 to 9, the highest first.
            ttl: seconds that it waits at most from ``due`` on; ``None``, or longer than the queue's: the queue's.

        Raises:
            ConfigError: if a value is out of range.
            QueueFullError: if as many items wait as may.
        """
        due = now if due is None else max(due, now)
        expires = due + self._life(ttl)
        self._expire(now)
        known = self._waiting.get((strategy, target))
        fresh = QueuedAction(
            item=item, strategy=strategy, target=target, due=due, priority=priority, added=now, expires=expires,
            sequence=self._last + 1, scheduled=due > now,
        )  # fmt: skip
        if known is not None:
            self._counts.deduplicated += 1
            return self._place(_brought_up_to_date(known, fresh))
        if len(self._waiting) >= self.config.max_size:
            self._counts.refused += 1
            raise QueueFullError(self.name, len(self._waiting), self.config.max_size)
        self._last += 1
        self._counts.added += 1
        return self._place(fresh)

    def due(self, now: float) -> QueuedAction[T] | None:
        """The item that is next, if one may be done now; it stays where it is."""
        self._expire(now)
        while self._later and self._later[0][0] <= now:
            _, _, one = heappop(self._later)
            if self._waiting.get(one.key) is one:
                turn = one.due - one.priority * self.config.age_step
                heappush(self._ready, (turn, one.sequence, next(self._ticket), one))
        while self._ready:
            one = self._ready[0][-1]
            if self._waiting.get(one.key) is one:
                return one
            heappop(self._ready)
        return None

    def take(self, now: float) -> QueuedAction[T] | None:
        """Take out the item that is next, if one may be done now."""
        one = self.due(now)
        if one is not None:
            del self._waiting[one.key]
            self._counts.taken += 1
        return one

    def in_turn(self, now: float) -> list[QueuedAction[T]]:
        """All items that are due, in the order in which they are next; they stay where they are."""
        self._expire(now)
        step = self.config.age_step
        ready = [one for one in self._waiting.values() if one.due <= now]
        return sorted(ready, key=lambda one: (one.due - one.priority * step, one.sequence))

    def defer(self, key: Key, until: float, reason: str = "") -> bool:
        """Put an item off until a moment, never to an earlier one. Its expiry stays; tell whether it waits.

        Args:
            key: strategy and target.
            until: monotonic seconds.
            reason: why.

        Raises:
            ConfigError: if ``until`` is not finite.
        """
        known = self._waiting.get(key)
        if known is None:
            return False
        self._place(attrs.evolve(known, due=max(until, known.due), deferrals=known.deferrals + 1, reason=reason))
        self._counts.deferrals += 1
        return True

    def remove(self, key: Key) -> QueuedAction[T] | None:
        """Take an item back; ``None`` if none of this strategy and target waits."""
        one = self._waiting.pop(key, None)
        self._counts.removed += one is not None
        return one

    def expire(self, now: float) -> list[QueuedAction[T]]:
        """Forget what is too old; tell each item that became so, once."""
        self._expire(now)
        told = list(self._untold)
        self._untold.clear()
        return told

    def next_due(self, now: float) -> float | None:
        """The moment from which an item may be done: ``now`` or before if one is due; ``None`` if none waits."""
        ready = self.due(now)
        if ready is not None:
            return ready.due
        while self._later and self._waiting.get(self._later[0][-1].key) is not self._later[0][-1]:
            heappop(self._later)
        return self._later[0][0] if self._later else None

    def items(self) -> tuple[QueuedAction[T], ...]:
        """All that wait, in the order in which they were put."""
        return tuple(sorted(self._waiting.values(), key=lambda one: one.sequence))

    def snapshot(self, now: float) -> ActionQueueSnapshot:
        """Sizes and counts."""
        self._expire(now)
        ready = [one for one in self._waiting.values() if one.due <= now]
        deferred = sum(1 for one in self._waiting.values() if one.due > now and one.deferrals)
        return ActionQueueSnapshot(
            size=len(self._waiting),
            max_size=self.config.max_size,
            ready=len(ready),
            scheduled=len(self._waiting) - len(ready) - deferred,
            deferred=deferred,
            oldest_wait=max((now - one.due for one in ready), default=0.0),
            ttl=self.config.ttl,
            ageing_bound=self.config.ageing_bound,
            **attrs.asdict(self._counts),
        )

    def _life(self, ttl: float | None) -> float:
        """Seconds that an item waits at most from when it is due."""
        if ttl is not None and not ttl > 0:
            raise ConfigError("ttl of ActionQueue.add", ttl, "above 0 s, or None", "None")
        return self.config.ttl if ttl is None else min(ttl, self.config.ttl)

    def _place(self, one: QueuedAction[T]) -> QueuedAction[T]:
        self._waiting[one.key] = one
        heappush(self._later, (one.due, next(self._ticket), one))
        heappush(self._ends, (one.expires, next(self._ticket), one))
        most = 2 * len(self._waiting) + _SLACK
        for heap in (self._later, self._ends, self._ready):
            if len(heap) > most:
                self._sweep(heap)
        return one

    def _sweep(self, heap: list[Any]) -> None:
        """Drop the places of items that have moved on; the order of the others stays."""
        heap[:] = [place for place in heap if self._waiting.get(place[-1].key) is place[-1]]
        heapify(heap)

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, _, one = heappop(self._ends)
            if self._waiting.get(one.key) is one:
                del self._waiting[one.key]
                self._counts.expired += 1
                self._untold.append(one)


def _brought_up_to_date(known: QueuedAction[T], fresh: QueuedAction[T]) -> QueuedAction[T]:
    """The waiting item, as it is once it was put again."""
    return attrs.evolve(
        known,
        item=fresh.item,
        due=known.due if known.deferrals else min(known.due, fresh.due),
        priority=max(known.priority, fresh.priority),
        expires=max(known.expires, fresh.expires),
    )
