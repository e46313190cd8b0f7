"""What a plot shows."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from selfheal.detection.history import History
from selfheal.detection.monitor.incidents import Incident
from selfheal.detection.monitor.signals import Series

HOUR = 3600.0
SHOWN = 24 * HOUR
"""Seconds of the past that are shown, at most."""
BEFORE = 6 * HOUR
"""Seconds before an incident that are shown, at least where they are known."""


@attrs.frozen(kw_only=True)
class Curve:
    """The recent past of a series, beside what was usual.

    Args:
        title: what it is about.
        metric: on the axis.
        target: what it was measured on.
        zone: in which times are shown.
        times: wall seconds at which each step began.
        values: the mean of each step.
        lows: the lowest value of each step.
        highs: the highest value of each step.
        usual: mean and spread that are usual at each step; ``None`` where that is not known.
        since: wall seconds at which the incident began.
    """

    title: str
    metric: str
    target: str = ""
    zone: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    usual: tuple[tuple[float, float] | None, ...]
    since: float


Usual = Callable[[Series, int], tuple[float, float] | None]
"""Mean and spread that were usual for a series in the step of a number."""
Plot = Callable[[Curve], bytes]
"""Draws a curve; the content of a PNG file."""


def curve_of(incident: Incident, series: Series, history: History, usual: Usual, t: float, zone: str) -> Curve | None:
    """The curve of a series for an incident; ``None`` while there is nothing to be seen."""
    step = history.config.step
    begin = min(t - SHOWN, incident.since - BEFORE)
    points = [point for point in history.points(*series) if point.number * step >= begin][-2000:]
    if len(points) < 2:
        return None
    times = tuple(point.number * step for point in points)
    return Curve(
        title=incident.signal.title,
        metric=series[0],
        target=series[1],
        zone=zone,
        times=times,
        values=tuple(point.mean for point in points),
        lows=tuple(point.low for point in points),
        highs=tuple(point.high for point in points),
        usual=tuple(usual(series, point.number) for point in points),
        since=incident.since,
    )
