"""Which ready task is next: two heaps, critical and other, and the spacing of the others.

A heap item carries the key its task had when it was pushed (see
:func:`~selfheal.resources.queue.book.order_key`). Keys never change while a task waits, so ageing costs nothing;
an item whose task has moved on since is skipped when it comes up.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.book import NEVER, gap_of
from selfheal.resources.queue.options import QueueOptions

READY, LEASED, DELAYED, DEAD, GONE = range(5)
_CRITICAL, _SHEDDABLE = Criticality.CRITICAL, Criticality.SHEDDABLE
_SLACK = 64
"""Stale items that are not worth a clean-up."""


class Task:
    """One task. What most tasks never change stands on the class: a put sets little."""

    state = READY
    delivered = 0
    generation = 0
    worker = ""
    due = NEVER
    dedup: str | None = None
    reason = ""
    buried_at = 0.0

    def __init__(
        self, id: int, payload: Any, priority: int, criticality: Criticality, since: float, key: float
    ) -> None:
        self.id = id
        self.payload = payload
        self.priority = priority
        self.criticality = criticality
        self.since = since
        self.key = key

    def __lt__(self, other: object) -> bool:
        return False  # asked only of two items of one task: they are equal


Item = tuple[float, int, Task]


class Lanes:
    """The ready tasks of one queue.

    Attributes:
        critical: heap of the critical ones.
        others: heap of all others.
        sheddable: those of the others that may be dropped, in order of arrival.
        slot: moment before which no non-critical task is handed out.
        gap: seconds between two non-critical deliveries.
    """

    def __init__(self, options: QueueOptions) -> None:
        self.critical: list[Item] = []
        self.others: list[Item] = []
        self.sheddable: dict[int, Task] = {}
        self.slot = -NEVER
        self.gap = 0.0
        self._options = options
        self._run = 0  # critical deliveries in a row
        self._burst = NEVER if options.critical_burst is None else options.critical_burst

    def push(self, task: Task, held: int) -> None:
        """Add a ready task; ``held`` is how many tasks the queue holds, for the upkeep of the heap."""
        heap = self.critical if task.criticality is _CRITICAL else self.others
        if len(heap) > 2 * held + _SLACK:
            heap[:] = {(item[2].key, item[1], item[2]) for item in heap if item[2].state == READY}
            heapify(heap)
        heappush(heap, (task.key, task.id, task))
        if task.criticality is _SHEDDABLE:
            self.sheddable[task.id] = task

    def pop(self, now: float) -> Task | None:
        """Take out the task that is next, if one may be handed out now."""
        critical = self.critical
        if critical and (self._run < self._burst or not self._overdue(now)):
            while critical:
                key, _, task = heappop(critical)
                if task.state == READY and task.key == key and task.criticality is _CRITICAL:
                    self._run += 1
                    return task
        if now < self.slot:
            return None
        others = self.others
        while others:
            key, _, task = heappop(others)
            if task.state == READY and task.key == key and task.criticality is not _CRITICAL:
                self._run = 0
                if self.gap:
                    self.slot = now + self.gap
                if task.criticality is _SHEDDABLE:
                    del self.sheddable[task.id]
                return task
        return None

    def slow_down(self, factor: float, now: float) -> None:
        """Space the non-critical deliveries by a factor's gap, counted from the last one."""
        gap = gap_of(factor, self._options)
        self.slot = min(self.slot, now) if not gap else self.slot - self.gap + gap
        self.gap = gap

    def held_up(self, now: float) -> bool:
        """Whether a non-critical task is ready and only the spacing keeps it back."""
        return now < self.slot and self._first_other() is not None

    def _first_other(self) -> Item | None:
        others = self.others
        while others:
            key, _, task = others[0]
            if task.state == READY and task.key == key and task.criticality is not _CRITICAL:
                return others[0]
            heappop(others)
        return None

    def _overdue(self, now: float) -> bool:
        """Whether a non-critical task may be served now and waits past its own ageing bound.

        ``now - since >= (19 - rank) * age_step`` is ``key <= now - 19 * age_step``: if any is, the first is.
        """
        first = None if now < self.slot else self._first_other()
        return first is not None and first[0] <= now - self._options.ageing_bound
