"""Delivery of events: bounded queues, and threads that live only while there is something to deliver."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from selfheal.events.records import Event
from selfheal.forking import track

logger = logging.getLogger("selfheal.events")

E = TypeVar("E", bound=Event)
Handler = Callable[[Any], object]


class Subscription:
    """One subscriber's queue. Made by :meth:`EventBus.subscribe`."""

    def __init__(
        self, bus: EventBus, handler: Handler, kinds: tuple[type[Event], ...], inline: bool, limit: int
    ) -> None:
        self._bus = bus
        self._handler = handler
        self._kinds = kinds
        self._inline = inline
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._dropped = 0
        self._failed = 0

    @property
    def dropped(self) -> int:
        """Events lost because the subscriber was too slow for its queue."""
        return self._dropped

    @property
    def failed(self) -> int:
        """Events on which the subscriber raised."""
        return self._failed

    def before_fork(self) -> None:
        """Nothing to bring to rest: the queue of a child starts empty."""

    def after_fork_in_parent(self) -> None:
        """Nothing to undo."""

    def after_fork_in_child(self) -> None:
        """Start over: the delivery thread and whoever held the lock are not in this process."""
        self._lock = threading.Lock()
        self._queue.clear()
        self._idle.set()

    def cancel(self) -> None:
        """Deliver nothing more. What is queued is dropped. Calling again does nothing."""
        self._bus._forget(self)
        with self._lock:
            self._queue.clear()

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until everything queued was delivered.

        Args:
            timeout: real seconds to wait at most.

        Returns:
            Whether the queue ran empty in time.
        """
        return self._idle.wait(timeout)

    def _offer(self, event: Event) -> None:
        if not isinstance(event, self._kinds):
            return
        if self._inline:
            self._deliver(event)
            return
        with self._lock:
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(event)
            if not self._idle.is_set():
                return
            self._idle.clear()
        try:
            threading.Thread(target=self._run, name="selfheal-events", daemon=True).start()
        except RuntimeError:  # the interpreter is ending: no thread can start, so deliver here
            self._run()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._idle.set()
                    return
                event = self._queue.popleft()
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        try:
            self._handler(event)
        except Exception:
            self._failed += 1
            logger.exception("subscriber %r raised on %s", self._handler, type(event).__name__)


class EventBus:
    """Carries events from where they happen to whoever subscribed.

    >>> from selfheal.events import Alert
    >>> bus = EventBus()
    >>> seen = []
    >>> _ = bus.subscribe(seen.append, Alert, inline=True)
    >>> bus.publish(Alert(kind="cpu_spike", target="host"))
    >>> seen[0].fingerprint
    'cpu_spike|host|'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def subscribe(
        self, handler: Callable[[E], object], *kinds: type[E], inline: bool = False, limit: int = 1000
    ) -> Subscription:
        """Have ``handler`` called with each event of ``kinds``.

        Args:
            handler: called with the event. What it raises is logged and counted, and goes no further.
            kinds: event classes, subclasses included; none means all events.
            inline: call it in the publisher's thread, in order, before ``publish`` returns. Only for
                handlers that are quick and never wait (tests, counters): they do hold the caller up.
            limit: events queued at most; when full the oldest is dropped and counted.

        Returns:
            The subscription; ``cancel()`` ends it.
        """
        made = Subscription(self, handler, kinds or (Event,), inline, limit)
        track(made)
        with self._lock:
            self._subscriptions += (made,)
        return made

    def publish(self, event: Event) -> None:
        """Hand ``event`` to every subscriber. Never raises and never waits for one."""
        for subscription in self._subscriptions:
            subscription._offer(event)

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until all queues ran empty, at most ``timeout`` real seconds for each; tell whether they did."""
        drained = [subscription.drain(timeout) for subscription in self._subscriptions]
        return all(drained)

    def _forget(self, gone: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not gone)


DEFAULT_BUS = EventBus()
"""The bus used wherever none is given."""
