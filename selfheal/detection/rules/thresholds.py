"""Rules that are a condition over metrics: thresholds, CPU, latency."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from selfheal.conditions import Condition, ConditionIndex, Firing, TriggerState, describe, metrics_of, scaled
from selfheal.detection.rules.findings import Finding, OpenFindings
from selfheal.detection.rules.watch import Pace, Quiet
from selfheal.detection.sampler import Sample
from selfheal.events import Severity

if TYPE_CHECKING:
    from selfheal.detection.rules.specs import CpuSpikeRule, LatencyRule, ThresholdRule

_MOST_TARGETS = 1000
_ON = (TriggerState.FIRING, TriggerState.CLEARING)
_BEGINS, _LASTS = "begins", "lasts"
_AT_ONCE = 1e-13
"""Makes every duration, rounded to microseconds, none."""
_GONE = 7200.0
"""Seconds without any value after which what was measured is taken to be gone."""
_MOST_REQUESTS = 2000
"""Requests of one target that a percentile is taken over, at most: the latest."""


class ThresholdWatch(Quiet):
    """Watches one condition on every target.

    Args:
        name: of the rule.
        kind: of its findings.
        condition: what has to hold.
        clear_for: seconds for which it has to be over.
        step: seconds between two samples; after two of them a value is unknown.
        severity: of its findings.
    """

    def __init__(
        self, name: str, kind: str, condition: Condition, *, clear_for: float, step: float, severity: Severity
    ) -> None:
        self._open = OpenFindings(name, kind)
        self._severity = severity
        self._text = describe(condition)
        self._metrics = metrics_of(condition)
        self._index = ConditionIndex(stale_after=2.0 * step, max_series=_MOST_TARGETS * len(self._metrics))
        self._index.add(_BEGINS, condition)
        # A value past its threshold again, however shortly, means that it is not over.
        at_once = scaled(condition, _AT_ONCE)
        self._index.add(_LASTS, at_once, clear_for)
        self._pace = Pace(name, step) if clear_for or at_once != condition else None

    @classmethod
    def of(cls, rule: ThresholdRule | CpuSpikeRule) -> ThresholdWatch:
        """The watch of a rule's settings."""
        kind = getattr(rule, "kind", "") or (rule.name if rule.TYPE == "threshold" else rule.TYPE)
        return cls(rule.name, kind, rule.condition, clear_for=rule.clear_for, step=rule.step, severity=rule.severity)

    def observe(self, sample: Sample) -> list[Finding]:
        """Take a sample, if the condition looks at its metric."""
        if sample.metric not in self._metrics:
            return []
        if self._pace is not None and math.isfinite(sample.value):
            self._pace.look(sample.metric, sample.at)
        return self._found(self._index.observe(sample.metric, sample.value, sample.target, sample.at), sample.t)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass: what has held for long enough is found, and what is not measured any more is over."""
        found = self._found(self._index.tick(at), t)
        for target in [finding.target for finding in self._open.all]:
            if at - self._seen_at(target) > _GONE:
                found += self.forget(target, t)
        return found

    def _seen_at(self, target: str) -> float:
        """When a value that the condition looks at came last; that of all stands in for that of the target."""
        samples = self._index.samples
        some = [samples.series(metric, target) or samples.series(metric, "") for metric in self._metrics]
        return max((series.points[-1][0] for series in some if series is not None), default=-math.inf)

    def forget(self, target: str, t: float) -> list[Finding]:
        """Drop all that was observed on a target."""
        self._index.forget(target)
        return self._open.end(target, t, "it is gone")

    def _found(self, firings: Sequence[Firing], t: float) -> list[Finding]:
        found: list[Finding] = []
        for firing in firings:
            value = math.nan if firing.value is None else firing.value
            if firing.change == "cleared":
                if not any(self._index.state(key, firing.target) in _ON for key in (_BEGINS, _LASTS)):
                    found += self._open.end(firing.target, t, f"{firing.metric} is {value:g}: no more {self._text}")
                continue
            if firing.key == _LASTS:
                continue
            found += self._open.begin(
                firing.target,
                t,
                self._severity,
                target=firing.target,
                metric=firing.metric,
                value=value,
                message=f"{self._text}: {firing.metric} is {value:g}",
                evidence={"condition": self._text},
            )
        return found


class LatencyWatch(Quiet):
    """Watches a percentile of the requests of a sliding window, on every target."""

    def __init__(self, rule: LatencyRule) -> None:
        self._rule = rule
        # A percentile is known at the moment it is taken, at each tick and with each request, and not long after.
        self._watch = ThresholdWatch(
            rule.name,
            rule.TYPE,
            rule.condition,
            clear_for=rule.clear_for,
            step=max(rule.window / 2.0, 10.0),
            severity=rule.severity,
        )
        self._requests: dict[str, deque[tuple[float, float]]] = {}
        self._taken: dict[str, float] = {}

    def observe(self, sample: Sample) -> list[Finding]:
        """Take one request. The percentile is taken anew once a second at most."""
        if sample.metric != self._rule.metric:
            return self._watch.observe(sample)
        if not sample.value >= 0.0:  # nan: no request
            return []
        requests = self._requests.get(sample.target)
        if requests is None:
            if len(self._requests) >= _MOST_TARGETS:
                return []
            requests = self._requests[sample.target] = deque(maxlen=_MOST_REQUESTS)
        requests.append((sample.at, sample.value))
        if sample.at - self._taken.get(sample.target, -math.inf) < 1.0:
            return []
        return self._take(sample.target, sample.t, sample.at)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Take all percentiles anew, and let time pass."""
        found: list[Finding] = []
        for target in tuple(self._requests):
            found += self._take(target, t, at)
        return found + self._watch.tick(t, at)

    def forget(self, target: str, t: float) -> list[Finding]:
        """Drop the requests of a target."""
        self._requests.pop(target, None)
        self._taken.pop(target, None)
        return self._watch.forget(target, t)

    def _take(self, target: str, t: float, at: float) -> list[Finding]:
        requests = self._requests[target]
        while requests and requests[0][0] <= at - self._rule.window:
            requests.popleft()
        self._taken[target] = at
        known = len(requests) >= self._rule.least
        value = percentile([latency for _, latency in requests], self._rule.percentile) if known else math.nan
        if not requests:
            del self._requests[target], self._taken[target]
        return self._watch.observe(Sample(self._rule.derived, value, target, t, at))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of some values that at least ``percent`` of them are not above (nearest rank); one or more."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100.0 * len(ordered)), 1) - 1]
