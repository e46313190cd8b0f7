"""The reference app's summary workers on their queue: killed, hung, leaking, exiting at once, given a deadly text."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

from examples.demo_levers.faulty_tasks import LICENCE
from examples.demo_levers.measuring import SLACK, Bound, Results, Trial, Watch, until
from examples.reference_app.documents import Document, documents
from examples.reference_app.running import NotSeenError
from examples.reference_app.summary import lead
from examples.reference_app.workers import NoLocalSummaryError, SummaryWorkers, WorkerLimits
from selfheal import TaskRegistry
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import ActionAudited, Event, EventBus, PoolFailed, PoolWorkerEnded, PoolWorkerStarted

HUNG_AFTER = 1.5
MEMORY = 96.0
LOOK_EVERY = 0.25
RESTARTS = 3
_TASKS = "examples.demo_levers.faulty_tasks"
_MIB = 1024 * 1024


class FaultyWorkers:
    """Each fault strikes a pool of its own, with the limits of the reference app made short.

    Args:
        directory: for files.
        events: where queue and pool tell what they do.
        watch: sees that.
    """

    def __init__(self, directory: Path, events: EventBus, watch: Watch) -> None:
        self._directory = directory
        self._events = events
        self._watch = watch
        self._documents = documents(12)

    def killed(self, results: Results) -> None:
        """SIGKILL in the middle of a task: another worker does that task, and a new worker comes."""
        with results.trial("summary worker: SIGKILL at work") as trial, self._pool("slow") as workers:
            with self._requests(workers, trial) as sent:
                pid = self._busy(workers)
                began = trial.strikes(f"kill -KILL {pid}")
                os.kill(pid, signal.SIGKILL)
                found = self._watch.wait("its death", lambda e: _ended(e, pid, "crashed"), began, 10.0)
                trial.seen("the kernel told; its task went back to the queue", found, Bound.of(0.5))
                back = self._replaced(workers, began)
                trial.ended(f"replaced by process {self._newest(workers)}", back, Bound.of(backoff=0.1))
            self._all_answered(trial, sent)
            trial.expect("its task was done by another", workers.pool.snapshot().returned >= 1)

    def hung(self, results: Results) -> None:
        """SIGSTOP in the middle of a task: no sign of it, so it is killed and its task done by another."""
        with results.trial("summary worker: hung (SIGSTOP)") as trial, self._pool("slow") as workers:
            with self._requests(workers, trial) as sent:
                pid = self._busy(workers)
                began = trial.strikes(f"kill -STOP {pid}")
                os.kill(pid, signal.SIGSTOP)
                found = self._watch.wait("that it hangs", lambda e: _ended(e, pid, "hung"), began, 20.0)
                trial.seen("no sign of its task", found, Bound.of(1.0, hung_after=HUNG_AFTER))
                back = self._replaced(workers, began)
                trial.ended(
                    f"killed, replaced by process {self._newest(workers)}", back, Bound.of(hung_after=HUNG_AFTER)
                )
            self._all_answered(trial, sent)

    def leaks(self, results: Results) -> None:
        """Memory that grows with every task: a look at the process sees it, and it is replaced between two tasks."""
        with results.trial("summary worker: leaks memory") as trial, self._pool("leaking", workers=1) as workers:
            pid = self._newest(workers)
            trial.strikes(
                f"process {pid} keeps 8 MiB of each task; it holds {_memory(pid):.0f} MiB, {MEMORY:g} are allowed"
            )
            looking = TaskRegistry(events=self._events)
            looking.register_interval("worker-memory", workers.replace_leaking, LOOK_EVERY)
            try:
                most = self._grow(workers, pid)
                over = SYSTEM_CLOCK.monotonic()
                found = self._watch.wait("the leak", lambda e: _told_to_go(e, pid), over, 10.0)
            finally:
                looking.shutdown()
            trial.seen(f"a look at its memory: {most:.0f} MiB", found, Bound.of(0.5, look_every=LOOK_EVERY))
            self._ask(workers, self._documents[0])
            self._watch.wait("its end", lambda e: _ended(e, pid, "stopped"), over, 10.0)
            back = self._replaced(workers, over)
            new = self._newest(workers)
            trial.ended(f"replaced by process {new}", back, Bound.of(look_every=LOOK_EVERY))
            trial.expect(
                "the new one holds little", new != pid and _memory(new) < MEMORY / 2, f"{_memory(new):.0f} MiB"
            )

    def _grow(self, workers: SummaryWorkers, pid: int) -> float:
        """Send requests until the worker holds too much; returns MiB."""
        for _ in range(1000):
            if (held := _memory(pid)) > MEMORY:
                return held
            self._ask(workers, self._documents[0])
        raise NotSeenError(f"process {pid} did not grow beyond {MEMORY:g} MiB")

    def exits_at_once(self, results: Results) -> None:
        """A crash loop: the pool gives up after as many restarts as are allowed, and a person resets it."""
        licence = self._directory / "licence"
        os.environ[LICENCE] = str(licence)
        try:
            with results.trial("summary worker: exits at once") as trial:
                self._crash_loop(trial, licence)
        finally:
            del os.environ[LICENCE]

    def _crash_loop(self, trial: Trial, licence: Path) -> None:
        with self._pool("licensed", workers=1, ready=False) as workers:
            began = trial.strikes("each worker exits when it starts: a file is not there")
            found = self._watch.wait("the first end", lambda e: isinstance(e, PoolWorkerEnded), began, 10.0)
            trial.seen("it ended before it was ready", found, Bound.of())
            failed = self._watch.wait("that the pool gives up", lambda e: isinstance(e, PoolFailed), began, 30.0)
            waits = sum(0.1 * 2**n for n in range(RESTARTS))
            bound = Bound.of((RESTARTS + 1) * SLACK / 2, backoffs=waits)
            trial.ended(f"given up: FAILED after {RESTARTS} restarts, reset by a person", failed, bound)
            crashes = workers.pool.snapshot().crashes
            trial.expect(
                "no more restarts than the limit", crashes == RESTARTS + 1, f"{crashes} ends: {workers.failed}"
            )
            licence.touch()
            reset = SYSTEM_CLOCK.monotonic()
            workers.reset("the file is there now", by="operator")
            summary = self._ask(workers, self._documents[0])
            took = SYSTEM_CLOCK.monotonic() - reset
            trial.expect("reset by a person, it works", bool(summary), f"a summary {took:.2f} s after the reset")

    def deadly_text(self, results: Results) -> None:
        """A text that ends every worker that tries: it is given up, and all others are answered."""
        with results.trial("a task that ends its workers") as trial, self._pool("deadly") as workers:
            began = trial.strikes("a text on which the worker's process exits")
            with ThreadPoolExecutor(1) as asking:
                poison = asking.submit(self._ask, workers, Document(name="poison", text="poison"))
                found = self._watch.wait("an end", lambda e: isinstance(e, PoolWorkerEnded), began, 10.0)
                trial.seen("the worker crashed; the task went back", found, Bound.of())
                error = poison.exception(20.0)
            took = SYSTEM_CLOCK.monotonic() - began
            deliveries = workers.limits.deliveries
            bound = Bound.of(deliveries * SLACK, backoffs=sum(0.1 * 2**n for n in range(deliveries)))
            trial.ended(f"given up after {deliveries} deliveries", took, bound)
            trial.expect("its request is told", isinstance(error, NoLocalSummaryError), error)
            trial.expect("the next request is answered", bool(self._ask(workers, self._documents[0])))

    @contextlib.contextmanager
    def _pool(self, task: str, *, workers: int = 2, ready: bool = True) -> Iterator[SummaryWorkers]:
        limits = WorkerLimits(
            workers=workers,
            answer_within=15.0,
            hung_after=HUNG_AFTER,
            max_memory=MEMORY,
            restarts=RESTARTS,
            deliveries=3,
        )
        made = SummaryWorkers(limits, self._events, target=f"{_TASKS}:{task}")
        made.start()
        try:
            if ready:
                made.pool.wait_ready(20.0)
            yield made
        finally:
            made.stop()

    @contextlib.contextmanager
    def _requests(self, workers: SummaryWorkers, trial: Trial) -> Iterator[list[Future[str]]]:
        """Requests all the while: a task for each document, which the fault must not lose."""
        with ThreadPoolExecutor(len(self._documents)) as asking:
            sent = [asking.submit(self._ask, workers, document) for document in self._documents]
            trial.story.tell(f"{len(sent)} requests wait for their summaries")
            yield sent

    def _ask(self, workers: SummaryWorkers, document: Document) -> str:
        return workers.summarise(document.text, 2)

    def _all_answered(self, trial: Trial, sent: list[Future[str]]) -> None:
        wanted = [lead(document.text, 2).text for document in self._documents]
        got = [one.result() if one.exception() is None else str(one.exception()) for one in sent]
        right = sum(one == other for one, other in zip(got, wanted, strict=True))
        trial.expect("every request got its own summary", right == len(sent), f"{right} of {len(sent)}")

    def _busy(self, workers: SummaryWorkers) -> int:
        """The process of a worker that is at a task."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [w.pid for w in workers.pool.snapshot().workers if w.task_id is not None and w.pid]
            return bool(found)

        until("a worker at work", look, SYSTEM_CLOCK.monotonic(), 10.0)
        return found[0]

    def _replaced(self, workers: SummaryWorkers, began: float) -> float:
        at = self._watch.wait("another worker", lambda e: isinstance(e, PoolWorkerStarted), began, 20.0)
        workers.pool.wait_ready(10.0)
        return at

    def _newest(self, workers: SummaryWorkers) -> int:
        return workers.pool.snapshot().workers[-1].pid


def _ended(event: Event, pid: int, how: str) -> bool:
    return isinstance(event, PoolWorkerEnded) and event.pid == pid and event.how == how


def _told_to_go(event: Event, pid: int) -> bool:
    return isinstance(event, ActionAudited) and event.what == "pool.restart" and f"process {pid} " in event.reason


def _memory(pid: int) -> float:
    """MiB that a process holds; 0 when it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / _MIB
    except psutil.NoSuchProcess:
        return 0.0
