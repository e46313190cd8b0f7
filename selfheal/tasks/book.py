"""All tasks of a registry and what is due, queued and under way. No clock, lock, thread or callback.

Whoever uses it holds the registry's lock and passes the time in.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from selfheal.errors import TaskExistsError, TaskLimitError
from selfheal.tasks.dailies import Dailies
from selfheal.tasks.daily import DailySchedule
from selfheal.tasks.deadlines import Deadlines
from selfheal.tasks.options import TaskOptions
from selfheal.tasks.schedule import NEVER, Hold, Phase
from selfheal.tasks.task import Run, Task, Trouble

_QUEUED, _DONE = Phase.QUEUED, Phase.DONE
BATCH = 64
"""Due tasks queued in one go."""
_ROOM = 64
"""Entries a heap may hold before stale ones are looked for."""


class TaskBook:
    """The tasks, their due times as a heap, the queue of runs to start, and the runs under way."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.ready: deque[Task] = deque()
        self.ready_async: deque[Task] = deque()
        self.live: set[Run] = set()
        self.abandoned: set[Run] = set()
        self.held = False
        self._leaving: dict[str, Task] = {}
        self._order = 0
        self._due: list[tuple[float, int, Task]] = []
        self._due_room = _ROOM
        self.dailies = Dailies()
        self.deadlines = Deadlines()

    # --- which tasks there are

    def admit(self, options: TaskOptions, limit: int, replace: bool) -> None:
        """Make sure a task may be added.

        Raises:
            TaskExistsError: if its id is taken and it may not replace.
            TaskLimitError: if there are ``limit`` tasks that are not done.
        """
        if options.id in self.tasks:
            if not replace:
                raise TaskExistsError(options.id)
            return
        if len(self.tasks) < limit:
            return
        live = [task.id for task in self.tasks.values() if not task.done]
        if len(live) >= limit:
            raise TaskLimitError(options.id, limit, live)
        surplus = len(self.tasks) + 1 - limit
        for task in [task for task in self.tasks.values() if task.done][:surplus]:
            self.remove(task)

    def add(self, options: TaskOptions, now: float, enabled: bool = True) -> Task:
        """Take a task in, in place of the one of the same id if there is one."""
        old = self.tasks.get(options.id)
        if old is not None:
            self._retire(old)
        self._order += 1
        generation = 1 if old is None else old.generation + 1
        blocked = options.id in self._leaving
        task = Task(options, now, generation, self._order, blocked, self.dailies.apart)
        self.tasks[options.id] = task
        if self.held:
            task.schedule.pause(Hold.ALL)
        if not enabled:
            task.schedule.pause(Hold.OWN)
        self.plan(task)
        return task

    def remove(self, task: Task) -> None:
        """Take a task out. A run under way ends by itself; its result is not counted."""
        del self.tasks[task.id]
        self._retire(task)
        self._tidy()

    def pause_all(self) -> tuple[str, ...]:
        """Hold back every task, those added later too. Tell the ids of those that nobody held before."""
        self.held = True
        running = [task for task in self.tasks.values() if not task.schedule.paused and not task.done]
        for task in self.tasks.values():
            task.schedule.pause(Hold.ALL)
        return tuple(task.id for task in running)

    def resume(self, tasks: Iterable[Task], now: float, *holds: Hold) -> tuple[str, ...]:
        """Let go of ``holds`` (default: all) on ``tasks``. Tell the ids of those that run again."""
        if Hold.ALL in holds:
            self.held = False
        resumed = []
        for task in tasks:
            if task.schedule.resume(now, *holds) and not task.schedule.paused:
                resumed.append(task.id)
                self.plan(task)
        return tuple(resumed)

    def _retire(self, task: Task) -> None:
        if task.schedule.phase is Phase.RUNNING:
            self._leaving[task.id] = task
        task.schedule.retire()
        self.dailies.drop(task)

    # --- when they are due

    def plan(self, task: Task) -> None:
        """Note when ``task`` is due next."""
        if isinstance(task.schedule, DailySchedule):
            self.dailies.plan(task, task.schedule)
            return
        due = task.schedule.due
        if due < NEVER:
            heapq.heappush(self._due, (due, task.order, task))
            self._tidy()

    def next_due(self) -> float:
        """The earliest due time; ``NEVER`` if there is none."""
        due = self._due
        while due and due[0][2].schedule.due != due[0][0]:
            heapq.heappop(due)
        daily = self.dailies.next()
        return min(due[0][0], daily) if due else daily

    def fire_due(self, now: float, limit: int = 1 << 60) -> None:
        """Queue a run of each task due by ``now``, ``limit`` runs at most (of daily tasks any number)."""
        if self.dailies.next() <= now:
            for daily in self.dailies.fire(now):
                self._enqueue(daily)
        while limit > 0 and (task := self._fire_next(now)) is not None:
            self._enqueue(task)
            limit -= 1

    def _fire_next(self, now: float) -> Task | None:
        """Fire due tasks until one is to run; give that one, or ``None`` if nothing more is due."""
        heap = self._due
        while heap:
            due, order, task = heap[0]
            if due > now:
                return None
            schedule = task.schedule
            if schedule.due != due:  # paused, replaced or removed since
                heapq.heappop(heap)
                continue
            wanted = schedule.fire(now)
            if schedule.due < NEVER:
                heapq.heapreplace(heap, (schedule.due, order, task))
            else:
                heapq.heappop(heap)
            if wanted:
                return task
        return None

    def _tidy(self) -> None:
        """Drop stale entries once they could be half of the heap."""
        if len(self._due) > self._due_room:
            live = (entry for entry in self._due if entry[2].schedule.due == entry[0])
            self._due = list(dict.fromkeys(live))  # resumed to the slot it was paused before: there twice
            heapq.heapify(self._due)
            self._due_room = max(_ROOM, 2 * len(self._due))

    # --- runs

    def take(self, now: float) -> Run | None:
        """Start the next queued run of a sync task; with an empty queue, straight from what is due.

        So one thread fires and drains a herd: two at it would wait for each other.
        """
        ready = self.ready
        while True:
            if ready:
                task: Task | None = ready.popleft()
            else:
                task = self._fire_next(now)
            if task is None:
                return None
            if task.is_async:
                self.ready_async.append(task)
            elif (run := self.begin(task, now)) is not None:
                return run

    def begin(self, task: Task, now: float) -> Run | None:
        """Start the queued run of ``task``, unless it was withdrawn or is too late."""
        number = task.schedule.begin(now)
        if not number:
            if task.schedule.phase is _QUEUED:
                self._enqueue(task)
            return None
        run = Run(task, number, now)
        self.live.add(run)
        if task.timeout is not None:
            self.deadlines.watch(run, now + task.timeout)
        return run

    def end(self, run: Run, now: float, error: str | None = None, *, counts: bool = True) -> Trouble | None:
        """A run is over.

        Args:
            run: which.
            now: monotonic seconds.
            error: what it raised, as text.
            counts: whether it enters the statistics; a run cancelled by a shutdown does not.
        """
        task, schedule = run.task, run.task.schedule
        run.ended = True
        self.live.discard(run)
        self.abandoned.discard(run)
        if not schedule.end(run.number, now):
            self._ended_late(run, now)
            return None
        trouble = self._count(run, now - run.started, error) if counts else None
        if schedule.phase is _QUEUED:
            self._enqueue(task)
        return trouble

    def abandon(self, run: Run, now: float) -> None:
        """Wait for ``run`` no longer: its result will not count, and a replacement of its task may start."""
        run.abandoned = True
        self.abandoned.add(run)
        task = run.task
        if task.schedule.abandon(run.number, now) and task.schedule.phase is _QUEUED:
            self._enqueue(task)
        self._let_successor_go(task, now)

    def overdue(self, run: Run) -> Trouble:
        """Count a run that takes longer than its timeout as a failure, now and not again when it ends."""
        task = run.task
        run.overdue = run.cancelled = True
        timeout = task.timeout or 0.0
        error = f"overdue: not done after {timeout:g} s"
        task.executions += 1
        task.overdue += 1
        task.failed(error)
        return Trouble(task.id, error, task.consecutive, True, timeout)

    # --- all at once

    def close(self) -> list[str]:
        """Let nothing start any more; tell of which tasks a queued run was dropped."""
        dropped = sorted({task.id for task in (*self.ready, *self.ready_async) if task.schedule.phase is _QUEUED})
        self.ready.clear()
        self.ready_async.clear()
        self._due.clear()
        self.dailies.clear()
        for task in self.tasks.values():
            task.schedule.close()
        return dropped

    def forget_runs(self, now: float) -> None:
        """After a fork: the runs under way are in the other process."""
        self.ready.clear()
        self.ready_async.clear()
        self.live.clear()
        self.abandoned.clear()
        self._leaving.clear()
        self.deadlines.clear()
        self.realign(now)

    def realign(self, now: float) -> None:
        """Start every grid over from ``now`` on, counting no misses."""
        self._due.clear()
        self.dailies.clear()
        for task in self.tasks.values():
            task.schedule.restart(now)
            self.plan(task)

    def requeue_async(self) -> None:
        """Queue anew the async runs without a loop of their own that were handed over and did not begin."""
        for task in self.tasks.values():
            waits = task.is_async and task.options.loop is None and task.schedule.phase is _QUEUED
            if waits and task not in self.ready_async:
                self.ready_async.append(task)

    def _count(self, run: Run, took: float, error: str | None) -> Trouble | None:
        task = run.task
        task.last_duration = took
        if run.overdue:
            return None  # counted when its deadline passed
        if task.timeout is not None and took > task.timeout:
            return self.overdue(run)
        task.executions += 1
        if error is None:
            task.consecutive = 0
            return None
        task.failed(error)
        return Trouble(task.id, error, task.consecutive)

    def _ended_late(self, run: Run, now: float) -> None:
        task = run.task
        task.schedule.release(run.number, now)
        if task.schedule.phase is _QUEUED:
            self._enqueue(task)
        self._let_successor_go(task, now)

    def _let_successor_go(self, task: Task, now: float) -> None:
        if self._leaving.get(task.id) is not task:
            return
        del self._leaving[task.id]
        successor = self.tasks.get(task.id)
        if successor is not None:
            successor.schedule.unblock(now)
            if successor.schedule.phase is _QUEUED:
                self._enqueue(successor)

    def _enqueue(self, task: Task) -> None:
        (self.ready_async if task.is_async else self.ready).append(task)
