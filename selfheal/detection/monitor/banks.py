"""Many series that are measured together, judged at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from selfheal.detection.bank import BaselineBank
from selfheal.detection.baseline import BaselineConfig, normal_score
from selfheal.detection.monitor.groups import same
from selfheal.detection.monitor.learners import GONE, NOT_MEASURED, Learning, News, Past
from selfheal.detection.monitor.signals import ANOMALY, Ended, Series, anomaly
from selfheal.detection.saved import Saved
from selfheal.detection.verdict import Reason, Verdict
from selfheal.errors import ConfigError
from selfheal.events import Severity

KIND, VERSION = "bank_learner", 1
DAY = 86_400.0
FURTHEST = 37.0
"""Spreads beyond which a score is the highest there is."""


class BankLearner:
    """A :class:`~selfheal.detection.BaselineBank` over thousands of series: mean ± ``sigma`` spreads by time of day.

    A series alarms when ``k`` of its latest ``n`` steps are that far off, and no more when none is. It is cheap, and
    does not know how rare that is: a :class:`SeriesLearner` raises fewer false alarms.

    Args:
        series: metrics and targets.
        config: ``sigma``, ``sustain`` (k, n), ``zone``, ``buckets`` and ``memory_days`` are used.
        severity: of its alerts.
        ready_after: seconds of past that a series needs before it alarms.
        name: what it is called.

    Raises:
        ConfigError: if there are no series, or one is there twice.
    """

    def __init__(
        self,
        series: Iterable[Series],
        config: BaselineConfig | None = None,
        *,
        severity: Severity = Severity.WARNING,
        ready_after: float = DAY,
        name: str = "bank",
    ) -> None:
        if isinstance(ready_after, bool) or not 0.0 <= ready_after <= 30 * DAY:
            raise ConfigError("BankLearner.ready_after", ready_after, "seconds between 0 and 30 days", "86400.0")
        self.name = name
        self._series = tuple(series)
        self._bank = BaselineBank([f"{metric} of {target}" for metric, target in self._series], config)
        self._severity, self._ready_after = Severity(severity), ready_after
        self._forget_alarms()

    def _forget_alarms(self) -> None:
        many = len(self._series)
        self._beyond = np.zeros((self._bank.config.sustain[1], many), dtype=bool)
        self._alarm = np.zeros(many, dtype=bool)
        self._alarm_since = np.zeros(many)
        self._off = np.zeros(many)
        self._ready = np.zeros(many, dtype=bool)
        self._seen = np.full(many, -math.inf)
        self._steps = 0

    def step(self, t: float, values: Mapping[Series, float], past: Past) -> News:
        """Judge and learn one step."""
        bank = self._bank
        if math.isnan(bank.last):
            self._warm_up(past)
        x = np.array([values.get(series, math.nan) for series in self._series])
        off = bank.update(t, x)
        self._ready = t - bank.first >= self._ready_after  # nan: never
        known = ~np.isnan(x)  # what is missing says nothing, not even that it is as usual
        self._off[known] = off[known]
        self._seen[known] = t
        self._steps += 1
        self._beyond[1:, known] = self._beyond[:-1, known]
        self._beyond[0, known] = ((np.abs(off) > bank.sigma) & self._ready)[known]
        gone = self._alarm & (t - self._seen >= GONE)
        self._beyond[:, gone] = False
        times = self._beyond.sum(axis=0)
        raised, cleared = ~self._alarm & (times >= bank.config.sustain[0]), self._alarm & (times == 0) & ~gone
        self._alarm_since[raised] = t
        self._alarm = (self._alarm | raised) & ~cleared & ~gone
        news: News = [self._over(n, NOT_MEASURED) for n in np.flatnonzero(gone).tolist()]
        news += [self._over(n, f"{self._series[n][0]} is as usual again") for n in np.flatnonzero(cleared).tolist()]
        return news + [self._signal(n, t, x[n]) for n in np.flatnonzero(self._alarm & known).tolist()]

    def _warm_up(self, past: Past) -> None:
        steps: dict[float, Any] = {}
        for n, series in enumerate(self._series):
            for t, value in past(series):
                steps.setdefault(t, np.full(len(self._series), math.nan))[n] = value
        for t in sorted(steps):
            self._bank.learn(t, steps[t])

    def _over(self, n: int, why: str) -> Ended:
        metric, target = self._series[n]
        return Ended(key=(self.name, f"{ANOMALY}|{target}|{metric}"), message=why)

    def _signal(self, n: int, t: float, value: float) -> Any:
        spreads = abs(float(self._off[n]))
        metric = self._series[n][0]
        score = normal_score(float(min(spreads, FURTHEST)))
        why = f"{spreads:.3g} spreads {'above' if self._off[n] > 0 else 'below'} what is usual at this time of day"
        reason = Reason(metric, float(value), self._bank.usual(t, n)[0], score, why)
        return anomaly(
            self.name,
            self._series[n],
            Verdict.of(score, (reason,)),
            float(self._alarm_since[n]),
            value=float(value),
            severity=self._severity,
            covers=frozenset({self._series[n]}),
            fresh=bool(self._beyond[0, n]),
        )

    def states(self) -> tuple[Learning, ...]:
        """How far it has come with each series."""
        threshold = normal_score(self._bank.sigma)
        first = self._bank.first
        return tuple(
            Learning(
                learner=self.name,
                metric=metric,
                target=target,
                ready=bool(self._ready[n]),
                since=float(first[n]),
                steps=self._steps,
                score=normal_score(min(abs(float(self._off[n])), FURTHEST)),
                threshold=threshold,
                alarm=bool(self._alarm[n]),
            )
            for n, (metric, target) in enumerate(self._series)
        )

    def usual(self, series: Series, t: float) -> tuple[float, float] | None:
        """Mean and spread of a series that it looks at."""
        if series not in self._series:
            return None
        mean, spread = self._bank.usual(t, self._series.index(series))
        return (mean, spread) if spread else None

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, and which series alarm."""
        alarms = [[n, float(self._alarm_since[n])] for n in np.flatnonzero(self._alarm).tolist()]
        recent = [np.flatnonzero(row).tolist() for row in self._beyond]
        record = {"kind": KIND, "version": VERSION, "bank": self._bank.to_dict()}
        return {**record, "alarms": alarms, "recent": recent, "steps": self._steps}

    def load(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what was learnt, if series and settings are the same."""
        saved = Saved(data, KIND, VERSION)
        was = saved.part("bank")
        if not same(was, self._bank.to_dict(), ("metrics", "config")):
            return (f"learner {self.name} learns anew: its series or settings differ now",)
        bank = BaselineBank.from_dict(was)
        alarms = [saved.list_of_numbers(pair, "alarms") for pair in saved.items("alarms")]
        recent = [saved.list_of_numbers(row, "recent", 0.0) for row in saved.items("recent", len(self._beyond))]
        places = [int(pair[0]) for pair in alarms if len(pair) == 2] + [int(n) for row in recent for n in row]
        if any(len(pair) != 2 for pair in alarms) or not all(0 <= n < len(self._series) for n in places):
            raise saved.wrong("an alarm is of no series")
        steps = saved.count("steps")
        self._bank = bank
        self._forget_alarms()
        self._seen[:] = bank.last
        for pair in alarms:
            self._alarm[int(pair[0])], self._alarm_since[int(pair[0])] = True, pair[1]
        for row, found in zip(self._beyond, recent, strict=True):
            row[[int(n) for n in found]] = True
        self._steps = steps
        return ()
