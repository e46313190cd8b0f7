"""Delivery of events: bounded queues, and threads that live only while there is something to deliver."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from selfheal.errors import ConfigError
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
        self._dropped = 0
        self._failed = 0
        self._cancelled = False
        self._start_over()

    def _start_over(self) -> None:
        self._queue: deque[Event] = deque()
        self._lock = threading.Lock()
        self._delivering = False
        self._idle = threading.Event()
        self._idle.set()

    @property
    def dropped(self) -> int:
        """Events lost because the subscriber was too slow for its queue."""
        return self._dropped

    @property
    def failed(self) -> int:
        """Events on which the subscriber raised."""
        return self._failed

    def _in_child(self) -> None:
        """Start over: the delivery thread and whoever held a lock are not in this process."""
        self._start_over()

    def cancel(self) -> None:
        """Deliver nothing more, once a delivery under way is over. What is queued is dropped. Idempotent."""
        self._bus._forget(self)
        with self._lock:
            self._cancelled = True
            self._queue.clear()
            if not self._delivering:
                self._idle.set()

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
            if not self._cancelled:
                self._deliver(event)
            return
        if self._enqueue(event):
            self._start()

    def _enqueue(self, event: Event) -> bool:
        """Queue it; tell whether the caller is the one to start the delivery."""
        with self._lock:
            if self._cancelled:
                return False
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(event)
            self._idle.clear()
            starts = not self._delivering
            self._delivering = True
            return starts

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="selfheal-events", daemon=True).start()
        except RuntimeError:
            if threading.main_thread().is_alive():  # no thread to be had now: the next event tries again
                logger.warning("no thread to deliver events to %r: they stay queued", self._handler)
                with self._lock:
                    self._delivering = False
            else:  # the interpreter is ending: deliver here, or it is lost
                self._run()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._delivering = False
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

        Raises:
            ConfigError: if ``handler`` cannot be called, a kind is no event class, or ``limit`` is below 1.
        """
        _check(handler, kinds, limit)
        made = Subscription(self, handler, kinds or (Event,), inline, limit)
        track(self, EventBus._in_child)
        track(made, Subscription._in_child)
        with self._lock:
            self._subscriptions += (made,)
        return made

    def _in_child(self) -> None:
        """Make a new lock: whoever held the old one is not in this process."""
        self._lock = threading.Lock()

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


def _check(handler: object, kinds: tuple[object, ...], limit: object) -> None:
    where = "EventBus.subscribe"
    if not callable(handler):
        raise ConfigError(f"handler of {where}", handler, "a callable that takes the event")
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise ConfigError(f"kinds of {where}", kind, "event classes", "all events")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ConfigError(f"limit of {where}", limit, "an integer of 1 or more", "1000")


DEFAULT_BUS = EventBus()
"""The bus used wherever none is given."""
