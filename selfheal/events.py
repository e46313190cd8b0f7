"""What happened, as frozen records, and who wants to know.

Events are for observers (logs, metrics, dashboards, notifications). No decision of selfheal waits
for a subscriber: each subscription has its own bounded queue and a thread that lives only while
there is something to deliver, so a subscriber that raises, blocks or calls back can neither change
the caller's result nor hold it up, and nothing is left running when nothing happens.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from selfheal.forking import track

logger = logging.getLogger("selfheal.events")


class Severity(enum.StrEnum):
    """How bad an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@attrs.frozen(kw_only=True)
class Event:
    """Base of all events.

    Args:
        at: wall-clock seconds since 1970 UTC, for people and journals.
    """

    at: float = 0.0


@attrs.frozen(kw_only=True)
class Alert(Event):
    """Something is wrong with a target.

    Args:
        kind: what is wrong (``"high_latency"``).
        target: what it is wrong with (a service, a worker, a host).
        metric: the metric that showed it, or empty.
        value: the value that showed it; ``nan`` where there is none.
        severity: info, warning or critical.
        fingerprint: what makes two alerts the same problem; by default kind, target and metric.
        message: for people.
        labels: further facts, text to text.
    """

    kind: str
    target: str = ""
    metric: str = ""
    value: float = float("nan")
    severity: Severity = attrs.field(default=Severity.WARNING, converter=Severity)
    fingerprint: str = attrs.field()
    message: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)

    @fingerprint.default
    def _same_problem(self) -> str:
        return f"{self.kind}|{self.target}|{self.metric}"


@attrs.frozen(kw_only=True)
class AlertCleared(Event):
    """A problem is gone.

    Args:
        fingerprint: of the alert that no longer holds.
    """

    fingerprint: str


@attrs.frozen(kw_only=True)
class BreakerStateChanged(Event):
    """A circuit breaker moved from one state to another.

    Args:
        breaker: its name.
        old: state it left.
        new: state it entered.
        reason: why.
        by: who, where a person did it; else empty.
    """

    breaker: str
    old: str
    new: str
    reason: str
    by: str = ""


@attrs.frozen(kw_only=True)
class DormancyEntered(Event):
    """Healing stopped until a person resumes it.

    Args:
        reason: why.
        triggered_by: ``automatic``, ``circuit_breaker`` or ``manual``.
    """

    reason: str
    triggered_by: str


@attrs.frozen(kw_only=True)
class DormancyLeft(Event):
    """A person resumed healing.

    Args:
        reason: what they gave as reason.
        by: who.
    """

    reason: str
    by: str


@attrs.frozen(kw_only=True)
class ResumeLooksPossible(Event):
    """All resume checks pass while dormant. Nothing resumes by itself.

    Args:
        reason: why it is dormant.
    """

    reason: str


@attrs.frozen(kw_only=True)
class TaskFailed(Event):
    """A run of a registered task raised.

    Args:
        task_id: the task.
        error: the error as text.
        consecutive: failures in a row, this one included.
    """

    task_id: str
    error: str
    consecutive: int


@attrs.frozen(kw_only=True)
class TaskOverdue(Event):
    """A run of a registered task is past its timeout.

    Args:
        task_id: the task.
        timeout: seconds it was given.
        abandoned: whether its thread could not be ended and was left behind.
    """

    task_id: str
    timeout: float
    abandoned: bool


@attrs.frozen(kw_only=True)
class WorkersExhausted(Event):
    """As many task runs were abandoned as may be; the registry starts no more runs.

    Args:
        abandoned: how many are stuck.
        task_ids: their tasks.
    """

    abandoned: int
    task_ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ClockJumped(Event):
    """The wall clock and the monotonic clock moved apart: a suspend or a clock step.

    Args:
        seconds: how far the wall clock moved more than the monotonic one.
    """

    seconds: float


@attrs.frozen(kw_only=True)
class HealingFinished(Event):
    """A healing was attempted, or a guard refused it.

    Args:
        alert: what it answered.
        strategy: name of what ran.
        outcome: ``healed``, ``failed``, ``refused`` or ``interrupted``.
        guard: the guard that refused, or empty.
        reason: in words.
        duration: seconds it ran; 0 when refused.
    """

    alert: Alert
    strategy: str
    outcome: str
    guard: str = ""
    reason: str = ""
    duration: float = 0.0


@attrs.frozen(kw_only=True)
class ActionAudited(Event):
    """A person changed something through a steering call, or was refused.

    Args:
        who: who asked.
        what: the call (``"resume"``, ``"breaker.reset"``).
        target: what it was about.
        reason: why they said they did it.
        allowed: whether it was done.
        detail: what came of it.
    """

    who: str
    what: str
    target: str = ""
    reason: str = ""
    allowed: bool = True
    detail: str = ""


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
