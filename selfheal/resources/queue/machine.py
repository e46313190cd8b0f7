"""The task queue as a pure machine in memory: no clock, lock, callback or I/O.

A task is READY, LEASED, DELAYED or DEAD. Which of the ready ones is next is decided in
:mod:`~selfheal.resources.queue.lanes`.

==========  ========================================================  ==========================
from        when                                                      to
==========  ========================================================  ==========================
READY       it is taken                                               LEASED
LEASED      acknowledged                                              gone
LEASED      given back, taken away, or its time is over               READY, DELAYED
LEASED      the same, after ``max_deliveries`` deliveries; or buried  DEAD
DELAYED     its time has come                                         READY
READY       acknowledged late by who had it last, before a new take   gone
READY       sheddable, and a critical one finds no room               gone
DEAD        a person revives it                                       READY
DEAD        a person discards it                                      gone
==========  ========================================================  ==========================
"""

from __future__ import annotations

import functools
from heapq import heappop, heappush
from typing import Any

from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.book import NEVER, News, Refused, order_key, rank_of
from selfheal.resources.queue.lanes import DEAD, DELAYED, GONE, LEASED, READY, Item, Lanes, Task
from selfheal.resources.queue.options import SPAN, QueueOptions
from selfheal.resources.queue.records import Buried, Counts, DeadLetter, Delivery, QueueSnapshot, Shed

_CRITICAL, _DEFAULT, _SHEDDABLE = Criticality.CRITICAL, Criticality.DEFAULT, Criticality.SHEDDABLE
_deliver = functools.partial(tuple.__new__, Delivery)


class MemoryBook:
    """Keeps the tasks of one process. See :class:`~selfheal.resources.queue.book.Book`."""

    def __init__(self, options: QueueOptions) -> None:
        self.options = options
        self._start_over()

    def _start_over(self) -> None:
        options = self.options
        self.counts = Counts()
        self.news: list[News] = []
        self._factor = 1.0
        self._tasks: dict[int, Task] = {}
        self._leases: dict[int, Task] = {}
        self._dead: dict[int, Task] = {}
        self._dedup: dict[str, Task] = {}
        self._lanes = Lanes(options)
        self._delayed: list[Item] = []
        self._wake = NEVER  # no lease or delay ends before
        self._step = options.age_step
        self._last = 0

    def put(
        self, payload: Any, priority: int, criticality: Criticality, delay: float, dedup: str | None, now: float
    ) -> int:
        """Keep a task."""
        if dedup is not None and dedup in self._dedup:
            self.counts.deduplicated += 1
            return self._dedup[dedup].id
        if len(self._tasks) >= self.options.max_size and not self._make_room(criticality):
            self.counts.refused += 1
            raise Refused(len(self._tasks), len(self._dead))
        self._last = id = self._last + 1
        key = now + delay - (priority + SPAN if criticality is _DEFAULT else priority) * self._step
        self._tasks[id] = task = Task(id, payload, priority, criticality, now + delay, key)
        if dedup is not None:
            task.dedup = dedup
            self._dedup[dedup] = task
        if delay > 0.0:
            self._delay(task, now + delay)
        else:
            heappush(self._lanes.critical if criticality is _CRITICAL else self._lanes.others, (key, id, task))
            if criticality is _SHEDDABLE:
                self._lanes.sheddable[id] = task
        self.counts.put += 1
        return id

    def take(self, worker: str, now: float) -> Delivery | None:
        """Hand out the task that is next."""
        if now >= self._wake:
            self.expire(now)
        task = self._lanes.pop(now)
        if task is None:
            return None
        task.state = LEASED
        task.delivered = count = task.delivered + 1
        task.generation = generation = task.generation + 1
        task.worker = worker
        task.due = due = now + self.options.visibility
        self._leases[task.id] = task
        if due < self._wake:
            self._wake = due
        counts = self.counts
        counts.taken += 1
        if count > 1:
            counts.redelivered += 1
        return _deliver((task.id, task.payload, count, due, worker, generation, task.priority, task.criticality))

    def next_change(self, now: float) -> float:
        """When a take may find more than now."""
        return min(self._wake, self._lanes.slot) if self._lanes.held_up(now) else self._wake

    def ack(self, delivery: Delivery, now: float) -> bool:
        """The task is done."""
        if now >= self._wake:
            self.expire(now)
        task = self._tasks.get(delivery.id)
        if task is None or task.generation != delivery.generation or task.state == DEAD:
            self.counts.late += 1
            return False
        self._forget(task)
        self.counts.acked += 1
        return True

    def nack(self, delivery: Delivery, delay: float, reason: str, now: float) -> bool:
        """The taker gives the task back."""
        task = self._held(delivery, now)
        if task is None:
            return False
        task.generation += 1  # whatever the taker says of this delivery from now on is late
        self.counts.nacked += 1
        self._give_back(task, reason or "given back by its taker", now, delay)
        return True

    def bury(self, delivery: Delivery, reason: str, now: float) -> bool:
        """The task is not to be delivered any more."""
        task = self._held(delivery, now)
        if task is None:
            return False
        self._bury(task, reason, now)
        return True

    def extend(self, delivery: Delivery, now: float) -> Delivery | None:
        """A sign of life."""
        task = self._held(delivery, now)
        if task is None:
            return None
        task.due = now + self.options.visibility
        self._leases[task.id] = self._leases.pop(task.id)  # kept in order of deadline
        return delivery._replace(deadline=task.due)

    def redistribute(self, worker: str, reason: str, now: float) -> int:
        """Take all tasks away from a worker."""
        self.expire(now)
        held = [task for task in self._leases.values() if task.worker == worker]
        for task in held:
            self._give_back(task, reason or f"taken away from {worker!r}", now)
        self.counts.redistributed += len(held)
        return len(held)

    def change(self, task: int, priority: int | None, criticality: Criticality | None, now: float) -> bool:
        """Give a task another rank."""
        found = self._tasks.get(task)
        if found is None or found.state == DEAD:
            return False
        self._lanes.sheddable.pop(task, None)
        found.priority = found.priority if priority is None else priority
        found.criticality = found.criticality if criticality is None else criticality
        found.key = order_key(found.since, rank_of(found.priority, found.criticality), self.options)
        if found.state == READY:
            self._lanes.push(found, len(self._tasks))
        return True

    def slow_down(self, factor: float, now: float) -> bool:
        """Space non-critical deliveries."""
        changed = factor != self._factor
        self._factor = factor
        self._lanes.slow_down(factor, now)
        return changed

    def expire(self, now: float) -> None:
        """Let leases and delays end whose time is over."""
        while self._delayed and self._delayed[0][0] <= now:
            task = heappop(self._delayed)[2]
            task.state = READY
            self._lanes.push(task, len(self._tasks))
        ended = []
        for task in self._leases.values():
            if task.due > now:
                break
            ended.append(task)
        for task in ended:
            self.counts.expired += 1
            self._give_back(task, f"no sign of its taker {task.worker!r}", now)
        lease = next(iter(self._leases.values()), None)
        delay = self._delayed[0][0] if self._delayed else NEVER
        self._wake = delay if lease is None else min(lease.due, delay)

    def dead_letters(self, now: float, wall: float) -> tuple[DeadLetter, ...]:
        """All dead letters."""
        return tuple(
            DeadLetter(
                id=t.id, payload=t.payload, delivery_count=t.delivered, reason=t.reason, at=wall - (now - t.buried_at),
                priority=t.priority, criticality=t.criticality,
            )
            for t in self._dead.values()
        )  # fmt: skip

    def revive(self, task: int, now: float) -> bool:
        """Put a dead letter back as if it were new."""
        found = self._dead.pop(task, None)
        if found is None:
            return False
        found.state, found.delivered, found.since, found.reason = READY, 0, now, ""
        found.key = order_key(now, rank_of(found.priority, found.criticality), self.options)
        self._lanes.push(found, len(self._tasks))
        return True

    def discard(self, task: int) -> bool:
        """Forget a dead letter."""
        if self._dead.pop(task, None) is None:
            return False
        self._tasks.pop(task).state = GONE
        return True

    def snapshot(self, now: float) -> QueueSnapshot:
        """Sizes and counts."""
        holders: dict[str, int] = {}
        for task in self._leases.values():
            holders[task.worker] = holders.get(task.worker, 0) + 1
        oldest = min((task.since for task in self._tasks.values() if task.state == READY), default=now)
        return QueueSnapshot(
            name=self.options.name,
            size=len(self._tasks),
            max_size=self.options.max_size,
            ready=len(self._tasks) - len(self._leases) - len(self._delayed) - len(self._dead),
            delayed=len(self._delayed),
            delivered=len(self._leases),
            dead=len(self._dead),
            holders=holders,
            oldest_wait=max(now - oldest, 0.0),
            ageing_bound=self.options.ageing_bound,
            slow_factor=self._factor,
            gap=self._lanes.gap,
            **self.counts.as_dict(),
        )

    def close(self) -> None:
        """Nothing is held open."""

    def after_fork(self) -> None:
        """The tasks are the parent's: it goes on with them."""
        self._start_over()

    def _held(self, delivery: Delivery, now: float) -> Task | None:
        """The task, if this delivery of it is still under way."""
        self.expire(now)
        task = self._leases.get(delivery.id)
        if task is None or task.generation != delivery.generation:
            self.counts.late += 1
            return None
        return task

    def _delay(self, task: Task, due: float) -> None:
        task.state, task.due = DELAYED, due
        heappush(self._delayed, (due, task.id, task))
        self._wake = min(self._wake, due)

    def _give_back(self, task: Task, why: str, now: float, delay: float = 0.0) -> None:
        if task.delivered >= self.options.max_deliveries:
            self._bury(task, f"{why}, at delivery {task.delivered} of {self.options.max_deliveries}", now)
            return
        del self._leases[task.id]
        if delay > 0.0:
            self._delay(task, now + delay)
            return
        task.state = READY
        self._lanes.push(task, len(self._tasks))

    def _bury(self, task: Task, reason: str, now: float) -> None:
        del self._leases[task.id]
        self._free_key(task)
        task.state, task.reason, task.buried_at = DEAD, reason, now
        self._dead[task.id] = task
        self.counts.buried += 1
        self.news.append(Buried(task.id, task.delivered, reason))

    def _free_key(self, task: Task) -> None:
        if task.dedup is not None:
            del self._dedup[task.dedup]
            task.dedup = None

    def _forget(self, task: Task) -> None:
        id = task.id
        del self._tasks[id]
        if self._leases.pop(id, None) is None:
            self._lanes.sheddable.pop(id, None)
        task.state = GONE
        if task.dedup is not None:
            self._free_key(task)

    def _make_room(self, criticality: Criticality) -> bool:
        if not self.options.shed_for_critical or criticality is not _CRITICAL or not self._lanes.sheddable:
            return False
        victim = self._tasks[max(self._lanes.sheddable)]  # the one put last
        self._forget(victim)
        self.counts.shed += 1
        self.news.append(Shed(victim.id))
        return True
