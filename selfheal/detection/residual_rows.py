"""Samples of several metrics as rows of numbers on one scale: how far each is from what is usual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.daytime import day_time
from selfheal.detection.intake import LARGEST, Intake, cut, timed
from selfheal.detection.saved import Saved
from selfheal.detection.seasons import DAY, SeasonalProfile

KIND, VERSION = "residual_rows", 1
FURTHEST = 15.0
"""Spreads to which a residual is cut: beyond, further off is not more unusual, and must not outweigh all others."""
BUCKETS = 48
MEMORY = 8.0 * DAY
PRIOR = 5.0
EASING = 0.1
"""Part of the variance of the whole added to what the time of day leaves, lest a still metric makes much of trifles."""


class ResidualRows:
    """Turns samples into rows, and learns what is usual for each metric by time of day.

    A row has one number for each metric: by how many spreads it is off, cut to ±15. What is usual leans from the mean
    of the whole to that of this time of day by the share of the variance that the time of day explains, so that a
    metric without a daily rhythm is not compared with what single hours happened to bring. A metric that is missing, or
    not known yet, is as usual: 0.

    Args:
        metrics: their names, in the order of the row.
        zone: time zone whose time of day counts.
    """

    def __init__(self, metrics: tuple[str, ...], zone: str) -> None:
        self.metrics = metrics
        self.zone = zone
        self.last = math.nan
        self.step = 0.0
        self._profiles = [SeasonalProfile(zone, BUCKETS, MEMORY, PRIOR) for _ in metrics]
        self._intakes = [Intake() for _ in metrics]
        self._times = day_time(zone, BUCKETS)
        self._start = self._end = 0.0
        self._expected, self._inverse = np.zeros(len(metrics)), np.zeros(len(metrics))

    def row(self, t: float, x: Mapping[str, float]) -> NDArray[np.float64] | None:
        """The row of a sample; ``None`` if no metric of it is known. Changes nothing."""
        timed(t)
        row = np.array([x.get(metric, math.nan) for metric in self.metrics], dtype=float)
        missing = np.isnan(row)
        if missing.all():
            return None
        if not self._start <= t < self._end:
            self._enter(t)
        np.minimum(np.maximum(row, -LARGEST, out=row), LARGEST, out=row)
        row -= self._expected
        row *= self._inverse
        np.minimum(np.maximum(row, -FURTHEST, out=row), FURTHEST, out=row)
        row[missing] = 0.0
        return row

    def _enter(self, t: float) -> None:
        """Find what is usual in the cell of ``t``: it stays so until the cell is over, or something becomes past."""
        _, _, self._start, self._end = self._times.cell(t)
        for place in range(len(self._profiles)):
            self._expected[place], self._inverse[place] = self._usual(t, place)

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
                latest = profile.latest
                profile.learn(t, cut(value), weight)
                if profile.latest != latest:
                    self._end = self._start

    def usual(self, t: float, place: int) -> float:
        """What the metric at that place usually is at ``t``."""
        return self._usual(t, place)[0]

    def _usual(self, t: float, place: int) -> tuple[float, float]:
        """Mean, and one over the spread, that are usual for a metric at ``t``; both 0 before anything is known."""
        profile = self._profiles[place]
        if not profile.known:
            return 0.0, 0.0
        mean, variance = profile.means[-1], max(profile.vars[-1], (1e-9 * profile.means[-1]) ** 2, 1e-300)
        share = self._share(place, variance)
        if share:
            timely, spread = profile.usual(t)
            mean += share * (timely - mean)
            variance = (1.0 - share) * variance + share * (spread * spread + EASING * variance)
        return mean, 1.0 / math.sqrt(variance)

    def _share(self, place: int, variance: float) -> float:
        """How much of the variance of a metric its time of day explains."""
        profile = self._profiles[place]
        return max(0.0, 1.0 - profile.noise / variance) if profile.seasonal else 0.0

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
        self._end = self._start
