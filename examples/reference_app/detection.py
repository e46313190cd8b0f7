"""Detection: looks at the service every so often and says on the bus what is wrong with it. It repairs nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from examples.reference_app.keys import KeyPool
from examples.reference_app.provider_process import ProviderProcess
from examples.reference_app.request_log import NotKeptError, RequestLog
from selfheal import Alert, CircuitBreaker, EventBus, FeatureFlags
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.events import AlertCleared, Severity

logger = logging.getLogger("reference_app.detection")

KINDS = ("no_active_keys", "process_dead", "breaker_opened", "degraded_replies", "workers_failed")
"""What it finds: the kinds of its alerts."""
DEGRADED_SHARE = 0.2
"""Share of degraded replies since the last look from which on it is a problem."""


class Detection:
    """One look at a time: :meth:`look` is a registered task.

    A problem that goes on is one alert: it is raised at each look under the same fingerprint, of which the healer
    keeps one, and cleared at the first look that does not find it any more.

    Args:
        keys: no active key is a problem.
        process: a provider process that does not run is one, unless process monitoring is switched off.
        breaker: while it is not closed, the provider is not in use, which is one.
        log: degraded replies since the last look are one, from :data:`DEGRADED_SHARE` on.
        flags: switch detection off and on, live.
        events: where alerts go.
        workers_failed: why the summary workers gave up, empty if they did not; that is a problem.
        clock: for the time of an alert.
    """

    def __init__(
        self,
        *,
        keys: KeyPool,
        process: ProviderProcess,
        breaker: CircuitBreaker,
        log: RequestLog,
        flags: FeatureFlags,
        events: EventBus,
        workers_failed: Callable[[], str] = str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._keys = keys
        self._process = process
        self._breaker = breaker
        self._log = log
        self._flags = flags
        self._events = events
        self._workers_failed = workers_failed
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, Alert] = {}
        self._seen = log.tally().last_id

    @property
    def open(self) -> tuple[Alert, ...]:
        """The problems the last look found."""
        with self._lock:
            return tuple(self._open.values())

    def look(self) -> list[Alert]:
        """Look once; raise what is there, clear what is gone. Returns every problem found."""
        if not self._flags.auto_detection:
            return []
        found = {alert.fingerprint: alert for alert in self._problems()}
        with self._lock:
            before, self._open = self._open, found
        for fingerprint in before.keys() - found.keys():
            logger.info("gone: %s", fingerprint)
            self._events.publish(AlertCleared(at=self._clock.wall(), fingerprint=fingerprint))
        for fingerprint, alert in found.items():
            if fingerprint not in before:
                logger.warning("found: %s", alert.message)
            self._events.publish(alert)
        return list(found.values())

    def _problems(self) -> list[Alert]:
        found = (self._no_keys(), self._dead(), self._unused(), self._degraded(), self._no_workers())
        return [alert for alert in found if alert]

    def _no_keys(self) -> Alert | None:
        counts = self._keys.counts()
        if counts.active:
            return None
        told = f"no active api keys: {counts.total} configured, {counts.failed} refused"
        return self._alert("no_active_keys", "key-pool", "active_keys", 0.0, told)

    def _dead(self) -> Alert | None:
        if not self._flags.process_monitoring or self._process.alive():
            return None
        told = f"the provider process does not run: {self._process.last_exit or 'it was never started'}"
        return self._alert("process_dead", "provider", "alive", 0.0, told)

    def _unused(self) -> Alert | None:
        snapshot = self._breaker.snapshot()
        if snapshot.state == "CLOSED":
            return None
        told = f"circuit {snapshot.name!r} is {snapshot.state}: {snapshot.reason}"
        return self._alert("breaker_opened", snapshot.name, "failures", float(snapshot.failure_count), told)

    def _degraded(self) -> Alert | None:
        try:
            tally = self._log.tally(after=self._seen)
        except NotKeptError as error:
            logger.warning("the replies cannot be counted: %s", error)  # a loss of files is found by who looks at them
            return None
        self._seen = tally.last_id
        share = tally.degraded / tally.total if tally.total else 0.0
        if share < DEGRADED_SHARE:
            return None
        told = f"{tally.degraded} of the last {tally.total} replies were degraded: {self._log.last_error()}"
        return self._alert("degraded_replies", "gateway", "degraded_share", share, told)

    def _no_workers(self) -> Alert | None:
        why = self._workers_failed()
        if not why:
            return None
        return self._alert("workers_failed", "summary-workers", "workers", 0.0, f"the summary workers gave up: {why}")

    def _alert(self, kind: str, target: str, metric: str, value: float, message: str) -> Alert:
        return Alert(
            at=self._clock.wall(),
            kind=kind,
            target=target,
            metric=metric,
            value=value,
            severity=Severity.CRITICAL,
            message=message,
        )
