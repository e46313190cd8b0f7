"""Several ways to tell people as one: failures kept apart, repeats and floods held back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, NotifyError
from selfheal.events import (
    DEFAULT_BUS,
    Alert,
    DormancyEntered,
    Event,
    EventBus,
    NotificationFailed,
    Severity,
    Subscription,
)
from selfheal.forking import track
from selfheal.levers.notify import Notification, Notifier, describe
from selfheal.levers.notify_gate import Gate, NotifiersConfig

logger = logging.getLogger("selfheal.notify")


@attrs.frozen(kw_only=True)
class Delivery:
    """What became of one notification.

    Args:
        delivered: notifiers that took it.
        failed: notifier to what went wrong, without secrets.
        held_back: why it was not delivered at all (``repeated``, ``too many``), or empty.
    """

    delivered: tuple[str, ...] = ()
    failed: Mapping[str, str] = attrs.field(factory=dict)
    held_back: str = ""


@attrs.frozen(kw_only=True)
class NotifierSnapshot:
    """One notifier at one moment. Counts are since it was made.

    Args:
        name: of the notifier.
        delivered: notifications it took.
        failed: notifications on which it raised.
        held_back: notifications that were not offered to it.
        last_error: what went wrong last, or empty; gone with the next delivery.
    """

    name: str
    delivered: int
    failed: int
    held_back: int
    last_error: str


class _Channel:
    """One notifier with its gate and counts."""

    def __init__(self, name: str, notifier: Notifier, config: NotifiersConfig) -> None:
        self.name, self.notifier = name, notifier
        self.gate = Gate(config)
        self.lock = threading.Lock()
        self.delivered = self.failed = self.held_back = 0
        self.last_error = ""

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self.lock = threading.Lock()


class Notifiers:
    """Tells several notifiers: one that fails or hangs keeps nothing from the others.

    >>> import sys
    >>> from selfheal.levers import ConsoleNotifier
    >>> people = Notifiers({"console": ConsoleNotifier(sys.stdout)})
    >>> people.send(Notification(title="disk full", severity="critical")).delivered
    [critical] disk full
    ('console',)
    >>> people.send(Notification(title="disk full", severity="critical")).held_back
    'repeated'

    The same notification is delivered once in ``dedup_for`` seconds, and no more than ``most`` in ``per`` seconds,
    for each notifier. The next that passes says how many were held back. One that failed may be tried again at once.

    Args:
        notifiers: name to notifier.
        dedup_for: seconds in which the same notification is delivered once; 0: each is.
        most: notifications delivered at most in ``per`` seconds.
        per: those seconds.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.NotificationFailed` is published.

    Raises:
        ConfigError: if something is no notifier, or a value is out of range.
    """

    def __init__(
        self,
        notifiers: Mapping[str, Notifier],
        *,
        dedup_for: float = 300.0,
        most: int = 20,
        per: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> None:
        config = NotifiersConfig(dedup_for=dedup_for, most=most, per=per)
        given: object = notifiers
        if not isinstance(given, Mapping):
            raise ConfigError("Notifiers.notifiers", notifiers, "a mapping of names to notifiers")
        for name, notifier in notifiers.items():
            if not str(name).strip() or not callable(getattr(notifier, "notify", None)):
                raise ConfigError(f"Notifiers.notifiers[{name!r}]", notifier, "an object with a method notify")
        self._channels = [_Channel(name, notifier, config) for name, notifier in notifiers.items()]
        self._clock, self._events = clock, events
        for channel in self._channels:
            track(channel, _Channel._in_child)

    @classmethod
    def from_config(
        cls,
        settings: Mapping[str, Any],
        where: str = "levers.notify",
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> Notifiers:
        """Make all of them of plain data. See :mod:`selfheal.levers.notify_config` for the keys.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.levers.notify_config import notifiers_from

        made, gate = notifiers_from(settings, where, clock)
        return cls(made, clock=clock, events=events, **attrs.asdict(gate))

    def send(self, notification: Notification) -> Delivery:
        """Offer it to all, one after the other, in this thread; say what became of it. Never raises."""
        delivered, failed, held = [], {}, ""
        for channel in self._channels:
            told = self._offer(channel, notification)
            if told is None:
                delivered.append(channel.name)
            elif told in ("repeated", "too many"):
                held = told
            else:
                failed[channel.name] = told
        return Delivery(delivered=tuple(delivered), failed=failed, held_back="" if delivered or failed else held)

    def notify(self, notification: Notification) -> None:
        """Offer it to all; so that several are a notifier themselves.

        Raises:
            NotifyError: if it was held back by none and taken by none; lists what went wrong with each.
        """
        delivery = self.send(notification)
        if not delivery.delivered and not delivery.held_back:
            raise NotifyError(notification.title, delivery.failed)

    def notify_on(self, bus: EventBus, *, minimum: Severity = Severity.CRITICAL) -> tuple[Subscription, ...]:
        """Tell people when healing goes dormant, and on alerts of at least ``minimum``.

        Deliveries happen in the bus's threads, one for each notifier: whoever publishes never waits, and a
        notifier that hangs keeps nothing from the others.

        Returns:
            The subscriptions; ``cancel()`` ends them.
        """
        ranks = list(Severity)

        def told_by(channel: _Channel) -> Callable[[Event], None]:
            def tell(event: Event) -> None:
                if isinstance(event, Alert) and ranks.index(event.severity) < ranks.index(minimum):
                    return
                self._offer(channel, about(event))

            return tell

        return tuple(bus.subscribe(told_by(channel), Alert, DormancyEntered) for channel in self._channels)

    def snapshot(self) -> tuple[NotifierSnapshot, ...]:
        """Each notifier with its counts and its last error."""
        return tuple(
            NotifierSnapshot(
                name=c.name, delivered=c.delivered, failed=c.failed, held_back=c.held_back, last_error=c.last_error
            )
            for c in self._channels
        )

    def __repr__(self) -> str:
        return f"<Notifiers {', '.join(channel.name for channel in self._channels)}>"

    def _offer(self, channel: _Channel, notification: Notification) -> str | None:
        """Deliver to one: ``None`` if it took it, else why not."""
        with channel.lock:
            held = channel.gate.pass_through(notification.fingerprint, self._clock.monotonic())
            if held:
                channel.held_back += 1
                return held
            missed, channel.gate.held = channel.gate.held, 0
        if missed:
            labels = {**notification.labels, "held_back": str(missed)}
            notification = attrs.evolve(notification, labels=labels)
        try:
            channel.notifier.notify(notification)
        except Exception as error:
            return self._failed(channel, notification, describe(error))
        with channel.lock:
            channel.delivered += 1
            channel.last_error = ""
        return None

    def _failed(self, channel: _Channel, notification: Notification, told: str) -> str:
        with channel.lock:
            channel.failed += 1
            channel.last_error = told
            channel.gate.forget(notification.fingerprint)
        logger.warning("notifier %r did not deliver %r: %s", channel.name, notification.title, told)
        at = self._clock.wall()
        self._events.publish(NotificationFailed(notifier=channel.name, title=notification.title, error=told, at=at))
        return told


def about(event: Event) -> Notification:
    """What to tell people of an alert or of dormancy."""
    if isinstance(event, Alert):
        labels = {**event.labels, "kind": event.kind, "target": event.target, "metric": event.metric}
        return Notification(
            title=f"{event.kind} on {event.target}" if event.target else event.kind,
            body=event.message,
            severity=event.severity,
            at=event.at,
            labels={key: value for key, value in labels.items() if value},
            fingerprint=event.fingerprint,
        )
    if isinstance(event, DormancyEntered):
        return Notification(
            title="healing is dormant",
            body=f"{event.reason}. Nothing is healed until a person resumes it.",
            severity=Severity.CRITICAL,
            at=event.at,
            labels={"triggered_by": event.triggered_by},
            fingerprint=f"dormant|{event.reason}",
        )
    return Notification(title=type(event).__name__, at=event.at)
