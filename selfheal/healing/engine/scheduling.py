"""Healings that are asked for: begun when they are due, put off while a guard refuses them, given up in the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from selfheal.clock import Clock
from selfheal.events import Alert
from selfheal.forking import track
from selfheal.healing.action_queue import ActionQueue, Key, QueuedAction
from selfheal.healing.healer import Healer
from selfheal.healing.records import HealingRecord, Outcome

logger = logging.getLogger("selfheal.healing")

_TTL = 3600.0
_AGE_STEP = 60.0
_NO_TIME = 60.0
"""Seconds until it is asked again where a guard does not say when it may pass."""


class Schedule:
    """A queue of healings, each an alert that is raised when its time has come.

    An alert of the queue is taken back while it is put off, unless others have raised the same one.

    Args:
        clock: for all times.
        healer: tells what waits, and what is under way.
        submit: takes an alert in.
        clear: takes an alert back.
    """

    def __init__(
        self, clock: Clock, healer: Healer, submit: Callable[[Alert], object], clear: Callable[[str], object]
    ) -> None:
        self._clock = clock
        self._healer = healer
        self._submit = submit
        self._clear = clear
        self._queue: ActionQueue[Alert] = ActionQueue(name="scheduled healings", ttl=_TTL, age_step=_AGE_STEP)
        self._ours: dict[str, Key] = {}
        self._lock = threading.Lock()
        track(self, Schedule._in_child)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def deferred(self) -> int:
        """How many were put off, and are not due yet."""
        with self._lock:
            return self._queue.snapshot(self._clock.monotonic()).deferred

    def items(self) -> tuple[QueuedAction[Alert], ...]:
        """All that wait, in the order in which they were asked for."""
        with self._lock:
            return self._queue.items()

    def add(self, alert: Alert, strategy: str, *, after: float, priority: int) -> None:
        """Have an alert raised later.

        Raises:
            ConfigError: if a value is out of range.
            QueueFullError: if as many wait as may.
        """
        now = self._clock.monotonic()
        with self._lock:
            self._queue.add(alert, strategy, alert.target, now, due=now + after, priority=priority)

    def cancel(self, strategy: str, target: str) -> bool:
        """Take back what was asked for; tell whether it waited."""
        with self._lock:
            found = self._queue.remove((strategy, target))
        if found is not None and self._forget(found.item.fingerprint):
            self._clear(found.item.fingerprint)
        return found is not None

    def raise_due(self) -> None:
        """Raise what is due and neither waits nor is under way."""
        now = self._clock.monotonic()
        with self._lock:
            too_old = self._queue.expire(now)
            due = self._queue.in_turn(now)
        for one in too_old:
            why = f": {one.reason}" if one.reason else ""
            logger.warning("%s on %r was scheduled and is given up%s", one.strategy, one.target, why)
            self._forget(one.item.fingerprint)
        for one in due:
            fingerprint = one.item.fingerprint
            if self._healer.heals(fingerprint) or self._healer.waits(fingerprint):
                continue
            with self._lock:
                self._ours[fingerprint] = one.key
            self._submit(one.item)

    def raised(self, alert: Alert) -> None:
        """Somebody else has raised this one: it is not ours to take back any more."""
        self._forget(alert.fingerprint)

    def attempted(self, record: HealingRecord) -> None:
        """A healing has ended: what was asked for has been done, whatever came of it."""
        if record.outcome is not Outcome.REFUSED:
            self._forget(record.alert.fingerprint)
            with self._lock:
                self._queue.remove((record.strategy, record.alert.target))

    def put_off(self, records: Iterable[HealingRecord]) -> None:
        """What a guard refused is asked again when the guard says, and until then does not wait with the others."""
        now = self._clock.monotonic()
        for record in records:
            if record.outcome is not Outcome.REFUSED:
                continue
            wait = _NO_TIME if record.retry_in is None else record.retry_in
            with self._lock:
                key = self._ours.pop(record.alert.fingerprint, None)
                if key is None:
                    continue  # not ours, or raised by others meanwhile
                self._queue.defer(key, now + wait, f"{record.guard}: {record.reason}")
            self._clear(record.alert.fingerprint)

    def _forget(self, fingerprint: str) -> bool:
        with self._lock:
            return self._ours.pop(fingerprint, None) is not None

    def _in_child(self) -> None:
        self._lock = threading.Lock()
