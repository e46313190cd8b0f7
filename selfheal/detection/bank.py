"""A thousand baselines at once: what many metrics, sampled together, usually are at this time of day."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.arrays import check_seal, pack, seal, unpack
from selfheal.detection.baseline import PRIOR, BaselineConfig, normal_score
from selfheal.detection.daytime import day_time
from selfheal.detection.intake import GLITCH, LARGEST, timed
from selfheal.detection.seasons import DAY, ENOUGH, OLDEST, TINY, WEEKS, merged
from selfheal.detection.verdict import Reason, Verdict
from selfheal.errors import ConfigError

KIND, VERSION = "baseline_bank", 2
_GRIDS = ("means", "vars", "weights", "visits", "days")
_LINES = ("noise", "noise_weight", "count", "mean", "m2", "expected", "inverse", "far")
_NEVER = -1e300

Array = NDArray[np.float64]


class BaselineBank:
    """Mean and spread by time of day of many metrics that are sampled together.

    Each metric is judged as a :class:`~selfheal.detection.SeasonalBaseline` in mode ``"sigma"`` judges it with
    ``sustain=(1, 1)``, at a fraction of the cost: a tick of a thousand metrics takes tens of microseconds. It raises no
    alarms and calibrates nothing.

    Args:
        metrics: their names, in the order of the values.
        config: ``zone``, ``buckets``, ``memory_days`` and ``sigma`` hold for all.

    Attributes:
        last: time of the latest tick; ``nan`` before the first.
        late: ticks that were not after the latest, and so not learnt.

    Raises:
        ConfigError: if there is no metric, two of one name, or a sigma for each period.

    >>> import numpy as np
    >>> bank = BaselineBank(["cpu", "memory"])
    >>> for n in range(4 * 288):
    ...     _ = bank.update(300.0 * n, np.array([50.0 + n % 3, 70.0 - n % 3]))
    >>> [name for name, verdict in bank.unusual(345_600.0, np.array([51.0, 90.0]))]
    ['memory']
    """

    def __init__(self, metrics: Sequence[str], config: BaselineConfig | None = None) -> None:
        self.metrics = tuple(metrics)
        if not self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise ConfigError("BaselineBank.metrics", list(metrics)[:10], "at least one name, each once")
        self.config = config or BaselineConfig()
        if isinstance(self.config.sigma, tuple):
            raise ConfigError("BaselineBank.config.sigma", self.config.sigma, "one number for all times of day")
        self._sigma = self.config.sigma
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt; settings stay."""
        many, places = len(self.metrics), 2 * self.config.buckets
        self._times = day_time(self.config.zone, self.config.buckets)
        self._memory = self.config.memory_days * DAY
        self.last, self.late = math.nan, 0
        self._means, self._vars, self._weights = (np.zeros((places + 1, many)) for _ in range(3))
        self._visits, self._days = np.zeros((places, many)), np.zeros((places, many))
        self._first = np.full(many, math.nan)
        self._noise, self._noise_weight = np.zeros(many), np.zeros(many)
        self._count, self._mean, self._m2 = np.zeros(many), np.zeros(many), np.zeros(many)
        self._expected, self._inverse, self._far = np.zeros(many), np.zeros(many), np.zeros(many)
        self._place, self._day, self._start, self._end = 0, 0, 0.0, 0.0
        self._origin, self._latest, self._unit = 0.0, 0.0, 1.0

    @property
    def sigma(self) -> float:
        """Spreads beyond which a value is unusual."""
        return self._sigma

    @property
    def first(self) -> Array:
        """Wall seconds at which the past of each metric begins; ``nan`` where nothing is known."""
        return self._first.copy()

    def usual(self, t: float, metric: int) -> tuple[float, float]:
        """Mean and spread that are usual for the metric of this place at ``t``; both 0 before anything is known."""
        mean, inverse = self._usual(self._times.cell(timed(t))[0])
        return float(mean[metric]), float(1.0 / inverse[metric]) if inverse[metric] else 0.0

    def deviations(self, t: float, values: Array) -> Array:
        """By how many spreads each value is off what is usual at ``t``; 0 where it is missing or nothing is known."""
        expected, inverse = self._expected, self._inverse
        if not self._start <= timed(t) < self._end:
            expected, inverse = self._usual(self._times.cell(t)[0])
        off: Array = (np.clip(values, -LARGEST, LARGEST) - expected) * inverse
        off[np.isnan(off)] = 0.0
        return off

    def learn(self, t: float, values: Array) -> None:
        """Take one value of each metric (``nan``: missing) into the past, if the tick is after the latest."""
        self._learn(t, values, self.deviations(t, values))

    def update(self, t: float, values: Array) -> Array:
        """Tell the deviations, then learn."""
        off = self.deviations(t, values)
        self._learn(t, values, off)
        return off

    def unusual(self, t: float, values: Array) -> list[tuple[str, Verdict]]:
        """Those that are more than ``sigma`` spreads off, the furthest first, with verdicts as detectors give them."""
        off = self.deviations(t, values)
        beyond = np.flatnonzero(np.abs(off) > self._sigma)
        expected, _ = self._usual(self._times.cell(t)[0])
        found = []
        for n in sorted(beyond.tolist(), key=lambda n: -abs(off[n])):
            spreads, name = abs(float(off[n])), self.metrics[n]
            why = f"{spreads:.3g} spreads {'above' if off[n] > 0 else 'below'} what is usual at this time of day"
            score = normal_score(spreads) if spreads < 100.0 else math.inf
            found.append((name, Verdict.of(score, (Reason(name, float(values[n]), float(expected[n]), score, why),))))
        return found

    def _learn(self, t: float, values: Array, off: Array) -> None:
        if t <= self.last:
            self.late += 1
            return
        if math.isnan(self.last):
            self._origin = t
        self.last = t
        if not self._start <= t < self._end:
            self._enter(t)
        far = np.where(np.abs(off) > GLITCH, off, 0.0)
        taken = np.isfinite(values) & ((far == 0.0) | (np.sign(far) == np.sign(self._far)))
        self._far = far
        self._count += taken
        step = np.where(taken, np.clip(values, -LARGEST, LARGEST) - self._mean, 0.0)
        rest = step / np.maximum(self._count, 1.0)
        self._mean += rest
        self._m2 += step * (step - rest)

    def _enter(self, t: float) -> None:
        """Begin the cell of ``t``: what was gathered in the one before becomes past."""
        place, day, start, end = self._times.cell(t)
        usual = self._usual(place)
        seen = self._count > 0.0
        if seen.any():
            self._merge(slice(None) if seen.all() else np.flatnonzero(seen))
            seasonal = self._noise_weight > 0.0
            if not seasonal.all():
                mean, inverse = self._usual(place)
                usual = np.where(seasonal, usual[0], mean), np.where(seasonal, usual[1], inverse)
        self._place, self._day, self._start, self._end = place, day, start, end
        self._expected, self._inverse = usual

    def _usual(self, place: int) -> tuple[Array, Array]:
        """Mean, and one over the spread, that are usual at a place: as of one metric, for each."""
        means, variances, weights, other = self._means, self._vars, self._weights, place ^ 1
        apart = (self._visits[place] >= ENOUGH) & (self._latest - self._first > WEEKS)
        known = self._visits[place] + self._visits[other] >= ENOUGH
        both = weights[place] + weights[other]
        share = weights[other] / np.maximum(both, TINY)
        one = merged(means[place], variances[place], means[other], variances[other], share)

        def chosen(special: Array, daily: Array, whole: Array) -> Array:
            found: Array = np.where(apart, special, np.where(known, daily, whole))
            return found

        mean, var = chosen(means[place], one[0], means[-1]), chosen(variances[place], one[1], variances[-1])
        weight = chosen(weights[place], both, weights[-1])
        prior = np.minimum(PRIOR * self._unit, self._noise_weight)
        var += (self._noise - var) * prior / np.maximum(weight + prior, TINY)
        var = np.maximum.reduce([var, 0.01 * variances[-1], (1e-9 * mean) ** 2, np.full_like(var, TINY)])
        return mean, np.where(weight > 0.0, 1.0 / np.sqrt(var), 0.0)

    def _merge(self, seen: slice | NDArray[np.intp]) -> None:
        """Make what was gathered in a cell part of the past of the metrics that were seen in it."""
        place, count, mean = self._place, self._count[seen], self._mean[seen]
        var = self._m2[seen] / count
        self._first[seen] = np.where(np.isnan(self._first[seen]), self._start, self._first[seen])
        weight = count * self._advance(self._end)
        known = self._visits[place, seen] + self._visits[place ^ 1, seen] >= ENOUGH
        self._noise_weight[seen] += np.where(known, weight, 0.0)
        fresh = var + (mean - self._expected[seen]) ** 2 - self._noise[seen]
        self._noise[seen] += np.where(known, fresh * weight / np.maximum(self._noise_weight[seen], TINY), 0.0)
        for row in (-1, place):
            self._weights[row, seen] += weight
            share = weight / self._weights[row, seen]
            past = self._means[row, seen], self._vars[row, seen]
            self._means[row, seen], self._vars[row, seen] = merged(*past, mean, var, share)
        self._visits[place, seen] += self._days[place, seen] != self._day
        self._days[place, seen] = self._day
        self._count[:] = self._mean[:] = self._m2[:] = 0.0

    def _advance(self, t: float) -> float:
        """Let the past reach up to ``t``: what a sample of then weighs."""
        age = (t - self._origin) / self._memory
        if age > OLDEST:
            factor = math.exp(-min(age, 2.0 * OLDEST))
            for of in (self._weights, self._noise_weight):
                of[:] = np.where(of > 0.0, np.maximum(of * factor, TINY), 0.0)
            self._origin, age = t, 0.0
        self._latest, self._unit = t, math.exp(age)
        return self._unit

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt, as JSON data with a checksum."""
        config = {**attrs.asdict(self.config), "sustain": list(self.config.sustain)}
        return seal(
            {
                "kind": KIND,
                "version": VERSION,
                "metrics": list(self.metrics),
                "config": config,
                "last": None if math.isnan(self.last) else self.last,
                "late": self.late,
                "past": [self._origin, self._latest, self._unit],
                "cell": [float(self._place), float(self._day), self._start, self._end],
                "first": pack(np.nan_to_num(self._first, nan=_NEVER)),
                **{name: pack(getattr(self, f"_{name}")) for name in (*_GRIDS, *_LINES)},
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = check_seal(data, KIND, VERSION)
        metrics = saved.items("metrics")
        if not all(isinstance(name, str) for name in metrics):
            raise saved.wrong("a metric is no text")
        try:
            made = cls(metrics, saved.settings("config", BaselineConfig))
        except ConfigError as error:
            raise saved.wrong(str(error)) from error
        for name, dimensions in [*((name, 2) for name in _GRIDS), *((name, 1) for name in (*_LINES, "first"))]:
            array = unpack(saved, name, "<f8", dimensions)
            if array.shape != getattr(made, f"_{name}").shape or not np.isfinite(array).all():
                raise saved.wrong(f"{name} is of another shape, or not finite")
            setattr(made, f"_{name}", array)
        made._first = np.where(made._first == _NEVER, math.nan, made._first)
        made._origin, made._latest, made._unit = saved.numbers("past", 3)
        made._resume(saved.optional("last"), saved.count("late"), saved.numbers("cell", 4))
        return made

    def _resume(self, last: float | None, late: int, cell: list[float]) -> None:
        """Go on in the cell of time in which it was saved."""
        self.last, self.late = math.nan if last is None else last, late
        self._place, self._day = min(max(int(cell[0]), 0), 2 * self.config.buckets - 1), int(cell[1])
        self._start, self._end = cell[2:]
