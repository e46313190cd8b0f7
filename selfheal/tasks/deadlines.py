"""Which runs have to be done by when. Pure: times are handed in."""

from __future__ import annotations

import heapq

from selfheal.tasks.schedule import NEVER
from selfheal.tasks.task import Run

_ROOM = 64
"""Entries held before runs that have ended are looked for."""


class Deadlines:
    """A heap of runs by deadline. A run that ended is dropped when it comes up, or when the heap has doubled."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, Run]] = []
        self._room = _ROOM

    def watch(self, run: Run, deadline: float) -> None:
        """Have :meth:`expire` name ``run`` if it is still under way at ``deadline``."""
        heapq.heappush(self._heap, (deadline, run.task.order, run.number, run))
        if len(self._heap) > self._room:
            self._heap = [entry for entry in self._heap if not entry[3].ended]
            heapq.heapify(self._heap)
            self._room = max(_ROOM, 2 * len(self._heap))

    def next(self) -> float:
        """The earliest deadline of a run under way; ``NEVER`` if there is none."""
        heap = self._heap
        while heap and heap[0][3].ended:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    def expire(self, now: float) -> list[Run]:
        """Take out the runs whose deadline has passed."""
        passed = []
        while self.next() <= now:
            passed.append(heapq.heappop(self._heap)[3])
        return passed

    def clear(self) -> None:
        """Watch nothing."""
        self._heap.clear()
