"""One detector for each series: the learner that is used where nothing else is asked for."""

from __future__ import annotations

import fnmatch
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from selfheal.detection.gate import AlertGate, GateConfig
from selfheal.detection.metric import MetricDetector
from selfheal.detection.monitor.amounts import amount
from selfheal.detection.monitor.groups import same
from selfheal.detection.monitor.learners import DEFAULT_GATE, NOT_MEASURED, PLAIN_GATE, Gated, Learning, News, Past
from selfheal.detection.monitor.signals import Ended, Series, Signal, anomaly
from selfheal.detection.protocols import Detector
from selfheal.detection.saved import Saved
from selfheal.errors import ConfigError
from selfheal.events import Severity

KIND, VERSION = "series_learner", 1
LEFT_OUT = ("process_*", "heartbeat", "memory_bytes", "load_per_cpu", "anomaly_score")
"""Processes come and go; the others say again what ``memory_percent``, ``cpu_percent`` and learners say."""

SILENT = 900.0
"""Seconds without a value after which a series makes room for another, where there is too little."""
OFF = 3.0
"""Spreads that a value has to be off to be unusual by itself."""


@attrs.define
class _Watched:
    detector: Detector
    gated: Gated
    judged: Series
    said: Signal | None = None


class SeriesLearner:
    """A detector for each metric on each target, made when it is first seen, and warmed up with the history.

    Args:
        metrics: patterns of the metrics that are learnt (``"latency_*"``).
        without: patterns of those that are not.
        detector: makes the detector of a metric; a :class:`~selfheal.detection.MetricDetector` where none is given.
        gate: when an alarm is raised and cleared; by default one false alarm in five days on a series is put up with,
            and for detectors that are not made here, a chance of 1 in 1600 raises one.
        severity: of its alerts.
        zone: time zone whose time of day counts, for detectors that are made here.
        max_series: series at once. One that is silent goes for a new one; while none is, new ones are left out.
        name: what it is called.

    Attributes:
        forgotten: series that went for new ones.
        problem: how many were left out in the latest step, in words; empty if none was.

    Raises:
        ConfigError: if a value is not accepted.
    """

    def __init__(
        self,
        metrics: Iterable[str] = ("*",),
        *,
        without: Iterable[str] = LEFT_OUT,
        detector: Callable[[str], Detector] | None = None,
        gate: GateConfig | None = None,
        severity: Severity = Severity.WARNING,
        zone: str = "UTC",
        max_series: int = 1000,
        name: str = "series",
    ) -> None:
        if any(isinstance(patterns, str) for patterns in (metrics, without)):
            raise ConfigError("SeriesLearner.metrics and .without", metrics, "lists of patterns", "('*',)")
        if type(max_series) is not int or not 1 <= max_series <= 100_000:
            raise ConfigError("SeriesLearner.max_series", max_series, "an integer between 1 and 100000", "1000")
        self.name = name
        self.forgotten = 0
        self.problem = ""
        self._metrics, self._without = tuple(metrics), tuple(without)
        self._gate, self._severity = gate, Severity(severity)
        self._make = detector if detector is not None else self._usual_one
        self._zone = zone
        self._max = max_series
        self._watched: OrderedDict[Series, _Watched] = OrderedDict()

    def _usual_one(self, metric: str) -> Detector:
        return MetricDetector(name=metric, zone=self._zone, gate=self._gate or DEFAULT_GATE)

    def wants(self, metric: str) -> bool:
        """Whether a metric is learnt."""
        return _matches(metric, self._metrics) and not _matches(metric, self._without)

    def step(self, t: float, values: Mapping[Series, float], past: Past) -> News:
        """Judge and learn one step."""
        news = self._gone(t)
        wanted = [series for series in values if self.wants(series[0])]
        left_out = 0
        for series in wanted:
            if series not in self._watched and not self._room(series, t, past, news):
                left_out += 1
                continue
            self._watched.move_to_end(series)
            news += self._judge(self._watched[series], t, values[series])
        few = f"learner {self.name} has no room for {left_out} of {len(wanted)} series: max_series is {self._max}"
        self.problem = few if left_out else ""
        return news

    def states(self) -> tuple[Learning, ...]:
        """How far it has come with each series."""
        return tuple(one.gated.learning(self.name, series) for series, one in self._watched.items())

    def usual(self, series: Series, t: float) -> tuple[float, float] | None:
        """Mean and spread that are usual for a series, where its detector tells them."""
        one = self._watched.get(series)
        usual = getattr(one.detector, "usual", None) if one is not None else None
        mean, spread = (0.0, 0.0) if usual is None else usual(t)
        return (mean, spread) if spread > 0.0 else None

    def _is_off(self, series: Series, t: float, value: float) -> bool:
        usual = self.usual(series, t)
        return usual is None or abs(value - usual[0]) > OFF * usual[1]

    def _gone(self, t: float) -> News:
        """Ends of alarms about what is not measured any more."""
        gone = [one for one in self._watched.values() if one.gated.end_if_gone(t)]
        for one in gone:
            one.said = None
        return [Ended(key=self._key(one.judged), message=NOT_MEASURED) for one in gone]

    def _room(self, series: Series, t: float, past: Past, news: News) -> bool:
        """Take up a series, in place of one that is silent if there are too many; tell whether that could be done."""
        if len(self._watched) >= self._max:
            longest, was = next(iter(self._watched.items()))
            if t - was.gated.last <= SILENT:
                return False
            del self._watched[longest]
            self.forgotten += 1
            if was.gated.gate.active:
                news.append(Ended(key=self._key(longest), message=NOT_MEASURED))
        made = self._watched[series] = self._new(series)
        for at, value in past(series):
            made.detector.learn(at, value)
            made.gated.since = at if math.isnan(made.gated.since) else made.gated.since
            made.gated.steps += 1
        return True

    def _new(self, series: Series) -> _Watched:
        detector = self._make(series[0])
        own = getattr(detector, "gate", None)
        return _Watched(
            detector, Gated(own if isinstance(own, AlertGate) else AlertGate(self._gate or PLAIN_GATE)), series
        )

    def _key(self, series: Series) -> tuple[str, str]:
        return (self.name, f"anomaly|{series[1]}|{series[0]}")

    def _judge(self, one: _Watched, t: float, value: float) -> News:
        if isinstance(one.detector, MetricDetector):
            verdict = one.detector.update(t, value)
            change = one.gated.take(t, verdict, one.detector.change)
        else:
            verdict = one.detector.score(t, value)
            change = one.gated.take(t, verdict)
            one.detector.learn(t, value, one.gated.gate.learning_weight(t))
        if change == "cleared":
            one.said = None
            metric = one.judged[0]
            return [Ended(key=self._key(one.judged), message=f"{metric} is {amount(metric, value)}: as usual again")]
        if not one.gated.gate.active:
            return []
        since = t if change == "raised" or math.isnan(one.gated.alarm_since) else one.gated.alarm_since
        if one.said is not None and not verdict.reasons:  # what was said when it was worse tells more
            one.said = attrs.evolve(one.said, fresh=False)
            return [one.said]
        one.said = anomaly(
            self.name,
            one.judged,
            verdict,
            since,
            value=value,
            severity=self._severity,
            covers=frozenset({one.judged}),
            fresh=self._is_off(one.judged, t, value),
        )
        return [one.said]

    def to_dict(self) -> dict[str, Any]:
        """What was learnt of each series."""
        series = [
            {"metric": metric, "target": target, "detector": one.detector.to_dict(), **one.gated.to_dict()}
            for (metric, target), one in self._watched.items()
        ]
        return {"kind": KIND, "version": VERSION, "series": series}

    def load(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what was learnt of series that are still wanted, with the same settings."""
        saved = Saved(data, KIND, VERSION)
        found: OrderedDict[Series, _Watched] = OrderedDict()
        others = []
        for item in saved.items("series")[-self._max :]:
            series, made = self._loaded(Saved({**item, "kind": KIND, "version": VERSION}, KIND, VERSION), item)
            if made is None:
                others.append(f"{series[0]} of {series[1] or 'the machine'} is learnt anew: its settings differ now")
            else:
                found[series] = made
        self._watched = found
        return tuple(others)

    def _loaded(self, saved: Saved, item: Mapping[str, Any]) -> tuple[Series, _Watched | None]:
        metric, target = item.get("metric"), item.get("target")
        if not isinstance(metric, str) or not isinstance(target, str):
            raise saved.wrong("a series has no name")
        series = (metric, target)
        fresh = self._new(series)
        was, now, gated = saved.part("detector"), fresh.detector.to_dict(), Gated.from_dict(saved)
        alike = same(was, now, ("kind", "config")) and gated.gate.config == fresh.gated.gate.config
        if not self.wants(metric) or not alike:
            return series, None
        detector = type(fresh.detector).from_dict(was)
        if isinstance(detector, MetricDetector):
            gated.gate = detector.gate
        return series, _Watched(detector, gated, series)


def _matches(metric: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(metric, pattern) for pattern in patterns)
