"""What a healer takes from an event bus."""

from __future__ import annotations

from collections.abc import Callable

from selfheal.events import (
    Alert,
    AlertCleared,
    BreakerStateChanged,
    ClockJumped,
    Event,
    EventBus,
    Subscription,
    WorkersExhausted,
)
from selfheal.healing.attempts import Attempts


class Listener:
    """Hands a healer's events to where they belong.

    Args:
        events: the bus.
        attempts: the healer's guards and waiting alerts.
        submit: takes an alert.
        heal: answers the waiting alerts.
    """

    def __init__(
        self, events: EventBus, attempts: Attempts, submit: Callable[[Alert], object], heal: Callable[[], object]
    ) -> None:
        self._events = events
        self._attempts = attempts
        self._submit = submit
        self._heal = heal
        self._subscription: Subscription | None = None
        self._jumps: Subscription | None = None

    def start(self, immediately: bool) -> Subscription:
        """Listen from now on; the subscription there is, if it does."""
        if self._jumps is None:
            # Inline: whoever saw the jump goes on to run what is due, and a healing may be among it.
            self._jumps = self._events.subscribe(lambda _: self._attempts.settle(), ClockJumped, inline=True)
        if self._subscription is None:
            self._subscription = self._events.subscribe(
                lambda event: self._hear(event, immediately),
                Alert,
                AlertCleared,
                BreakerStateChanged,
                WorkersExhausted,
            )
        return self._subscription

    def stop(self) -> None:
        """Listen no more."""
        for subscription in (self._subscription, self._jumps):
            if subscription is not None:
                subscription.cancel()

    def _hear(self, event: Event, immediately: bool) -> None:
        if isinstance(event, Alert):
            self._submit(event)
            if immediately:
                self._heal()
        elif isinstance(event, AlertCleared):
            self._attempts.clear(event.fingerprint)
        elif isinstance(event, WorkersExhausted):
            stuck = ", ".join(event.task_ids)
            why = f"{event.abandoned} task runs are stuck: {stuck}"
            self._attempts.dormancy.enter(why, triggered_by="automatic")
        else:
            self._attempts.watch_breaker()
