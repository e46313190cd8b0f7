"""What came of each alert: kept in the history, told to the log, the bus and whoever listens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from selfheal.clock import Clock
from selfheal.events import Alert, EventBus, HealingFinished
from selfheal.healing.history import History
from selfheal.healing.judging import Judged, error_text
from selfheal.healing.machine import Refused
from selfheal.healing.records import HealingRecord, Outcome
from selfheal.healing.strategy import Strategy

logger = logging.getLogger("selfheal.healing")

_LEVEL = {Outcome.HEALED: logging.INFO, Outcome.REFUSED: logging.INFO, Outcome.PLANNED: logging.INFO}


class Memory:
    """The history of a healer, and everything that is told when something is added to it.

    Args:
        limit: attempts remembered, and refusals apart from them.
        clock: for the time of a record.
        events: where ``HealingFinished`` goes.
    """

    def __init__(self, limit: int, clock: Clock, events: EventBus) -> None:
        self._history = History(limit)
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self.on_news: Callable[[HealingRecord], object] | None = None

    def records(self) -> tuple[HealingRecord, ...]:
        """What is remembered, oldest first."""
        with self._lock:
            return self._history.records()

    def refused(self, alert: Alert, strategy: str, refused: Refused) -> HealingRecord:
        """Remember that nothing was begun, and why."""
        return self.remember(
            HealingRecord(
                alert=alert,
                strategy=strategy,
                outcome=Outcome.REFUSED,
                guard=refused.guard,
                reason=refused.reason,
                started=self._clock.wall(),
                retry_in=refused.retry_in,
            )
        )

    def attempted(
        self, alert: Alert, strategy: Strategy, judged: Judged, started: float, began: float, trouble: str = ""
    ) -> HealingRecord:
        """Remember an attempt that ended; it began at ``started`` (wall clock), ``began`` (monotonic)."""
        return self.remember(
            HealingRecord(
                alert=alert,
                strategy=strategy.name,
                outcome=judged.outcome,
                guard=judged.guard,
                reason="; ".join(part for part in (judged.reason, trouble) if part),
                started=started,
                duration=self._clock.monotonic() - began,
                error=error_text(judged.error),
                details=judged.details,
            )
        )

    def remember(self, record: HealingRecord) -> HealingRecord:
        """Keep a record, and tell it unless it repeats a refusal that was told; return it as it is kept."""
        with self._lock:
            record, news = self._history.add(record)
        if not news:
            return record
        where = f" by {record.guard}" if record.guard else ""
        logger.log(
            _LEVEL.get(record.outcome, logging.WARNING),
            "healing of %s: %s%s%s",
            record.alert.fingerprint,
            record.outcome,
            where,
            f": {record.reason}" if record.reason else "",
        )
        if self.on_news is not None:
            self.on_news(record)
        self._events.publish(
            HealingFinished(
                at=record.started + record.duration,
                alert=record.alert,
                strategy=record.strategy,
                outcome=record.outcome,
                guard=record.guard or "",
                reason=record.reason,
                duration=record.duration,
            )
        )
        return record

    def in_child(self) -> None:
        """A fork: make a new lock."""
        self._lock = threading.Lock()
