"""Memory that leaks, of machines and of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.detection.leak import HOUR, Leak, LeakDetector
from selfheal.detection.rules.findings import Finding, OpenFindings
from selfheal.detection.rules.watch import Quiet
from selfheal.events import Severity

if TYPE_CHECKING:
    from selfheal.detection.history import History
    from selfheal.detection.rules.specs import LeakRule
    from selfheal.detection.sampler import Sample

_MOST_TARGETS = 500
_GONE = 2 * HOUR
"""Seconds without a value after which a process is taken to be gone."""


class LeakWatch(Quiet):
    """Watches memory of wholes and of processes; a leak of a whole names the process that grows the most."""

    def __init__(self, rule: LeakRule) -> None:
        self._rule = rule
        self._open = OpenFindings(rule.name, rule.TYPE)
        self._detectors: dict[tuple[str, str], LeakDetector] = {}
        self._seen: dict[tuple[str, str], float] = {}

    def warm_start(self, history: History, at: float) -> None:
        """Learn the past of the whole: the shape of its days. Processes of an earlier life are not those of now."""
        for metric, target in history:
            detector = self._detector((metric, target)) if metric == self._rule.metric else None
            if detector is None:
                continue
            self._seen[metric, target] = at
            for point in history.points(metric, target):
                detector.observe(point.number * history.config.step, point.low)
                detector.observe(point.number * history.config.step, point.high)

    def observe(self, sample: Sample) -> list[Finding]:
        """Take a sample of memory."""
        if sample.metric not in (self._rule.metric, self._rule.process_metric):
            return []
        key = (sample.metric, sample.target)
        detector = self._detector(key)
        if detector is None:
            return []
        self._seen[key] = sample.at
        detector.observe(sample.t, sample.value)
        if (detector.leak is not None) == (key in self._open):
            return []
        if detector.leak is None:
            return self._open.end(key, sample.t, f"{_named(key)} grows no more")
        return self._begin(key, detector.leak, sample)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass: what was not measured for two hours is gone; the days of a whole are remembered."""
        found: list[Finding] = []
        for key, seen in tuple(self._seen.items()):
            kept = self._rule.trend.keep if key[0] == self._rule.metric else 0.0
            if at - seen > max(kept, _GONE):
                found += self._drop(key, t)
            elif at - seen > _GONE:
                found += self._open.end(key, t, _gone(key))
        return found

    def forget(self, target: str, t: float) -> list[Finding]:
        """A process ended on purpose leaks no more."""
        return [finding for key in tuple(self._detectors) if key[1] == target for finding in self._drop(key, t)]

    def _detector(self, key: tuple[str, str]) -> LeakDetector | None:
        detector = self._detectors.get(key)
        if detector is None and len(self._detectors) < _MOST_TARGETS:
            limit = self._rule.limit if key[0] == self._rule.metric else self._rule.process_limit
            detector = self._detectors[key] = LeakDetector(limit, self._rule.trend)
        return detector

    def _drop(self, key: tuple[str, str], t: float) -> list[Finding]:
        del self._detectors[key], self._seen[key]
        return self._open.end(key, t, _gone(key))

    def _begin(self, key: tuple[str, str], leak: Leak, sample: Sample) -> list[Finding]:
        grower = self._grower(leak) if sample.metric == self._rule.metric else sample.target
        soon = leak.exhausted_in is not None and leak.exhausted_in <= self._rule.trend.urgent
        left = "" if leak.exhausted_in is None else f"; exhausted in {leak.exhausted_in / HOUR:.1f} h"
        grows = f"{_named(key)} grows by {leak.per_hour:.4g} an hour"
        who = f"; {grower} grows the most" if grower and grower != sample.target else ""
        evidence = {
            "per_hour": f"{leak.per_hour:.6g}",
            "hours": f"{leak.span / HOUR:.1f}",
            "p": f"{leak.p:.2g}",
            "process": grower,
            "measured_on": sample.target,
        }
        if leak.exhausted_in is not None:
            evidence["exhausted_in_s"] = f"{leak.exhausted_in:.0f}"
        return self._open.begin(
            key,
            sample.t,
            Severity.CRITICAL if soon else self._rule.severity,
            target=grower or sample.target,
            metric=sample.metric,
            value=sample.value,
            message=f"{grows} since {leak.span / HOUR:.1f} h{left}{who}",
            evidence=evidence,
        )

    def _grower(self, leak: Leak) -> str:
        """The process whose memory grew the fastest while the whole leaked; empty if none grew."""
        speeds = {
            target: detector.growth_per_hour(leak.since)
            for (metric, target), detector in self._detectors.items()
            if metric == self._rule.process_metric
        }
        fastest = max(speeds, key=lambda target: speeds[target], default="")
        return fastest if fastest and speeds[fastest] > 0.0 else ""


def _named(key: tuple[str, str]) -> str:
    return f"{key[0]} of {key[1] or 'the machine'}"


def _gone(key: tuple[str, str]) -> str:
    return f"{_named(key)} is not measured any more"
