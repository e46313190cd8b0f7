"""Peak and off-peak: which times of day are the busy ones, told from what was learnt, and the thresholds of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import attrs

from selfheal.detection.seasons import SeasonalProfile

APART = 1.0
"""By how many usual spreads the busy times have to be above the others; less is the same all day."""
FURTHEST = 1e9
WEEKDAYS, WEEKENDS = 5.0, 2.0
"""How many of a week there are."""


@attrs.frozen(kw_only=True)
class Thresholds:
    """What is unusual at a time, in words of the metric.

    Args:
        period: ``"peak"``, or ``"off-peak"``; the latter too where no time of day is busier than others.
        mean: what is usual at this time of day.
        spread: by how much the metric usually varies about it.
        sigma: how many spreads are asked for in this period.
        low: below it a value is unusual.
        high: above it a value is unusual.
        score: of a verdict, above which it is unusual: what ``low`` and ``high`` come to.
    """

    period: str
    mean: float
    spread: float
    sigma: float
    low: float
    high: float
    score: float


def peak_from(profile: SeasonalProfile) -> float:
    """The mean from which on a time of day belongs to the peak; infinite where none is busier than the others.

    The means of all known times of a week are divided into the two groups that differ most (Otsu's method). They are
    peak and off-peak if they are apart by at least the usual spread within a time of day.

    Source: Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    levels = sorted(_levels(profile))
    total, whole = sum(weight for _, weight in levels), sum(mean * weight for mean, weight in levels)
    best, cut, apart, below, under = 0.0, math.inf, 0.0, 0.0, 0.0
    for (mean, weight), (following, _) in pairwise(levels):
        below += weight
        under += mean * weight
        off = (whole - under) / (total - below) - under / below
        between = below * (total - below) * off * off
        if between > best and following > mean:
            best, cut, apart = between, (mean + following) / 2.0, off
    return cut if apart >= APART * math.sqrt(profile.noise) else math.inf


def _levels(profile: SeasonalProfile) -> list[tuple[float, float]]:
    """Means of the times of day that are known, weekdays and weekends apart once they are, and their days a week."""
    places = len(profile.visits)
    return [
        (profile.level(place)[0], WEEKENDS if place % 2 else WEEKDAYS)
        for place in range(places)
        if profile.is_seen(place)
    ]


def reaching(score: Callable[[float], float], wanted: float) -> float:
    """The deviation at which a score that rises with it comes to be more than ``wanted``; infinite if it never does."""
    high = 1.0
    while score(high) <= wanted:
        high *= 2.0
        if high > FURTHEST:
            return math.inf
    low = 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if score(middle) > wanted else (middle, high)
    return high
