"""The local summaries: worker processes on a queue, so that a text that takes long, or kills, hurts only its request.

A request puts a task, and waits for its result within a bound. A worker that is killed, hangs or leaks is replaced, and
its task done by another; a task that ends worker after worker is given up. Neither is seen by any other request.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import math
import threading
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import attrs
import psutil

from examples.reference_app.upstream import PROBE, DocumentRefusedError
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import NotFoundError, PoolFailedError, QueueClosedError, QueueFullError
from selfheal.events import EventBus, TaskBuried
from selfheal.resources import Criticality, TaskQueue
from selfheal.supervision import PoolState, PoolStopReport, TaskResult, WorkerPool

logger = logging.getLogger("reference_app.workers")

_TARGET = "examples.reference_app.summary_task:summarise"
READY_WITHIN = 20.0
_TRIAL = "trial"
_MIB = 1024 * 1024


class NoLocalSummaryError(Exception):
    """The workers did not give a summary: too much to do, not in time, or they are not there."""


@attrs.frozen(kw_only=True)
class WorkerLimits:
    """What is asked of the workers. Times are seconds.

    Args:
        workers: processes.
        answer_within: a request waits this long for its summary.
        hung_after: a worker that says nothing for this long is hung: it is killed and replaced.
        max_memory: MiB of memory a worker may hold; beyond that it is replaced after its task.
        max_waiting: tasks in the queue at most.
        deliveries: a task that ended so many workers is given up.
        restarts: unplanned ends of workers that are answered with a new one, within ``period``; then the pool has
            FAILED and waits for a person.
        period: how far back they are counted.
    """

    workers: int = 2
    answer_within: float = 5.0
    hung_after: float = 3.0
    max_memory: float = 256.0
    max_waiting: int = 64
    deliveries: int = 3
    restarts: int = 5
    period: float = 300.0


class SummaryWorkers:
    """A queue of summaries to make, and the processes that make them.

    Args:
        limits: what is asked of them.
        events: where queue and pool tell what they do.
        clock: for the bound of a request.
        target: what makes a summary, as ``module:function``.
        path: a SQLite file for the queue; by default it is in memory, for nobody waits for a result after a restart.
    """

    def __init__(
        self,
        limits: WorkerLimits,
        events: EventBus,
        clock: Clock = SYSTEM_CLOCK,
        *,
        target: str = _TARGET,
        path: Path | None = None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, concurrent.futures.Future[dict[str, str]]] = {}
        self.leaks = 0
        self.restarts = 0
        self._progress = (0, clock.monotonic())
        self.queue = TaskQueue(
            "summaries",
            max_size=limits.max_waiting,
            max_deliveries=limits.deliveries,
            path=path,
            events=events,
        )
        self.pool = WorkerPool(
            target,
            self.queue,
            name="summary-workers",
            on_result=self._arrived,
            events=events,
            size=limits.workers,
            minimum=1,
            task_timeout=limits.hung_after,
            ping_every=limits.hung_after / 3,
            silent_after=limits.hung_after,
            stop_grace=1.0,
            retry_delay=0.1,
            intensity=limits.restarts,
            period=limits.period,
        )
        self._buried = events.subscribe(self._given_up, TaskBuried, inline=True)

    def start(self) -> None:
        """Start the processes; the first tasks wait until these are ready."""
        self.pool.start()

    def stop(self, timeout: float = 3.0) -> PoolStopReport:
        """Let every worker finish, for ``timeout`` seconds at most, and end. Requests that still wait are refused."""
        self.queue.close()
        report = self.pool.stop(timeout)
        self._buried.cancel()
        with self._lock:
            left = list(self._waiting.values())
        for result in left:
            result.cancel()
        return report

    def summarise(self, text: str, sentences: int, criticality: Criticality | str = Criticality.DEFAULT) -> str:
        """Have a worker summarise ``text``.

        Raises:
            DocumentRefusedError: if nobody could.
            NoLocalSummaryError: if there was no answer within the bound, or no room for the task.
        """
        key, result = uuid.uuid4().hex, concurrent.futures.Future[dict[str, str]]()
        with self._lock:
            self._waiting[key] = result
        try:
            self.queue.put({"key": key, "text": text, "sentences": sentences}, criticality=criticality)
            answer = result.result(self.limits.answer_within)
        except (QueueFullError, QueueClosedError) as error:
            raise NoLocalSummaryError(str(error)) from error
        except TimeoutError:
            told = f"no worker made the summary within {self.limits.answer_within:g} s ({self.pool.snapshot().state})"
            raise NoLocalSummaryError(told) from None
        except concurrent.futures.CancelledError:
            raise NoLocalSummaryError("the service is being stopped") from None
        finally:
            with self._lock:
                self._waiting.pop(key, None)
        if "refused" in answer:
            raise DocumentRefusedError(answer["refused"])
        return answer["summary"]

    def restart(self) -> None:
        """Replace every worker at once, and wait until the new ones can work, for :data:`READY_WITHIN` seconds at most.

        What the old ones had in hand goes back to the queue, and is done by the new ones.

        Raises:
            PoolFailedError: if the pool gave up: then a person is needed.
        """
        shown = self.pool.snapshot()
        if shown.state is PoolState.FAILED:
            raise PoolFailedError(shown.name, shown.reason)
        old = {worker.name for worker in shown.workers}
        for name in old:
            with contextlib.suppress(NotFoundError):  # it has ended meanwhile
                self.pool.restart(name, kill=True, reason="all are replaced", by="healer")
        self.restarts += 1
        end = self._clock.monotonic() + READY_WITHIN
        while self._clock.monotonic() < end and not self._ready(without=old):
            self._clock.sleep(0.02)

    def status(self) -> dict[str, Any]:
        """How the workers are, as ``restart_service`` looks at it: a restart makes a new generation."""
        return {"state": self.pool.snapshot().state.value, "generation": self.restarts, "ready": self._ready()}

    def try_out(self) -> None:
        """Have a worker summarise a short text, for nobody: so that a queue that is stuck shows before it is needed."""
        with contextlib.suppress(QueueFullError, QueueClosedError):  # then there is work enough, or none any more
            task = {"key": _TRIAL, "text": PROBE, "sentences": 1}
            self.queue.put(task, criticality=Criticality.SHEDDABLE, dedup=_TRIAL)

    def memory_percent(self) -> float:
        """Memory of the largest worker, as percent of what one may hold; NaN if there is none."""
        sizes = [size for worker in self.pool.snapshot().workers if (size := _memory(worker.pid))]
        return max(sizes) / (self.limits.max_memory * _MIB) * 100 if sizes else math.nan

    def stuck_seconds(self) -> float:
        """For how long there has been work and none was done; 0 while it goes on, or there is none.

        NaN once the pool gave up: then nothing helps but a person.
        """
        shown, waiting, now = self.pool.snapshot(), self.queue.snapshot(), self._clock.monotonic()
        if shown.state is PoolState.FAILED:
            return math.nan
        if shown.done != self._progress[0] or not waiting.ready + waiting.delivered:
            self._progress = shown.done, now
        return now - self._progress[1]

    def replace_leaking(self) -> list[int]:
        """Have workers that hold too much memory replaced, each after its task; returns the ids of their processes."""
        most = self.limits.max_memory * _MIB
        leaking = [
            worker for worker in self.pool.snapshot().workers if not worker.retiring and _memory(worker.pid) > most
        ]
        for worker in leaking:
            reason = f"process {worker.pid} holds more than {self.limits.max_memory:g} MiB"
            logger.warning("worker %s is replaced: %s", worker.name, reason)
            with contextlib.suppress(NotFoundError):  # it has ended meanwhile
                self.pool.restart(worker.name, reason=reason, by="leak watch")
                self.leaks += 1
        return [worker.pid for worker in leaking]

    def reset(self, reason: str, by: str = "") -> bool:
        """Have workers again after the pool gave up; returns whether it had."""
        return self.pool.reset(reason, by)

    @property
    def failed(self) -> str:
        """Why the pool gave up; empty if it did not."""
        shown = self.pool.snapshot()
        return shown.reason if shown.state is PoolState.FAILED else ""

    def section(self) -> dict[str, Any]:
        """The workers, for the status."""
        shown = self.pool.snapshot()
        return {
            "state": shown.state.value,
            "reason": shown.reason,
            "size": shown.size,
            "busy": shown.busy,
            "pids": [worker.pid for worker in shown.workers if worker.pid],
            "done": shown.done,
            "returned": shown.returned,
            "crashes": shown.crashes,
            "hung": shown.hung,
            "leaks": self.leaks,
        }

    def queue_section(self) -> dict[str, Any]:
        """The queue, for the status; ``oldestWait`` in milliseconds."""
        shown = self.queue.snapshot()
        return {
            "size": shown.size,
            "maxSize": shown.max_size,
            "delivered": shown.delivered,
            "oldestWait": round(shown.oldest_wait * 1000),
            "slowFactor": shown.slow_factor,
            "refused": shown.refused,
            "redelivered": shown.redelivered,
            "givenUp": shown.buried,
        }

    def _ready(self, without: Collection[str] = ()) -> bool:
        """Whether as many workers as there are to be can work, and none of some others is there."""
        shown = self.pool.snapshot()
        there = [worker.name for worker in shown.workers if worker.phase in ("IDLE", "BUSY")]
        return len(there) >= shown.size and not set(there) & set(without)

    def _arrived(self, result: TaskResult) -> None:
        """In the pool's thread: hand the result to the request that waits for it, if it still does."""
        with self._lock:
            waiting = self._waiting.get(result.payload["key"])
        if waiting is not None and not waiting.done():
            waiting.set_result(result.value)

    def _given_up(self, event: TaskBuried) -> None:
        """A task that ended worker after worker: its request is told, and nobody else will ever ask for it."""
        for letter in self.queue.dead_letters():
            if event.queue == self.queue.name and letter.id == event.task_id:
                with self._lock:
                    waiting = self._waiting.get(letter.payload["key"])
                if waiting is not None and not waiting.done():
                    waiting.set_exception(NoLocalSummaryError(f"given up: {event.reason}"))
                self.queue.discard(letter.id, "its request was told")


def _memory(pid: int) -> int:
    """Bytes that a process holds; 0 if it is none, or not any more."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.NoSuchProcess:
        return 0
