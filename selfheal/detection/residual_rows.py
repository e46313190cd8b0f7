"""Samples of several metrics as rows of numbers on one scale: how far each is from what is usual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.intake import Intake, cut, timed
from selfheal.detection.saved import Saved
from selfheal.detection.seasons import DAY, SeasonalProfile

KIND, VERSION = "residual_rows", 1
FURTHEST = 10.0
"""Spreads to which a residual is cut: beyond, further off is not more unusual, and must not outweigh all others."""
BUCKETS = 48
MEMORY = 8.0 * DAY
PRIOR = 5.0
EASING = 0.1
"""Part of the variance of the whole added to that of a time of day, lest a still hour makes much of trifles."""


class ResidualRows:
    """Turns samples into rows, and learns what is usual for each metric by time of day.

    A row has two numbers for each metric, first all of one, then all of the other: spreads from the mean of the whole,
    and spreads from the mean of this time of day. Both are cut to ±10. A metric that is missing, or not known yet, is
    as usual: 0.

    Args:
        metrics: their names, in the order of the row.
        zone: time zone whose time of day counts.
    """

    def __init__(self, metrics: tuple[str, ...], zone: str) -> None:
        self.metrics = metrics
        self.zone = zone
        self.last = math.nan
        self.step = 0.0
        self._profiles = [SeasonalProfile(zone, BUCKETS, MEMORY, MEMORY, PRIOR) for _ in metrics]
        self._intakes = [Intake() for _ in metrics]

    def row(self, t: float, x: Mapping[str, float]) -> NDArray[np.float64] | None:
        """The row of a sample; ``None`` if no metric of it is known. Changes nothing."""
        timed(t)
        values = [cut(float(x.get(metric, math.nan))) for metric in self.metrics]
        if all(math.isnan(value) for value in values):
            return None
        whole, timely = [], []
        for value, profile in zip(values, self._profiles, strict=True):
            by_whole, by_time = (0.0, 0.0) if value != value else _residuals(profile, t, value)
            whole.append(by_whole)
            timely.append(by_time)
        return np.array(whole + timely)

    def is_next(self, t: float) -> bool:
        """Whether a sample of this time is newer than all before."""
        return not t <= self.last

    def after_gap(self, t: float) -> bool:
        """Whether nothing came for so long that what went before says nothing about ``t``."""
        return any(intake.after_gap(t) for intake in self._intakes)

    def learn(self, t: float, x: Mapping[str, float], weight: float) -> None:
        """Take a sample, newer than those before, into what is usual."""
        self.last = t
        for metric, profile, intake in zip(self.metrics, self._profiles, self._intakes, strict=True):
            value = float(x.get(metric, math.nan))
            if intake.takes(t, value, 0.0 if value != value else profile.deviation(t, cut(value))):
                profile.learn(t, cut(value), weight)

    def usual(self, t: float, place: int) -> float:
        """What the metric at that place usually is at ``t``."""
        return self._profiles[place].usual(t)[0]

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "last": None if math.isnan(self.last) else self.last,
            "profiles": [profile.to_dict() for profile in self._profiles],
            "intakes": [intake.to_dict() for intake in self._intakes],
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        last = saved.optional("last")
        self.last = math.nan if last is None else last
        profiles, intakes = data.get("profiles"), data.get("intakes")
        for name, parts in (("profiles", profiles), ("intakes", intakes)):
            if not isinstance(parts, list) or len(parts) != len(self.metrics):
                raise saved.wrong(f"{name} is not a list of {len(self.metrics)} records")
        for profile, part in zip(self._profiles, profiles or (), strict=True):
            profile.load(part)
        self._intakes = [Intake.from_dict(part) for part in intakes or ()]


def _residuals(profile: SeasonalProfile, t: float, value: float) -> tuple[float, float]:
    """How far a value is from the whole, and from this time of day."""
    if not profile.known:
        return 0.0, 0.0
    mean, spread = profile.usual(t)
    variance = max(profile.vars[-1], (1e-9 * profile.means[-1]) ** 2, 1e-300)
    by_whole = (value - profile.means[-1]) / math.sqrt(variance)
    by_time = (value - mean) / math.sqrt(spread * spread + EASING * variance)
    return min(max(by_whole, -FURTHEST), FURTHEST), min(max(by_time, -FURTHEST), FURTHEST)
