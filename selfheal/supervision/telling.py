"""What becomes of a worker, told as events."""

from __future__ import annotations

import contextlib
import logging
from typing import Protocol

from selfheal.clock import Clock
from selfheal.events import Event, WorkerAdopted, WorkerEnding, WorkerExited, WorkerReadinessChanged, WorkerStateChanged
from selfheal.supervision.checking import Watcher
from selfheal.supervision.exits import Exit
from selfheal.supervision.states import Move

logger = logging.getLogger("selfheal.supervision")


class Desk(Watcher, Protocol):
    """What the keeper of a worker needs of the engine."""

    clock: Clock
    spawning: contextlib.AbstractContextManager[object]

    def publish(self, event: Event) -> None:
        """Hand an event on."""


class Teller:
    """Publishes the events of one worker.

    Args:
        worker: its name.
        desk: has the clock that dates them, and hands them on.
    """

    def __init__(self, worker: str, desk: Desk) -> None:
        self._worker = worker
        self._clock = desk.clock
        self._publish = desk.publish

    def moved(self, move: Move) -> None:
        """It is in another state."""
        old, new = str(move.old), str(move.new)
        logger.info("worker %r: %s -> %s (%s)", self._worker, old, new, move.reason)
        self._publish(
            WorkerStateChanged(
                worker=self._worker, old=old, new=new, reason=move.reason, by=move.by, at=self._clock.wall()
            )
        )

    def exited(self, pid: int, exit: Exit, uptime: float) -> None:
        """Its process is over."""
        self._publish(
            WorkerExited(
                worker=self._worker,
                pid=pid,
                kind=str(exit.kind),
                code=exit.code,
                signal=exit.signal,
                uptime=uptime,
                at=self._clock.wall(),
            )
        )

    def ending(self, pid: int, ending: str, *, forced: bool) -> None:
        """Its process was told to end."""
        self._publish(WorkerEnding(worker=self._worker, pid=pid, ending=ending, forced=forced, at=self._clock.wall()))

    def adopted(self, pid: int) -> None:
        """Its process was found alive."""
        self._publish(WorkerAdopted(worker=self._worker, pid=pid, at=self._clock.wall()))

    def ready(self, ready: bool, detail: str) -> None:
        """It can take work, or cannot."""
        self._publish(WorkerReadinessChanged(worker=self._worker, ready=ready, detail=detail, at=self._clock.wall()))
