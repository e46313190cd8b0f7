"""What the engine knows of the world: samples, open alerts, and what they say of a healing."""

from __future__ import annotations

import math
import threading

from selfheal.clock import Clock
from selfheal.conditions import Condition, compile_condition, metrics_of
from selfheal.events import Alert
from selfheal.forking import track
from selfheal.healing.engine.triggers import Triggers
from selfheal.healing.engine.verdicts import (
    Judgement,
    Verdict,
    cleared_condition,
    first_comparison,
    judge_samples,
)
from selfheal.healing.strategies.specs import StrategySpec, VerifyBy

_BY_ALERT = {True: Verdict.UNCHANGED, False: Verdict.FIXED, None: Verdict.UNKNOWN}


class OpenAlerts:
    """The alerts that are open: raised, and neither cleared nor too old.

    Args:
        clock: for their age.
        ttl: seconds after it was last raised when an alert counts as gone, unless a trigger of the engine holds it.
        limit: alerts at most; beyond it the oldest are forgotten, and counted.
    """

    def __init__(self, clock: Clock, ttl: float, limit: int = 10_000) -> None:
        self._clock = clock
        self._ttl = ttl
        self._limit = limit
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Alert, float]] = {}
        self._cleared: dict[str, None] = {}
        self.forgotten = 0
        track(self, OpenAlerts._in_child)

    def raised(self, alert: Alert) -> None:
        """It is open, as of now."""
        with self._lock:
            self._cleared.pop(alert.fingerprint, None)
            self._open.pop(alert.fingerprint, None)
            self._open[alert.fingerprint] = (alert, self._clock.monotonic())
            if len(self._open) > self._limit:
                del self._open[next(iter(self._open))]
                self.forgotten += 1

    def cleared(self, fingerprint: str) -> Alert | None:
        """It is gone; the alert, if it was open."""
        with self._lock:
            known = self._open.pop(fingerprint, None)
            self._cleared.pop(fingerprint, None)
            self._cleared[fingerprint] = None
            if len(self._cleared) > self._limit:
                del self._cleared[next(iter(self._cleared))]
        return None if known is None else known[0]

    def all(self) -> list[Alert]:
        """Those that are open now, the one raised longest ago first."""
        oldest = self._clock.monotonic() - self._ttl
        with self._lock:
            while self._open:
                fingerprint, (_, at) = next(iter(self._open.items()))
                if at >= oldest:
                    break
                del self._open[fingerprint]
            return [alert for alert, _ in self._open.values()]

    def holds(self, fingerprint: str) -> bool | None:
        """Whether it is open; ``False`` only if it was cleared, ``None`` if nothing has been heard of it for long."""
        if any(alert.fingerprint == fingerprint for alert in self.all()):
            return True
        with self._lock:
            return False if fingerprint in self._cleared else None

    def _in_child(self) -> None:
        self._lock = threading.Lock()


class Measurements:
    """Tells whether a problem goes on.

    Args:
        triggers: know what was observed.
        alerts: what is open.
    """

    def __init__(self, triggers: Triggers, alerts: OpenAlerts) -> None:
        self.alerts = alerts
        self._triggers = triggers

    def holds(self, condition: Condition, alert: Alert) -> bool | None:
        """Whether a condition holds for the target of an alert by the latest samples; ``None`` if not known."""
        return compile_condition(condition)(lambda metric: self._latest(metric, alert), alert.labels)

    def before(self, spec: StrategySpec, alert: Alert) -> float | None:
        """The value that a healing is compared with: the latest of its metric, else the alert's own."""
        condition = judged_condition(spec)
        leaf = None if condition is None else first_comparison(condition)
        if leaf is None:
            return alert.value if math.isfinite(alert.value) else None
        return self._latest(leaf.metric, alert)

    def judge(self, spec: StrategySpec, alert: Alert, since: float, before: float | None) -> Judgement:
        """Whether the problem is gone, by what came in after ``since`` (monotonic seconds)."""
        condition = judged_condition(spec)
        if condition is None or spec.verify.by is VerifyBy.ALERT:
            return Judgement(verdict=_BY_ALERT[self.alerts.holds(alert.fingerprint)], by="alert")
        return judge_samples(
            cleared_condition(condition),
            {metric: self._triggers.since(metric, alert.target, since) for metric in metrics_of(condition)},
            before,
            needed=spec.verify.samples,
            tolerance=spec.verify.tolerance,
            labels=alert.labels,
        )

    def _latest(self, metric: str, alert: Alert) -> float | None:
        value = self._triggers.latest(metric, alert.target)
        if value is None and metric == alert.metric and math.isfinite(alert.value):
            return alert.value
        return value


def judged_condition(spec: StrategySpec) -> Condition | None:
    """What has to end for the problem to be gone; ``None`` where only the alert tells."""
    return spec.verify.condition if spec.verify.condition is not None else spec.trigger
