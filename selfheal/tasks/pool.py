"""Worker threads for sync tasks: daemons of our own, started when first needed.

A ``ThreadPoolExecutor`` would join its threads at interpreter exit without a bound, so one stuck task
would hold the exit for as long as it likes. And it wakes a thread for each submitted call; here one
awake worker drains short runs one after the other, and another is woken only while all awake ones are
held up in a run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from selfheal.clock import SYSTEM_CLOCK
from selfheal.tasks.calling import call
from selfheal.tasks.task import Run, Trouble

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from selfheal.tasks.book import TaskBook

logger = logging.getLogger("selfheal.tasks")

HELD_UP = 0.005
"""Seconds after which a worker in one run counts as held up; the interpreter takes turns of that length."""
CHECK = 0.005
"""Seconds between two looks at whether queued runs need another worker."""
BARRED = 1.0
"""Seconds until a thread is tried for again after the system refused one."""


class Worker:
    """A thread and the run it is in."""

    __slots__ = ("gate", "idle", "leaving", "run", "thread")

    def __init__(self) -> None:
        self.gate = threading.Lock()  # held while there is nothing to do; released once to wake
        self.gate.acquire()
        self.idle = False
        self.leaving = False
        self.run: Run | None = None
        self.thread: threading.Thread | None = None


class WorkerPool:
    """The workers.

    Args:
        book: where the queued runs are.
        lock: guards the book and everything here.
        now: monotonic seconds.
        report: told of each run that did not go well; called without the lock.
        adopt: given a coroutine that a sync task returned, and its run.
        kick: called without the lock when there is something for the scheduler to do now.
        expect: called without the lock with the deadline of a run that has one.
        max_workers: how many runs at once.
    """

    def __init__(
        self,
        book: TaskBook,
        lock: threading.RLock,
        now: Callable[[], float],
        *,
        report: Callable[[Trouble], None],
        adopt: Callable[[Run, Coroutine[Any, Any, object]], None],
        kick: Callable[[], None],
        expect: Callable[[float], None],
        max_workers: int,
    ) -> None:
        self._book = book
        self._lock = lock
        self._now = now
        self._report = report
        self._adopt = adopt
        self._kick = kick
        self._expect = expect
        self._max = max_workers
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._count = 0
        self._barred_until = 0.0
        self.blocked = False
        self.stopping = False

    def demand(self, now: float, rested: bool = True) -> Worker | None:
        """With the lock held: pick a worker to :meth:`wake`, if the queue needs one more.

        Args:
            now: monotonic seconds.
            rested: whether the caller waited before it looked. If not, it kept the interpreter to itself,
                and a worker that seems held up in a run may only be waiting for its turn.
        """
        if not self._book.ready or self.blocked or self.stopping or now < self._barred_until:
            return None
        for worker in self._workers:
            if worker.idle:
                continue
            run = worker.run
            if run is None or not rested or now - run.started < HELD_UP:
                return None  # it will come back for the queue
        if self._idle:
            worker = self._idle.pop()
            worker.idle = False
            return worker
        if len(self._workers) >= self._max:
            return None
        worker = Worker()
        self._workers.append(worker)
        return worker

    def wake(self, worker: Worker) -> None:
        """Without the lock: let a worker that :meth:`demand` picked go to work."""
        if worker.thread is not None:
            worker.gate.release()
            return
        if self.stopping:
            with self._lock:
                self._workers.remove(worker)
            return
        self._count += 1
        worker.thread = threading.Thread(
            target=self._work, args=(worker,), name=f"selfheal-worker-{self._count}", daemon=True
        )
        try:
            worker.thread.start()
        except RuntimeError:  # no more threads to be had: the queue waits for the next look
            logger.exception("cannot start a worker thread; %d runs wait", len(self._book.ready))
            with self._lock:
                self._workers.remove(worker)
                self._barred_until = self._now() + BARRED

    def abandon(self, run: Run) -> bool:
        """With the lock held: give up the worker that is in ``run``. Tell whether there was one."""
        worker = run.host
        if not isinstance(worker, Worker) or worker not in self._workers:
            return False
        self._workers.remove(worker)
        return True

    def close(self) -> None:
        """With the lock held: start no thread any more."""
        self.stopping = True

    def stop(self, deadline: float) -> None:
        """Without the lock: end the idle workers and wait for them until ``deadline`` (real monotonic seconds)."""
        with self._lock:
            waiting = list(self._workers)
            for worker in self._idle:
                worker.gate.release()
            self._idle.clear()
        for worker in waiting:
            thread = worker.thread
            if thread is not None and thread is not threading.current_thread() and thread.is_alive():
                thread.join(max(deadline - SYSTEM_CLOCK.monotonic(), 0.0))

    def _work(self, worker: Worker) -> None:
        try:
            self._drain(worker)
        finally:
            with self._lock:
                for workers in (self._workers, self._idle):
                    if worker in workers:
                        workers.remove(worker)

    def _drain(self, worker: Worker) -> None:
        """Take run after run; wait at the gate while there is none."""
        book, lock, now = self._book, self._lock, self._now
        run: Run | None = None
        trouble: Trouble | None = None
        error: str | None = None
        ended = 0.0
        while True:
            with lock:  # one hold of it for the end of a run and the start of the next
                if run is not None:
                    trouble = book.end(run, ended, error)
                run = self._next(worker, run, ended)
            if trouble is not None:
                self._report(trouble)
                trouble = None
            if book.ready_async:
                self._kick()
            if run is None:
                if not self._wait(worker):
                    return
                continue
            if run.task.timeout is not None:
                self._expect(run.started + run.task.timeout)
            outcome = call(run)
            ended = now()
            if outcome is None or isinstance(outcome, str):
                error = outcome
            else:
                self._adopt(run, outcome)
                run = worker.run = None

    def _next(self, worker: Worker, done: Run | None, ended: float) -> Run | None:
        """With the lock held: take the next run, or note that ``worker`` has none."""
        worker.run = None
        if self.stopping or (done is not None and done.abandoned):
            worker.leaving = True
            return None
        if not self.blocked and not self._surplus(done, ended):
            run = self._book.take(self._now())
            if run is not None:
                run.host = worker
                worker.run = run
                return run
        worker.idle = True
        self._idle.append(worker)
        return None

    def _surplus(self, done: Run | None, ended: float) -> bool:
        """Whether a worker coming from a short run may rest because another one is on its way to the queue.

        Two that drain short runs side by side hand the interpreter and the lock to and fro with each run.
        """
        if len(self._workers) - len(self._idle) < 2 or done is None or ended - done.started >= HELD_UP:
            return False
        others = (other.run for other in self._workers if not other.idle and other.run is not None)
        return any(ended - run.started < HELD_UP for run in others)

    def _wait(self, worker: Worker) -> bool:
        """Without the lock: wait until there is something to do; tell whether to go on."""
        if worker.leaving:
            self._kick()
            return False
        worker.gate.acquire()
        return True
