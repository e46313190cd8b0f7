"""What a metric usually is at this time of day: means and spreads by place in the week, kept for days."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from selfheal.detection.daytime import DAY as DAY
from selfheal.detection.daytime import day_time
from selfheal.detection.saved import Saved

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KIND, VERSION = "seasonal_profile", 2
ENOUGH = 3
"""Days on which a time of day was seen before it is trusted."""
WEEKS = 14.0 * DAY
"""After so long, weekdays and weekends are told apart."""
TINY = 1e-300
OLDEST = 200.0
"""Memories after which weights are counted anew, lest they grow beyond what a float holds."""

Number = TypeVar("Number", float, "NDArray[np.float64]")


def merged(mean: Number, var: Number, other: Number, other_var: Number, share: Number) -> tuple[Number, Number]:
    """Mean and variance of two groups of samples as one, of which the other is that share by weight.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """
    off = other - mean
    return mean + share * off, (1.0 - share) * (var + share * off * off) + share * other_var


class SeasonalProfile:
    """Mean and spread of one metric by time of day: the pure core of the seasonal detectors.

    Samples of one cell of half an hour are gathered (Welford) and merged into the past when the next cell begins: into
    the place of their time of day, that of weekdays or that of weekends, and into the whole. Until two weeks are known,
    weekdays and weekends are one. Before a time of day was seen on three days, the whole stands in for it.

    Old samples count less by time, not by number: a new one weighs ``exp(t / memory)``, with ``t`` from when the past
    begins, so that nothing old has to be touched (forward decay).

    It takes finite values only, in order of time; who owns it sees to that.

    Args:
        zone: time zone whose time of day counts.
        buckets: parts of a day.
        memory: seconds after which a sample counts 1/e of what a new one does.
        prior: samples' worth of the spread around all times of day that the spread of one leans on.

    Attributes:
        means: of each place, and of the whole as the last one.
        vars: their variances.
        weights: what was learnt of them, by weight.
        visits: on how many days each place was seen, counted up to three.
        first: wall seconds at which the past begins; ``nan`` before anything was learnt.
        latest: wall seconds up to which it reaches.
        noise: variance around what is usual at the time of day.
        known: whether there is any past; until the first cell is over there is none.

    Source: Cormode and others, "Forward decay: a practical time decay model for streaming systems", 2009.
    """

    __slots__ = (
        "_asked",
        "_count",
        "_day",
        "_days",
        "_end",
        "_expected",
        "_inverse",
        "_m2",
        "_mean",
        "_origin",
        "_place",
        "_start",
        "_times",
        "_told",
        "_unit",
        "first",
        "known",
        "latest",
        "means",
        "memory",
        "noise",
        "noise_weight",
        "prior",
        "vars",
        "visits",
        "weights",
    )

    def __init__(self, zone: str, buckets: int, memory: float, prior: float) -> None:
        self.memory = memory
        self.prior = prior
        self._times = day_time(zone, buckets)
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt."""
        places = 2 * self._times.buckets
        self.means, self.vars, self.weights = (array("d", bytes(8 * (places + 1))) for _ in range(3))
        self.visits, self._days = array("B", bytes(places)), array("i", bytes(4 * places))
        self.noise = self.noise_weight = 0.0
        self.first, self.latest, self._origin = math.nan, 0.0, 0.0
        self._unit = 1.0
        self._place = self._day = 0
        self._start = self._end = 0.0
        self._count = self._mean = self._m2 = 0.0
        self._expected = self._inverse = 0.0
        self.known = False
        self._asked, self._told = -1, (0.0, 0.0)

    @property
    def seasonal(self) -> bool:
        """Whether deviations are from the time of day, and no longer from the whole."""
        return self.noise_weight > 0.0

    def deviation(self, t: float, x: float) -> float:
        """By how many spreads ``x`` is above (below: negative) what is usual at ``t``; 0 before anything is known."""
        if self._start <= t < self._end:
            return (x - self._expected) * self._inverse
        expected, inverse = self._usual(self._times.cell(t)[0])
        return (x - expected) * inverse

    def usual(self, t: float) -> tuple[float, float]:
        """Mean and spread at ``t``; both 0 before anything is known."""
        if self._start <= t < self._end:
            expected, inverse = self._expected, self._inverse
        else:
            expected, inverse = self._usual(self._times.cell(t)[0])
        return expected, 1.0 / inverse if inverse else 0.0

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        """Take a sample, not older than the one before, into the past."""
        if not self._start <= t < self._end:
            self.enter(t)
        self._count = count = self._count + weight
        if count:
            off = x - self._mean
            self._mean = mean = self._mean + off * weight / count
            self._m2 += weight * off * (x - mean)

    def enter(self, t: float) -> None:
        """Begin the cell of ``t``: what was gathered in the one before becomes past."""
        if self.first != self.first:
            self.first = self.latest = self._origin = t
        place, day, start, end = self._times.cell(t)
        usual = self._usual(place)  # mostly known from being asked just before
        if self._count:
            self._merge()
        if not self.noise_weight:  # the whole stands in for all places, and has changed
            usual = self._usual(place)
        self._place, self._day, self._start, self._end = place, day, start, end
        self._expected, self._inverse = usual
        self.known = self._inverse > 0.0

    def is_seen(self, place: int) -> bool:
        """Whether that time of day was seen on three days, of whatever kind."""
        return self.visits[place] + self.visits[place ^ 1] >= ENOUGH

    def level(self, place: int) -> tuple[float, float, float]:
        """Mean, variance and weight of the most special part of the past that is known well enough."""
        means, variances, weights = self.means, self.vars, self.weights
        seen, other = self.visits[place], place ^ 1
        if seen >= ENOUGH and self.latest - self.first > WEEKS:
            return means[place], variances[place], weights[place]
        if seen + self.visits[other] < ENOUGH:
            return means[-1], variances[-1], weights[-1]
        beside = weights[other]
        weight = weights[place] + beside
        return *merged(means[place], variances[place], means[other], variances[other], beside / weight), weight

    def _usual(self, place: int) -> tuple[float, float]:
        """Mean, and one over the spread, that are usual at a place; kept until the next merge."""
        if place == self._asked:
            return self._told
        mean, var, weight = self.level(place)
        if not weight:
            return 0.0, 0.0
        prior = self.prior * self._unit
        if prior > self.noise_weight:
            prior = self.noise_weight
        lean = prior / (weight + prior)
        var = max(var + (self.noise - var) * lean, 0.01 * self.vars[-1], (1e-9 * mean) ** 2, TINY)
        self._asked = place
        self._told = told = mean, 1.0 / math.sqrt(var)
        return told

    def _merge(self) -> None:
        """Make what was gathered in a cell part of the past."""
        place, count, mean = self._place, self._count, self._mean
        var, weight = self._m2 / count, count * self._advance(self._end)
        means, variances, weights = self.means, self.vars, self.weights
        if self.is_seen(place):
            self.noise_weight += weight
            fresh = var + (mean - self._expected) ** 2
            self.noise += (fresh - self.noise) * weight / self.noise_weight
        for at in (-1, place):
            weights[at] = total = weights[at] + weight
            means[at], variances[at] = merged(means[at], variances[at], mean, var, weight / total)
        if self._days[place] != self._day:
            self._days[place] = self._day
            self.visits[place] = min(self.visits[place] + 1, ENOUGH)
        self._count = self._mean = self._m2 = 0.0
        self._asked = -1

    def _advance(self, t: float) -> float:
        """Let the past reach up to ``t``: what a sample of then weighs."""
        age = (t - self._origin) / self.memory
        if age > OLDEST:
            self._shrink(math.exp(-min(age, 2.0 * OLDEST)))
            self._origin, age = t, 0.0
        self.latest = t
        self._unit = unit = math.exp(age)
        return unit

    def _shrink(self, factor: float) -> None:
        """Count all weights anew; what has any keeps some."""
        shrunk = (max(weight * factor, TINY) if weight else 0.0 for weight in (*self.weights, self.noise_weight))
        *weights, self.noise_weight = shrunk
        self.weights = array("d", weights)

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, as JSON data. Settings are not part of it."""
        return {
            "kind": KIND,
            "version": VERSION,
            "first": None if math.isnan(self.first) else self.first,
            "times": [self.latest, self._origin],
            "noise": [self.noise, self.noise_weight],
            "cell": [self._start, self._end, self._count, self._mean, self._m2],
            "usual": [self._expected, self._inverse],
            "place": self._place,
            "day": self._day,
            "visits": self.visits.tolist(),
            "days": self._days.tolist(),
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what :meth:`to_dict` of a profile with the same buckets gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        places = 2 * self._times.buckets
        first = saved.optional("first")
        self.first = math.nan if first is None else first
        self.latest, self._origin = saved.numbers("times", 2)
        age = (self.latest - self._origin) / self.memory
        if not 0.0 <= age <= OLDEST:
            raise saved.wrong("times of its latest and of its oldest sample do not fit")
        self._unit = math.exp(age)
        self.noise, self.noise_weight = saved.numbers("noise", 2, 0.0)
        self._start, self._end, self._count, self._mean, self._m2 = saved.numbers("cell", 5)
        self._expected, self._inverse = saved.numbers("usual", 2)
        self.known = self._inverse > 0.0
        self._place, self._day = int(saved.number("place", 0.0, places - 1)), int(saved.number("day", 0.0, _LAST))
        for name in _ARRAYS:
            low = -math.inf if name == "means" else 0.0
            setattr(self, name, array("d", saved.numbers(name, places + 1, low)))
        self.visits = array("B", (min(int(many), ENOUGH) for many in saved.numbers("visits", places, 0.0)))
        self._days = array("i", (min(int(day), _LAST) for day in saved.numbers("days", places, 0.0)))


_ARRAYS = ("means", "vars", "weights")
_LAST = 4_000_000
"""A date later than any."""
