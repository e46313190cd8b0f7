"""Several metrics judged together, and many judged at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from selfheal.detection.gate import MULTIVARIATE_GATE, AlertGate, GateConfig
from selfheal.detection.monitor.learners import NOT_MEASURED, Gated, Learning, News, Past
from selfheal.detection.monitor.signals import ANOMALY, Ended, Series, about, anomaly
from selfheal.detection.protocols import MultivariateDetector
from selfheal.detection.saved import Saved
from selfheal.errors import ConfigError
from selfheal.events import Severity

KIND, VERSION = "group_learner", 1


class GroupLearner:
    """One detector over several metrics of a target: the composite one, an isolation forest, a one-class SVM.

    Its alert has the name of the learner as metric and the score as value, and tells which metrics contributed. While
    an alert is open on one of those that contributed most, it is evidence of that alert.

    Args:
        detector: with the names of its metrics.
        target: whose they are, and that of its alerts.
        series: from its metrics to series elsewhere (``{"cpu": ("cpu_percent", "web-1")}``); the others are those of
            the same name on ``target``.
        gate: when an alarm is raised and cleared; by default :data:`~selfheal.detection.MULTIVARIATE_GATE`.
        severity: of its alerts.
        name: what it is called.

    Raises:
        ConfigError: if ``detector`` is none, or ``series`` names metrics that it does not look at.
    """

    def __init__(
        self,
        detector: MultivariateDetector,
        target: str = "",
        *,
        series: Mapping[str, Series] | None = None,
        gate: GateConfig = MULTIVARIATE_GATE,
        severity: Severity = Severity.WARNING,
        name: str = "composite",
    ) -> None:
        if not isinstance(detector, MultivariateDetector):
            raise ConfigError("GroupLearner.detector", detector, "a detector of several metrics")
        given = dict(series or {})
        if set(given) - set(detector.metrics):
            raise ConfigError("GroupLearner.series", sorted(given), f"some of the metrics {detector.metrics}")
        self.name = name
        self._detector = detector
        self._target = target
        self._series = {metric: given.get(metric, (metric, target)) for metric in detector.metrics}
        self._severity = Severity(severity)
        self._gated = Gated(AlertGate(gate))

    def step(self, t: float, values: Mapping[Series, float], past: Past) -> News:
        """Judge and learn the metrics of one step; those that are missing are unknown in it."""
        x = {metric: values[series] for metric, series in self._series.items() if series in values}
        key = (self.name, f"{ANOMALY}|{self._target}|{self.name}")
        if not x:
            return [Ended(key=key, message=NOT_MEASURED)] if self._gated.end_if_gone(t) else []
        if not self._gated.steps:
            self._warm_up(past)
        verdict = self._detector.score(t, x)
        change = self._gated.take(t, verdict)
        self._detector.learn(t, x, self._gated.gate.learning_weight(t))
        self._refit()
        if change == "cleared":
            return [Ended(key=key, message="the metrics are together as usual again")]
        if not self._gated.gate.active:
            return []
        signal = anomaly(
            self.name,
            (self.name, self._target),
            verdict,
            self._gated.alarm_since if not math.isnan(self._gated.alarm_since) else t,
            value=verdict.score,
            severity=self._severity,
            covers=frozenset(self._series[metric] for metric in about(verdict.reasons)),
            fresh=verdict.score >= self._gated.gate.threshold(self._gated.step),
        )
        return [signal]

    def states(self) -> tuple[Learning, ...]:
        """How far it has come."""
        return (self._gated.learning(self.name, (self.name, self._target)),)

    def usual(self, series: Series, t: float) -> tuple[float, float] | None:
        """It does not know single series well enough to tell."""
        return None

    def _warm_up(self, past: Past) -> None:
        steps: dict[float, dict[str, float]] = {}
        for metric, series in self._series.items():
            for t, value in past(series):
                steps.setdefault(t, {})[metric] = value
        history = sorted(steps.items())
        self._gated.steps = self._detector.warm_start(history)
        self._gated.since = history[0][0] if history else math.nan

    def _refit(self) -> None:
        """Fit anew if it is time and the detector leaves that to its owner: nobody waits here."""
        due = getattr(self._detector, "refit_due", None)
        refit = getattr(self._detector, "refit", None)
        if due is not None and refit is not None and due():
            refit()

    def to_dict(self) -> dict[str, Any]:
        """What was learnt."""
        detector = self._detector.to_dict()
        return {"kind": KIND, "version": VERSION, "detector": detector, **self._gated.to_dict()}

    def load(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what was learnt, if the settings are the same."""
        saved = Saved(data, KIND, VERSION)
        was, gated = saved.part("detector"), Gated.from_dict(saved)
        now = self._detector.to_dict()
        if not same(was, now, ("kind", "metrics", "config")) or gated.gate.config != self._gated.gate.config:
            return (f"learner {self.name} learns anew: its settings differ now",)
        self._detector, self._gated = type(self._detector).from_dict(was), gated
        return ()


def same(one: Mapping[str, Any], other: Mapping[str, Any], keys: Iterable[str]) -> bool:
    """Whether two records have the same under some keys, tuples and lists being alike."""
    return all(_plain(one.get(key)) == _plain(other.get(key)) for key in keys)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
