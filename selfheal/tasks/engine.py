"""The scheduler thread: fires what is due, gives up what takes too long, hands runs to workers and loops.

Thin: the book decides under the lock; threads are woken, events published and callables called without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import ClockJumped, Event, TaskFailed, TaskOverdue, WorkersExhausted
from selfheal.tasks.book import BATCH, TaskBook
from selfheal.tasks.dailies import LOOK_EVERY
from selfheal.tasks.jumps import JumpWatch
from selfheal.tasks.loops import CANCEL_GRACE, LoopRunner
from selfheal.tasks.pool import CHECK, WorkerPool
from selfheal.tasks.schedule import NEVER
from selfheal.tasks.task import Run, Trouble

if TYPE_CHECKING:
    from selfheal.clock import Clock

logger = logging.getLogger("selfheal.tasks")

_AFTER_ERROR = 1.0
"""Seconds the scheduler waits after an error that should not be."""


class Engine:
    """Drives a book by a clock.

    Args:
        book: the tasks.
        clock: by which they are due.
        publish: takes each event; never raises.
        max_workers: sync runs at once.
        max_abandoned: abandoned runs alive at once before nothing more is started.
        settle: seconds to settle after a clock jump.
        on_exhausted: called when ``max_abandoned`` is reached.
    """

    def __init__(
        self,
        book: TaskBook,
        clock: Clock,
        publish: Callable[[Event], None],
        *,
        max_workers: int,
        max_abandoned: int,
        settle: float,
        on_exhausted: Callable[[WorkersExhausted], object] | None,
    ) -> None:
        self.lock = threading.RLock()  # re-entrant: a collected object's __del__ may come back in
        self.book = book
        self.clock = clock
        self.now = clock.monotonic
        self.exhausted = False
        self._publish = publish
        self._max_abandoned = max_abandoned
        self._on_exhausted = on_exhausted
        self._watch = JumpWatch(clock.monotonic(), clock.wall(), settle)
        self.loops = LoopRunner(book, self.lock, self.now, report=self.report, kick=self.kick, expect=self.expect)
        self.pool = WorkerPool(
            book,
            self.lock,
            self.now,
            report=self.report,
            adopt=self.loops.adopt,
            kick=self.kick,
            expect=self.expect,
            max_workers=max_workers,
        )
        self._waker = clock.waker()
        self._wake_at = NEVER
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.look_at_clocks()

    @property
    def started(self) -> bool:
        """Whether the scheduler thread was started."""
        return self._thread is not None

    def start(self) -> None:
        """Start the scheduler thread, once."""
        with self.lock:
            if self._thread is not None or self._stopping:
                return
            self._thread = threading.Thread(target=self._run, name="selfheal-tasks", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            raise

    def kick(self) -> None:
        """Have the scheduler thread look now."""
        if self._thread is not None:
            self._waker.wake()

    def expect(self, moment: float) -> None:
        """Have the scheduler thread look at ``moment`` at the latest."""
        if moment < self._wake_at:
            self.kick()

    def stop(self, deadline: float) -> None:
        """End the scheduler thread; wait for it until ``deadline`` (real monotonic seconds)."""
        self._stopping = True
        self._waker.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(max(deadline - SYSTEM_CLOCK.monotonic(), 0.0))

    def look_at_clocks(self) -> float:
        """Publish a jump if there was one, and move daily tasks; tell how many seconds are left to settle."""
        with self.lock:
            wall = self.clock.wall()  # first: held up between the two, a daily task is late, and never early
            now = self.now()
            moved = self._watch.look(now, wall)
            left = self._watch.settling(now)
            due = self.book.next_due() if self.book.dailies.look(now, wall - now) else NEVER
        if due < NEVER:
            self.expect(due)
        if moved is not None:
            logger.warning("the wall clock jumped by %+.1f s against the monotonic clock", moved)
            self._publish(ClockJumped(at=self.clock.wall(), seconds=moved))
        return left

    def report(self, trouble: Trouble, abandoned: bool = False) -> None:
        """Without the lock: tell the world about a run that did not go well."""
        at = self.clock.wall()
        if trouble.overdue:
            logger.warning("task %r is overdue: not done after %g s", trouble.task_id, trouble.timeout)
            self._publish(TaskOverdue(at=at, task_id=trouble.task_id, timeout=trouble.timeout, abandoned=abandoned))
        else:
            event = TaskFailed(at=at, task_id=trouble.task_id, error=trouble.error, consecutive=trouble.consecutive)
            self._publish(event)

    def _run(self) -> None:
        rested = True
        while not self._stopping:
            try:
                moment = self.turn(rested)
            except Exception:  # whatever it is, the other tasks must not end with it
                logger.critical("the scheduler met an error and goes on", exc_info=True)
                moment = self.now() + _AFTER_ERROR
            delay = moment - self.now() if moment < NEVER else None
            rested = delay is None or delay > 0
            if rested:
                self._waker.wait(delay)

    def turn(self, rested: bool = True) -> float:
        """Look once: fire, expire, hand over.

        Args:
            rested: whether this thread waited since the last look.

        Returns:
            The moment of the next look.
        """
        self.look_at_clocks()
        book = self.book
        with self.lock:
            now = self.now()
            late = book.deadlines.expire(now)
            book.fire_due(now, BATCH)
        for run in late:
            self._overdue(run)
        with self.lock:
            self._recover()
            for_loops = []
            if book.ready_async and not self.exhausted:
                for_loops = list(book.ready_async)
                book.ready_async.clear()
            now = self.now()
            worker = self.pool.demand(now, rested)
            moment = book.next_due()
            if book.ready and not self.exhausted:
                # What else is due the workers fire themselves, once they are through with this.
                moment = now + CHECK if moment <= now else min(moment, now + CHECK)
            if book.dailies:
                moment = min(moment, now + LOOK_EVERY)
            moment = self._wake_at = min(moment, book.deadlines.next())
        if worker is not None:
            self.pool.wake(worker)
        if for_loops:
            self.loops.launch(for_loops)
        return moment

    def _overdue(self, run: Run) -> None:
        """A deadline passed. A thread cannot be ended: leave it behind. A coroutine can, if it lets itself be."""
        book, trouble, abandoned = self.book, None, False
        with self.lock:
            if run.ended:
                return
            if not run.overdue:
                trouble = book.overdue(run)
                if self.pool.abandon(run):
                    book.abandon(run, self.now())
                    abandoned = True
                else:
                    book.deadlines.watch(run, self.now() + CANCEL_GRACE)
            else:
                book.abandon(run, self.now())
                abandoned = True
        if trouble is not None and not abandoned:
            self.loops.cancel(run)
        elif trouble is None:
            if self.loops.give_up(run):
                with self.lock:
                    book.requeue_async()
            trouble = Trouble(run.task.id, "", 0, True, run.task.timeout or 0.0)
        self.report(trouble, abandoned)
        if abandoned:
            self._exhaust()

    def _exhaust(self) -> None:
        """Stop starting runs once too many were abandoned, and say so."""
        with self.lock:
            stuck = self.book.abandoned
            if self.exhausted or len(stuck) < self._max_abandoned:
                return
            self.exhausted = self.pool.blocked = True
            ids = tuple(sorted(run.task.id for run in stuck))
        event = WorkersExhausted(at=self.clock.wall(), abandoned=len(ids), task_ids=ids)
        logger.critical("%d abandoned runs are still alive (%s): no more runs start", len(ids), ", ".join(ids))
        self._publish(event)
        if self._on_exhausted is not None:
            try:
                self._on_exhausted(event)
            except Exception:
                logger.exception("on_exhausted raised")

    def _recover(self) -> None:
        """Go on once enough of the abandoned runs have ended."""
        if self.exhausted and len(self.book.abandoned) < self._max_abandoned:
            self.exhausted = self.pool.blocked = False
            logger.warning("an abandoned run has ended: runs start again")
