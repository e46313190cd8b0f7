"""The worker pool as a pure machine: no clock, lock, process or I/O.

``plan(now)`` answers what is to be done now, as data; whoever does it reports what came of it. A worker is STARTING,
IDLE, BUSY or ENDING; one that is *retiring* ends after its task, so that nothing under way is lost.

==========  =====================================================  ==========
pool        when                                                   becomes
==========  =====================================================  ==========
NEW         start                                                  RUNNING
RUNNING     drain                                                  DRAINING
DRAINING    resume                                                 RUNNING
RUNNING     more unplanned ends than the intensity, or a refusal   FAILED
FAILED      a person resets it                                     RUNNING
any         stop                                                   STOPPING
STOPPING    the last worker is gone                                STOPPED
STOPPED     start                                                  RUNNING
==========  =====================================================  ==========
"""

from __future__ import annotations

import math
from collections import deque

from selfheal.policies.backoff import ExponentialBackoff
from selfheal.resources import Delivery
from selfheal.supervision.pool_options import PoolOptions
from selfheal.supervision.pool_records import PoolState, PoolWorker, WorkerPhase
from selfheal.supervision.pool_steps import Ending, Kill, Ping, Start, Step, Stop, Worker

_BASE, _CAP = 0.1, 30.0
"""Seconds before a worker is started again after unplanned ends without a task done in between."""


class PoolMachine:
    """Decides. Whoever owns it keeps calls to it one at a time and hands in the time.

    Attributes:
        state: what the pool is doing.
        size: workers it is to have.
        workers: those there are, by name, oldest first.
        reason: why it has FAILED.
        crashes, hung: workers that ended by themselves, and that were killed for being hung.
        done, failed: runs of tasks that came to their end, and that raised.
    """

    def __init__(self, options: PoolOptions) -> None:
        self.options = options
        self.state = PoolState.NEW
        self.size = options.size
        self.workers: dict[str, Worker] = {}
        self.reason = ""
        self.crashes = self.hung = self.done = self.failed = 0
        self._ends: deque[float] = deque()
        self._backoff = ExponentialBackoff(base=_BASE, factor=2.0, cap=_CAP)
        self._hold = -math.inf
        self._stop_by = math.inf
        self._owed = 0
        self._made = 0

    def start(self) -> bool:
        """Have workers; tell whether that is new."""
        new = self.state in {PoolState.NEW, PoolState.STOPPED}
        if new:
            self.state = PoolState.RUNNING
            self._stop_by = math.inf
        return new

    def drain(self) -> None:
        """Give out no more tasks."""
        if self.state is PoolState.RUNNING:
            self.state = PoolState.DRAINING

    def resume(self) -> None:
        """Give out tasks again."""
        if self.state is PoolState.DRAINING:
            self.state = PoolState.RUNNING

    def stop(self, until: float) -> None:
        """Let every worker finish its task and end, by force after ``until``."""
        if self.state in {PoolState.NEW, PoolState.STOPPED}:
            return
        self.state = PoolState.STOPPING
        self._stop_by = until

    def over(self) -> None:
        """Nobody works for this pool any more, whatever it was doing."""
        self.state = PoolState.STOPPED
        self.workers.clear()

    def scale(self, wanted: int) -> int:
        """Have another number of workers, within the bounds; answer it."""
        self.size = min(max(wanted, self.options.minimum), self.options.maximum)
        return self.size

    def retire(self, name: str, *, kill: bool) -> bool:
        """Replace a worker: after its task, or at once by force; tell whether it is there."""
        worker = self.workers.get(name)
        if worker is None:
            return False
        worker.retiring = True
        if kill:
            worker.fate = worker.fate or "killed"
        return True

    def fail(self, reason: str) -> None:
        """Give up."""
        if self.state not in {PoolState.STOPPING, PoolState.STOPPED}:
            self.state, self.reason = PoolState.FAILED, reason

    def reset(self) -> bool:
        """A person says that the cause is mended; tell whether there was anything to reset."""
        if self.state is not PoolState.FAILED:
            return False
        self.state, self.reason, self._owed, self._hold = PoolState.RUNNING, "", 0, -math.inf
        self._ends.clear()
        self._backoff.reset()
        return True

    def plan(self, now: float) -> list[Step]:
        """What to do now."""
        if self.state in {PoolState.STOPPING, PoolState.FAILED}:
            for worker in self.workers.values():
                worker.retiring = True
        elif self.state in {PoolState.RUNNING, PoolState.DRAINING}:
            self._shrink()
        steps = [step for worker in self.workers.values() if (step := self._step(worker, now)) is not None]
        if self.state in {PoolState.RUNNING, PoolState.DRAINING} and now >= self._hold:
            steps += self._grow(now)
        if self.state is PoolState.STOPPING and not self.workers:
            self.state = PoolState.STOPPED
        return steps

    def _staying(self) -> list[Worker]:
        return [w for w in self.workers.values() if not w.retiring and not w.fate and w.phase is not WorkerPhase.ENDING]

    def _shrink(self) -> None:
        order = {WorkerPhase.IDLE: 0, WorkerPhase.STARTING: 1, WorkerPhase.BUSY: 2}
        staying = self._staying()
        ranked = sorted(staying, key=lambda w: (order[w.phase], -w.began))
        for worker in ranked[: max(len(staying) - self.size, 0)]:
            worker.retiring = True

    def _grow(self, now: float) -> list[Step]:
        # One that ends by force still takes room; one that only finishes its task may go beyond the size.
        made: list[Step] = []
        room = 2 * self.options.maximum - len(self.workers)
        for _ in range(min(self.size - len(self._staying()), room)):
            self._made += 1
            name = f"{self.options.name}-{self._made}"
            self.workers[name] = Worker(name, now, self._owed > 0, sign=now)
            self._owed = max(self._owed - 1, 0)
            made.append(Start(name))
        return made

    def _step(self, worker: Worker, now: float) -> Step | None:
        """What is to be done about one worker now."""
        if worker.killed:
            return None
        if not worker.fate and now >= self._deadline(worker):
            worker.fate = "stopped" if worker.phase is WorkerPhase.ENDING else "hung"
        if now >= self._stop_by and worker.phase is not WorkerPhase.ENDING:
            worker.fate = worker.fate or "killed"
        if worker.fate:
            worker.killed = True
            return Kill(worker.name)
        if worker.retiring and worker.phase in {WorkerPhase.IDLE, WorkerPhase.STARTING}:
            worker.phase, worker.ending = WorkerPhase.ENDING, now
            return Stop(worker.name)
        quiet = worker.phase is WorkerPhase.IDLE and worker.pinged is None
        if quiet and self.options.mode == "process" and now >= worker.sign + self.options.ping_every:
            worker.pinged = now
            return Ping(worker.name)
        return None

    def _deadline(self, worker: Worker) -> float:
        """When a worker is overdue: with its start, its task, its answer or its end."""
        options = self.options
        if worker.phase is WorkerPhase.STARTING:
            return worker.began + options.start_timeout
        if worker.phase is WorkerPhase.ENDING:
            return min(worker.ending + options.stop_grace, max(self._stop_by, worker.ending))
        if worker.phase is WorkerPhase.BUSY:
            return math.inf if options.task_timeout is None else worker.sign + options.task_timeout
        return math.inf if worker.pinged is None else worker.pinged + options.silent_after

    def next_alarm(self) -> float:
        """When ``plan`` may have something to do by time alone."""
        moments = [self._stop_by]
        if self.state in {PoolState.RUNNING, PoolState.DRAINING}:
            moments.append(self._hold if len(self._staying()) < self.size else math.inf)
        for worker in self.workers.values():
            if not worker.killed:
                moments.append(self._deadline(worker))
                if worker.phase is WorkerPhase.IDLE and worker.pinged is None and self.options.mode == "process":
                    moments.append(worker.sign + self.options.ping_every)
        return min(moments)

    def idle(self) -> str | None:
        """A worker to give a task to."""
        if self.state is not PoolState.RUNNING:
            return None
        free = (w.name for w in self.workers.values() if w.phase is WorkerPhase.IDLE and not w.retiring and not w.fate)
        return next(free, None)

    def ready(self, name: str, pid: int, now: float) -> bool:
        """A worker can take tasks; tell whether it replaces one that ended unplanned."""
        worker = self.workers[name]
        worker.pid, worker.sign = pid, now
        if worker.phase is WorkerPhase.STARTING:
            worker.phase = WorkerPhase.IDLE
        return worker.restart

    def assign(self, name: str, delivery: Delivery, now: float) -> None:
        """A worker was given a task."""
        worker = self.workers[name]
        worker.phase, worker.delivery = WorkerPhase.BUSY, delivery
        worker.given = worker.sign = now
        worker.pinged = None

    def heard(self, name: str, now: float) -> None:
        """A worker showed progress, or answered."""
        self.workers[name].sign = now
        self.workers[name].pinged = None

    def finished(self, name: str, now: float, *, good: bool) -> Delivery | None:
        """A worker is through with its task; answer the task."""
        worker = self.workers[name]
        delivery, worker.delivery = worker.delivery, None
        if worker.phase is WorkerPhase.BUSY:
            worker.phase = WorkerPhase.IDLE
        worker.sign = now
        worker.done += good
        worker.failed += not good
        self.done += good
        self.failed += not good
        if good:
            self._backoff.reset()
        limit = self.options.max_tasks
        worker.retiring = worker.retiring or (limit is not None and worker.done + worker.failed >= limit)
        return delivery

    def ended(self, name: str, now: float, detail: str, *, refused: bool = False) -> Ending:
        """A worker is gone."""
        worker = self.workers.pop(name)
        told = worker.phase is WorkerPhase.ENDING and not worker.fate
        how = worker.fate or ("refused" if refused else "stopped" if told else "crashed")
        if how == "refused":
            self.fail(f"its workers cannot do this work: {detail}")
        elif how in {"crashed", "hung"}:
            self.hung += how == "hung"
            self.crashes += how == "crashed"
            self._unplanned(now, detail)
        return Ending(how, worker.delivery, self.state is PoolState.FAILED and how in {"refused", "crashed", "hung"})

    def _unplanned(self, now: float, detail: str) -> None:
        self._ends.append(now)
        self.recent_ends(now)
        self._owed += 1
        wait = self._backoff.failed()
        self._hold = now if self._backoff.failures == 1 else now + wait
        if len(self._ends) > self.options.intensity:
            allowed = f"more than {self.options.intensity} in {self.options.period:g} s"
            self.fail(f"{len(self._ends)} unplanned ends of workers, {allowed}, the last: {detail}")

    def recent_ends(self, now: float) -> int:
        """Unplanned ends within the period."""
        while self._ends and self._ends[0] <= now - self.options.period:
            self._ends.popleft()
        return len(self._ends)

    def rows(self, now: float) -> tuple[PoolWorker, ...]:
        """Each worker at this moment."""
        return tuple(
            PoolWorker(
                name=worker.name,
                pid=worker.pid,
                phase=worker.phase,
                retiring=worker.retiring,
                task_id=None if worker.delivery is None else worker.delivery.id,
                busy_for=0.0 if worker.delivery is None else now - worker.given,
                uptime=now - worker.began,
                done=worker.done,
                failed=worker.failed,
            )
            for worker in self.workers.values()
        )
