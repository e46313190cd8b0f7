"""What an engine does besides healing: hears events, tells what triggers raise, and does what is due."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from selfheal.errors import JournalError
from selfheal.events import (
    Alert,
    AlertCleared,
    ClockJumped,
    DormancyEntered,
    DormancyLeft,
    Event,
    EventBus,
    Subscription,
)
from selfheal.forking import track
from selfheal.healing.driving import Steps
from selfheal.healing.engine.parts import Parts
from selfheal.healing.engine.people import People
from selfheal.healing.engine.restoring import Restorer
from selfheal.healing.engine.run import Told
from selfheal.healing.engine.scheduling import Schedule
from selfheal.healing.healer import Healer
from selfheal.healing.records import HealingRecord, Outcome

logger = logging.getLogger("selfheal.healing")


class AlertSource(Protocol):
    """Where alerts come from when they are looked for: :class:`~selfheal.healing.AlertFile`, or anything like it.

    One that knows has ``over`` too: fingerprints of the alerts that the latest look found to be over.
    """

    def look(self) -> list[Alert]:
        """The alerts that are new since the last look. Quick, and raises nothing."""


class Loop:
    """The running of an engine.

    Args:
        parts: of the engine.
        healer: takes alerts.
        people: are told of what is over.
        restorer: takes over from a process before this one.
        events: the bus.
        max_abandoned: calls of actions that may hang.
        sources: are looked at for alerts.
        reload: looks for new strategies.
    """

    def __init__(
        self,
        *,
        parts: Parts,
        healer: Healer,
        people: People,
        restorer: Restorer,
        events: EventBus,
        max_abandoned: int,
        sources: Iterable[AlertSource] = (),
        reload: Callable[[], object] = lambda: None,
    ) -> None:
        self._parts = parts
        self._healer = healer
        self._people = people
        self._restorer = restorer
        self._events = events
        self._max_abandoned = max_abandoned
        self._sources = tuple(sources)
        self._reload = reload
        self.schedule = Schedule(parts.clock, healer, self._take, self.clear)
        self._lock = threading.Lock()
        self._preparing = False
        self._alerts: Subscription | None = None
        track(self, Loop._in_child)
        self._always = events.subscribe(self._hear, ClockJumped, DormancyEntered, DormancyLeft, inline=True)

    def listen(self) -> None:
        """Know of the alerts of others from now on."""
        if self._alerts is None:
            self._alerts = self._events.subscribe(self._hear, Alert, AlertCleared, inline=True)

    def stop(self) -> None:
        """Hear nothing more."""
        self._always.cancel()
        if self._alerts is not None:
            self._alerts.cancel()

    def observe(self, metric: str, value: float, target: str, labels: Mapping[str, str]) -> None:
        """Take in a sample."""
        for told in self._parts.triggers.observe(metric, value, target, labels):
            self.tell(told)

    def submit(self, alert: Alert) -> bool:
        """Take in an alert; tell whether it waits."""
        self.schedule.raised(alert)
        return self._take(alert)

    def _take(self, alert: Alert) -> bool:
        self._parts.measurements.alerts.raised(alert)
        return self._healer.submit(alert)

    def clear(self, fingerprint: str) -> bool:
        """A problem is gone; tell whether its alert was open."""
        self._healer.clear(fingerprint)
        return self._parts.measurements.alerts.cleared(fingerprint) is not None

    def tell(self, told: Alert | AlertCleared) -> None:
        """What a trigger raised or cleared: for the healer, and for everybody."""
        if isinstance(told, Alert):
            self.submit(told)
        else:
            self.clear(told.fingerprint)
        self._events.publish(told)

    def recorded(self, record: HealingRecord) -> None:
        """A refusal is written down when it is new. What was begun writes of itself."""
        self.schedule.attempted(record)
        if record.outcome is not Outcome.REFUSED or not self._parts.chronicle.journal.writing:
            return
        try:
            self._parts.chronicle.refused(record)
        except JournalError as error:
            logger.error("a refusal is not in the journal: %s", error)

    def answered(self, records: list[HealingRecord]) -> list[HealingRecord]:
        """What a look at the waiting alerts brought, seen."""
        self.schedule.put_off(records)
        return records

    def prepare(self) -> Steps[None]:
        """Everything that comes before alerts are answered. One caller at a time; others go on without."""
        with self._lock:
            if self._preparing:
                return
            self._preparing = True
        try:
            yield from self._restorer.steps()
            self._reload()
            for told in self._parts.triggers.tick():
                self.tell(told)
            for alert in (*self._parts.triggers.firing(), *self._found()):
                self.submit(alert)
            self.schedule.raise_due()
            if self._parts.chronicle.journal.writing:
                self._people.over()
                if self._healer.standing() is None:
                    for why in (yield from self._parts.releases.undo_due()):
                        self._people.tell(Told(title="a measure stays in force", body=why))
            self._watch_hanging()
        except JournalError as error:
            logger.error("what could not be written down was not done: %s", error)
        finally:
            self._preparing = False

    def _found(self) -> list[Alert]:
        found: list[Alert] = []
        for source in self._sources:
            try:
                found += source.look()
                for fingerprint in getattr(source, "over", ()):
                    self.clear(fingerprint)
            except Exception:
                logger.exception("%r cannot be looked at for alerts", source)
        return found

    def _watch_hanging(self) -> None:
        hanging = self._parts.runner.abandoned
        if hanging >= self._max_abandoned and not self._healer.dormancy.is_dormant:
            body = f"{hanging} calls of actions hang and cannot be ended; find out what they wait for"
            self._people.tell(Told(title="too many actions hang", body=body, dormant=True))

    def _hear(self, event: Event) -> None:
        alerts = self._parts.measurements.alerts
        if isinstance(event, Alert):
            self.schedule.raised(event)
            alerts.raised(event)
        elif isinstance(event, AlertCleared):
            alerts.cleared(event.fingerprint)
        elif isinstance(event, ClockJumped):
            self._parts.triggers.jumped()
        elif self._parts.chronicle.journal.writing:
            self._note(event)

    def _note(self, event: Event) -> None:
        chronicle = self._parts.chronicle
        try:
            if isinstance(event, DormancyEntered):
                chronicle.note("dormancy_entered", sync=True, reason=event.reason, triggered_by=event.triggered_by)
            elif isinstance(event, DormancyLeft):
                chronicle.note("dormancy_left", sync=True, reason=event.reason, by=event.by)
        except JournalError as error:
            logger.error("that healing stopped, or was resumed, is not in the journal: %s", error)

    def _in_child(self) -> None:
        """What was being prepared goes on in the parent."""
        self._lock = threading.Lock()
        self._preparing = False
