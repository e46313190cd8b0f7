"""The shutdown: idempotent, bounded, and honest about what it could not stop."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import SelfhealError
from selfheal.tasks.snapshots import ShutdownReport
from selfheal.tasks.task import Run, current_run

if TYPE_CHECKING:
    from selfheal.tasks.engine import Engine

logger = logging.getLogger("selfheal.tasks")


class StopJournal(Protocol):
    """What is written at the end: :class:`selfheal.journal.Journal`, or anything like it."""

    @property
    def writing(self) -> bool:
        """Whether this process is the one that writes it."""

    def append(self, type: str, /, *, sync: bool = False, **fields: Any) -> object:
        """Write one entry, or raise."""

    def close(self, reason: str = "") -> None:
        """Write that this was a clean stop, and let go of it; again: do nothing."""


def write_stop(journal: StopJournal, report: ShutdownReport) -> None:
    """Write down what was stopped, and that it was a clean stop. A journal that fails holds up no shutdown."""
    still = ", ".join(report.still_running)
    try:
        if journal.writing:
            journal.append(
                "tasks_stopped",
                still_running=list(report.still_running),
                dropped=list(report.dropped),
                duration=round(report.duration, 3),
            )
        journal.close(f"tasks stopped; still running: {still}" if still else "tasks stopped")
    except SelfhealError as error:
        logger.error("that the tasks were stopped is not in the journal: %s", error)


class Stopper:
    """Shuts an engine down once. All times are real seconds: threads live by those, whatever clock the tasks have.

    Args:
        engine: what to stop.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by: int | None = None
        self._done = threading.Event()
        self._dropped: tuple[str, ...] = ()
        self._took = 0.0

    @property
    def begun(self) -> bool:
        """Whether a shutdown was asked for."""
        return self._by is not None

    def stop(self, timeout: float) -> ShutdownReport:
        """Stop everything within ``timeout`` seconds. Asked again, tell how things stand now."""
        with self._engine.lock:
            first = self._by is None
            if first:
                self._by = threading.get_ident()
        if first:
            try:
                self._stop(timeout)
            finally:
                self._done.set()
        elif self._by != threading.get_ident():  # a signal handler may come back in while we wait
            self._done.wait(timeout)
        return self.report()

    def report(self) -> ShutdownReport:
        """How things stand now."""
        with self._engine.lock:
            still = tuple(sorted({run.task.id for run in self._engine.book.live}))
        return ShutdownReport(still_running=still, dropped=self._dropped, duration=self._took)

    def _stop(self, timeout: float) -> None:
        """Refuse, stop triggers, drop what is queued, cancel, wait, stop the workers."""
        engine = self._engine
        begun = SYSTEM_CLOCK.monotonic()
        deadline = begun + timeout
        with engine.lock:
            self._dropped = tuple(engine.book.close())
            engine.pool.close()
            engine.loops.close()
            runs = list(engine.book.live)
            for run in runs:
                run.cancelled = True
        engine.stop(deadline)
        for run in runs:
            engine.loops.cancel(run)
        self._wait(deadline)
        engine.pool.stop(deadline)
        engine.loops.stop(deadline)
        self._took = SYSTEM_CLOCK.monotonic() - begun
        if still := self.report().still_running:
            logger.warning("shut down after %.1f s with tasks still running: %s", self._took, ", ".join(still))
        else:
            logger.info("shut down clean after %.1f s", self._took)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is queued or under way, at most ``timeout`` seconds; tell whether it came to that."""
        return self._wait(SYSTEM_CLOCK.monotonic() + timeout)

    def _wait(self, deadline: float) -> bool:
        engine, mine, pause = self._engine, current_run(), 0.0005
        while True:
            with engine.lock:
                book = engine.book
                idle = not (book.ready or book.ready_async or any(self._can_end(run, mine) for run in book.live))
            left = deadline - SYSTEM_CLOCK.monotonic()
            if idle or left <= 0:
                return idle
            # Looked at, not waited for: telling a waiter would cost every run something, all the time.
            SYSTEM_CLOCK.sleep(min(pause, left))
            pause = min(2 * pause, 0.02)

    def _can_end(self, run: Run, mine: Run | None) -> bool:
        """Whether waiting for ``run`` makes sense: not for the caller's own, nor for one on the loop we block."""
        return run is not mine and not run.abandoned and not self._engine.loops.blocked_here(run)
