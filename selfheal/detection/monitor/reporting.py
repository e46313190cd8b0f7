"""What a report says, as data."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selfheal.detection.history import History, Point
from selfheal.detection.monitor.curves import Usual
from selfheal.detection.monitor.learners import Learning
from selfheal.detection.monitor.signals import Series
from selfheal.detection.monitor.snapshots import MonitorSnapshot, as_section, shown
from selfheal.detection.monitor.telling import Past, Told, moment
from selfheal.redaction import scrub_all

DAY = 86_400.0
STALE = 3.0
"""Steps without a value after which a series is silent."""


@attrs.frozen(kw_only=True)
class Coverage:
    """How complete the past of a series is.

    Args:
        metric: of the series.
        target: of the series.
        first: wall seconds of its first step.
        last: wall seconds at which its last step began.
        day: share of the steps of the last day (or since the first one) that have values; 0 to 1.
        kept: likewise of all that is kept.
        silent: whether nothing has come for several steps.
    """

    metric: str
    target: str
    first: float
    last: float
    day: float
    kept: float
    silent: bool


@attrs.frozen(kw_only=True)
class Measured:
    """What the series of an incident is now.

    Args:
        series: metric and target.
        value: the mean of its latest step and of what has come since; ``nan`` without one.
        mean: what is usual now; ``nan`` where that is not known.
        spread: by how much it varies as usual.
    """

    series: Series
    value: float = math.nan
    mean: float = math.nan
    spread: float = math.nan


@attrs.frozen(kw_only=True)
class Report:
    """Everything a person has to know.

    Args:
        made: wall seconds.
        zone: in which times are shown.
        snapshot: the monitor.
        measured: fingerprint of an open incident to what its series is now.
        coverage: of all series.
        plots: fingerprint to the name of its plot.
        held_for: seconds of quiet that end a flapping incident.
    """

    made: float
    zone: str
    snapshot: MonitorSnapshot
    measured: Mapping[str, Measured]
    coverage: tuple[Coverage, ...]
    plots: Mapping[str, str] = attrs.field(factory=dict)
    held_for: float = 0.0

    @property
    def wrong(self) -> tuple[Told, ...]:
        """What is open and not silenced, the worst first and of those the oldest."""
        return worst_first(told for told in self.snapshot.open if not told.silenced)

    @property
    def recent(self) -> tuple[Past, ...]:
        """What was over in the last day, the latest first."""
        return tuple(past for past in reversed(self.snapshot.past) if past.cleared >= self.made - DAY)

    @property
    def learning(self) -> tuple[Learning, ...]:
        """Those that are not ready."""
        return tuple(state for state in self.snapshot.learning if not state.ready)

    def as_dict(self) -> dict[str, Any]:
        """As JSON data, keys in camelCase; what looks like a secret is not in it."""
        data = {
            "version": 1,
            "made": moment(self.made),
            "zone": self.zone,
            **as_section(self.snapshot),
            "openAlerts": [self._told(told) for told in worst_first(self.snapshot.open)],
            "recentAlerts": [
                {**shown(past.told), "cleared": moment(past.cleared), "why": past.why} for past in self.recent
            ],
            "learning": [_learning(state) for state in self.learning],
            "coverage": [_coverage(one) for one in self.coverage],
        }
        return {key: scrub_all(value) for key, value in data.items()}

    def _told(self, told: Told) -> dict[str, Any]:
        incident = told.incident
        return {
            **shown(told),
            "value": number(incident.signal.value),
            "saidBy": incident.signal.source,
            "evidence": dict(incident.signal.evidence),
            "alsoSeen": [{"by": one.source, "message": one.message} for one in incident.beside],
            "measured": _measured(self.measured.get(incident.fingerprint)),
            "plot": self.plots.get(incident.fingerprint),
        }


def worst_first(told: Any) -> tuple[Told, ...]:
    """The worst first, and of those the oldest."""
    ranks = {"critical": 0, "warning": 1, "info": 2}
    return tuple(sorted(told, key=lambda one: (ranks[one.incident.severity.value], one.incident.since)))


def number(value: float) -> float | None:
    """A number that JSON has."""
    return value if math.isfinite(value) else None


def _measured(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    metric, target = measured.series
    known = {"value": measured.value, "usual": measured.mean, "spread": measured.spread}
    return {"metric": metric, "target": target, **{key: number(value) for key, value in known.items()}}


def _learning(state: Learning) -> dict[str, Any]:
    since = None if math.isnan(state.since) else moment(state.since)
    return {
        "learner": state.learner,
        "metric": state.metric,
        "target": state.target,
        "since": since,
        "steps": state.steps,
    }


def _coverage(one: Coverage) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "target": one.target,
        "first": moment(one.first),
        "last": moment(one.last),
        "lastDay": round(one.day, 4),
        "kept": round(one.kept, 4),
        "silent": one.silent,
    }


def coverage_of(history: History, t: float) -> tuple[Coverage, ...]:
    """How complete the past of every series is at ``t``, the least complete first."""
    step, found = history.config.step, []
    now = int(t // step)
    for metric, target in history:
        numbers = history.numbers(metric, target)
        if not numbers:
            continue
        first, last, over = numbers[0], numbers[-1], bisect_left(numbers, now)
        begin = max(first, now - int(DAY // step))
        found.append(
            Coverage(
                metric=metric,
                target=target,
                first=first * step,
                last=last * step,
                day=(over - bisect_left(numbers, begin)) / (now - begin) if now > begin else 1.0,
                kept=over / (now - first) if now > first else 1.0,
                silent=now - last > STALE,
            )
        )
    return tuple(sorted(found, key=lambda one: (not one.silent, one.day, one.metric, one.target)))


def measure(told: Told, history: History, usual: Usual, t: float) -> Measured | None:
    """What the series of an incident is now, for the first of them that has a past."""
    signal = told.incident.signal
    own, most = (signal.metric, signal.target), signal.evidence.get("contributed_1", "").partition(": ")[0]
    for series in sorted(signal.covers, key=lambda series: (series != own, series[0] != most, series)):
        points = history.points(*series)
        if points:
            told_then = signal.expected if series[0] == most else math.nan
            mean, spread = usual(series, points[-1].number) or (told_then, math.nan)
            return Measured(series=series, value=_now(points, history.config.step, t), mean=mean, spread=spread)
    return None


def _now(points: Sequence[Point], step: float, t: float) -> float:
    """The mean of the latest step that is over and of what has come since; a step that just began says little."""
    latest = points[-1]
    if t - latest.number * step > STALE * step:
        return math.nan
    before = points[-2] if len(points) > 1 else latest
    if before.number != latest.number - 1 or (latest.number + 1) * step <= t:
        return latest.mean
    share = latest.n / (latest.n + before.n)
    return share * latest.mean + (1.0 - share) * before.mean
