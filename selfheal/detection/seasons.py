"""What a metric usually is at this time of day: means and spreads by bucket of local time, kept for days."""

from __future__ import annotations

import datetime
import math
from array import array
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from selfheal.detection.saved import Saved

KIND, VERSION = "seasonal_profile", 1
DAY = 86_400.0
CELL = 900
"""Seconds of a visit. A zone changes its offset only at a multiple of this, so that a cell lies in one bucket."""
WEEKDAY, WEEKEND = 1, 2
ENOUGH = 3
"""Days on which a bucket was seen before it is trusted."""
TINY = 1e-300


class SeasonalProfile:
    """Mean and spread of one metric by time of day: the pure core of the seasonal detectors.

    Samples of one cell of 15 minutes are gathered (Welford) and merged into the past when the next cell begins: into
    the bucket of the time of day, into that of the kind of day (once two weeks are known), and into the whole. Old
    samples count less by time, not by number. Before a bucket was seen on three days, the whole stands in for it.

    It takes finite values only, in order of time; who owns it sees to that.
    """

    __slots__ = (
        "_cell_end",
        "_cell_start",
        "_count",
        "_expected",
        "_inverse",
        "_m2",
        "_mean",
        "_places",
        "buckets",
        "first",
        "folds",
        "last_days",
        "means",
        "memory",
        "noise",
        "noise_weight",
        "prior",
        "vars",
        "visits",
        "weights",
        "whole_memory",
        "zone",
    )

    def __init__(self, zone: str, buckets: int, memory: float, whole_memory: float, prior: float) -> None:
        self.zone = ZoneInfo(zone)
        self.buckets = buckets
        self.memory = memory
        self.whole_memory = whole_memory
        self.prior = prior
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt."""
        size = 3 * self.buckets + 1
        self.means, self.vars, self.weights, self.folds, self.visits, self.last_days = (
            array("d", bytes(8 * size)) for _ in range(6)
        )
        self.noise = self.noise_weight = 0.0
        self.first = math.nan
        self._cell_start = self._cell_end = 0.0
        self._places = (0, 0, 0)
        self._count = self._mean = self._m2 = 0.0
        self._expected = self._inverse = 0.0

    @property
    def seasonal(self) -> bool:
        """Whether deviations are from the time of day, and no longer from the whole."""
        return self.noise_weight > 0.0

    def deviation(self, t: float, x: float) -> float:
        """By how many spreads ``x`` is above (below: negative) what is usual at ``t``; 0 before anything is known."""
        if self._cell_start <= t < self._cell_end:
            return (x - self._expected) * self._inverse
        expected, inverse = self._usual(*self.place(t)[:3])
        return (x - expected) * inverse

    def usual(self, t: float) -> tuple[float, float]:
        """Mean and spread at ``t``; both 0 before anything is known."""
        if self._cell_start <= t < self._cell_end:
            expected, inverse = self._expected, self._inverse
        else:
            expected, inverse = self._usual(*self.place(t)[:3])
        return expected, 1.0 / inverse if inverse else 0.0

    @property
    def known(self) -> bool:
        """Whether there is any past; until the first cell is over there is none."""
        return self._inverse > 0.0

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        """Take a sample, not older than the one before, into the past."""
        if not self._cell_start <= t < self._cell_end:
            self.enter(t)
        self._count = count = self._count + weight
        if count:
            off = x - self._mean
            self._mean = mean = self._mean + off * weight / count
            self._m2 += weight * off * (x - mean)

    def enter(self, t: float) -> None:
        """Begin the cell of ``t``: what was gathered in the one before becomes past."""
        if self.first != self.first:
            self.first = t
        if self._count:
            self._merge()
        bucket, kind, whole, day, start = self.place(t)
        self._places = (bucket, kind, day)
        self._cell_start, self._cell_end = start, start + CELL
        self._expected, self._inverse = self._usual(bucket, kind, whole)

    def place(self, t: float) -> tuple[int, int, int, int, float]:
        """Of a time: its bucket, that of the kind of day, the whole, the number of the day, the start of its cell."""
        local = datetime.datetime.fromtimestamp(t, self.zone)
        bucket = (local.hour * 3600 + local.minute * 60 + local.second) * self.buckets // 86_400
        kind = WEEKEND if local.weekday() > 4 else WEEKDAY
        return bucket, kind * self.buckets + bucket, 3 * self.buckets, local.toordinal(), t - t % CELL

    def _usual(self, bucket: int, kind: int, whole: int) -> tuple[float, float]:
        """Mean, and one over the spread, of the most special place that is known well enough."""
        if not self.weights[whole]:
            return 0.0, 0.0
        spread = self.vars[whole]
        place = whole
        if self.visits[bucket] >= ENOUGH:
            place = bucket
            if self.visits[kind] >= ENOUGH and self.folds[whole] - self.first > 14 * DAY:
                place = kind
        mean, weight = self.means[place], self.weights[place]
        prior = min(self.prior, self.noise_weight)
        var = (weight * self.vars[place] + prior * self.noise) / (weight + prior)
        var = max(var, 0.01 * spread, (1e-9 * mean) ** 2, TINY)
        return mean, 1.0 / math.sqrt(var)

    def _merge(self) -> None:
        """Make what was gathered in a cell part of the past."""
        bucket, kind, day = self._places
        whole = 3 * self.buckets
        at = self._cell_end
        count, mean = self._count, self._mean
        if self.visits[bucket] >= ENOUGH:
            kept = self.noise_weight * math.exp((self.folds[whole] - at) / self.memory)
            self.noise_weight = kept + count
            fresh = self._m2 / count + (mean - self._expected) ** 2
            self.noise += (fresh - self.noise) * count / self.noise_weight
        self._fold(whole, self.whole_memory, at, day)
        self._fold(bucket, self.memory, at, day)
        self._fold(kind, self.memory, at, day)
        self._count = self._mean = self._m2 = 0.0

    def _fold(self, place: int, memory: float, at: float, day: int) -> None:
        """Merge the cell into one place (Chan, Golub and LeVeque), what is older weighing less."""
        kept = self.weights[place] * math.exp((self.folds[place] - at) / memory) if self.weights[place] else 0.0
        count = self._count
        weight = kept + count
        off = self._mean - self.means[place]
        self.means[place] += off * count / weight
        self.vars[place] = (kept * self.vars[place] + self._m2 + off * off * kept * count / weight) / weight
        self.weights[place] = weight
        self.folds[place] = at
        if self.last_days[place] != day:
            self.last_days[place] = day
            self.visits[place] += 1.0

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, as JSON data. Settings are not part of it."""
        return {
            "kind": KIND,
            "version": VERSION,
            "first": None if math.isnan(self.first) else self.first,
            "noise": [self.noise, self.noise_weight],
            "cell": [self._cell_start, self._cell_end, self._count, self._mean, self._m2],
            "usual": [self._expected, self._inverse],
            "places": list(self._places),
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what :meth:`to_dict` of a profile with the same buckets gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        size = 3 * self.buckets + 1
        first = saved.optional("first")
        self.first = math.nan if first is None else first
        self.noise, self.noise_weight = saved.numbers("noise", 2, 0.0)
        self._cell_start, self._cell_end, self._count, self._mean, self._m2 = saved.numbers("cell", 5)
        self._expected, self._inverse = saved.numbers("usual", 2)
        bucket, kind, day = (int(place) for place in saved.numbers("places", 3, 0.0))
        if not (bucket < size and kind < size):
            raise saved.wrong("places are none of the buckets")
        self._places = (bucket, kind, day)
        for name in _ARRAYS:
            low = -math.inf if name in {"means", "folds"} else 0.0
            setattr(self, name, array("d", saved.numbers(name, size, low)))


_ARRAYS = ("means", "vars", "weights", "folds", "visits", "last_days")
