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

    def row(self, t: float, x: Mapping[str, float]) -> NDArray[np.float64] | None:
        """The row of a sample; ``None`` if no metric of it is known. Changes nothing."""
        timed(t)
        values = [cut(float(x.get(metric, math.nan))) for metric in self.metrics]
        if all(math.isnan(value) for value in values):
            return None
        return np.array(
            [
                0.0 if value != value else _residual(profile, t, value)
                for value, profile in zip(values, self._profiles, strict=True)
            ]
        )

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
        profile = self._profiles[place]
        whole = profile.means[-1]
        return whole + _share(profile) * (profile.usual(t)[0] - whole)

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


def _share(profile: SeasonalProfile) -> float:
    """What part of the variance the time of day explains, by how well it foretold; 0 before that is known."""
    variance = profile.vars[-1]
    return max(0.0, 1.0 - profile.noise / variance) if profile.seasonal and variance else 0.0


def _residual(profile: SeasonalProfile, t: float, value: float) -> float:
    """By how many spreads a value is off."""
    if not profile.known:
        return 0.0
    whole, share = profile.means[-1], _share(profile)
    variance = max(profile.vars[-1], (1e-9 * whole) ** 2, 1e-300)
    off = value - whole
    if share:
        mean, spread = profile.usual(t)
        off -= share * (mean - whole)
        variance = (1.0 - share) * variance + share * (spread * spread + EASING * variance)
    return min(max(off / math.sqrt(variance), -FURTHEST), FURTHEST)
