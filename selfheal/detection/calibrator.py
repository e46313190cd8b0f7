"""How rare a deviation is: a running tail probability, kept in a small sketch."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any, Self

from selfheal.detection.saved import Saved

KIND, VERSION = "tail_calibrator", 1
LOWEST = 0.01
"""Deviations below this are all the same: none."""
RATIO = 1.02
"""A cell of the sketch reaches from a deviation to one 2 % larger."""
CELLS = 700
"""They reach to the highest deviation that is told apart."""
HIGHEST = 10_000.0
_PER_LOG = 1.0 / math.log(RATIO)
_SHIFT = 1.0 - math.log(LOWEST) * _PER_LOG
_LOG_10 = math.log(10.0)
_UPPER = 0.05
_SHORTEST = 0.05
"""The least deviation over which the probability falls by a factor of e, beyond the largest one learnt."""
MEMORY_DAYS = 30.0
FOR_LITTLE = 90
"""Days of ageing for what was measured in another way than from now on."""
_HEAVIEST = 1e9
_FORGOTTEN = 0.05
"""The largest deviation is forgotten when no more than this is left of its weight."""


class TailCalibrator:
    """Learns how large deviations usually are, and scores one by how rarely such a one, or a larger, was seen.

    The probability is that of the learnt deviations, in cells of 2 %, with one more counted so that nothing is
    impossible. Beyond the largest one learnt it falls exponentially, at the rate at which the upper twentieth of the
    learnt ones falls. Memory is constant: 700 cells.

    Args:
        least: deviations to learn before anything is scored.

    >>> calibrator = TailCalibrator()
    >>> for n in range(1, 1000):
    ...     calibrator.learn(n / 1000)
    >>> round(calibrator.score(0.9), 1), round(calibrator.score(0.1), 1)
    (1.0, 0.0)
    """

    __slots__ = ("_asked", "_asked_cell", "_fall", "_stale", "_sums", "_tail_from", "_top", "_unit", "least", "total")

    def __init__(self, least: int = 50) -> None:
        self.least = least
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt."""
        self.total = 0.0
        self._sums = array("d", bytes(8 * (CELLS + 1)))  # a Fenwick tree over the cells, largest deviation first
        self._top = 0.0
        self._fall = 0.0
        self._stale = 0.0
        self._unit = 1.0
        self._asked, self._asked_cell = -1.0, 0  # what is learnt was most often asked about just before

    @property
    def ready(self) -> bool:
        """Whether enough was learnt to score."""
        return self.total >= self.least * self._unit

    def score(self, deviation: float) -> float:
        """Minus log10 of the probability of a deviation (not negative) at least as large; 0 before it is ready."""
        total = self.total
        if total < self.least * self._unit or deviation < LOWEST:
            return 0.0
        unit = self._unit
        if deviation > HIGHEST:
            deviation = HIGHEST
        if deviation > self._top:
            return math.log10(total / unit + 1.0) + (deviation - self._top) * self._fall
        at = CELLS - int(math.log(deviation) * _PER_LOG + _SHIFT)
        self._asked, self._asked_cell = deviation, at
        sums, count = self._sums, 0.0
        while at:
            count += sums[at]
            at &= at - 1
        if count >= total:
            return 0.0
        return math.log10((total + unit) / (count + unit))

    def learn(self, deviation: float, weight: float = 1.0) -> None:
        """Take a deviation (not negative, finite) into the past, with a weight from 0 to 1."""
        if not weight:
            return
        weight *= self._unit
        self.total += weight
        if deviation == self._asked:
            at = self._asked_cell
        elif deviation > LOWEST:
            if deviation > HIGHEST:
                deviation = HIGHEST
            at = CELLS - int(math.log(deviation) * _PER_LOG + _SHIFT)
        else:
            at, deviation = CELLS, 0.0
        sums = self._sums
        while at <= CELLS:
            sums[at] += weight
            at += at & -at
        if self.total > self._stale or deviation > self._top:
            self._fit(max(deviation, self._top))

    def age(self, days: int) -> None:
        """Let all that was learnt count less from now on: after 30 days 1/e."""
        self._unit *= math.exp(min(days, 100) / MEMORY_DAYS)
        if self._unit > _HEAVIEST:
            self._sums = array("d", (value / self._unit for value in self._sums))
            self.total /= self._unit
            self._unit = 1.0
        while self._top > LOWEST and self._above(self._top) < _FORGOTTEN * self._unit:
            self._top = max(LOWEST, self._top / RATIO)
        self._fit(self._top)

    def _above(self, deviation: float) -> float:
        """Weight learnt in the cell of a deviation and above it."""
        at = CELLS - int(math.log(deviation) * _PER_LOG + _SHIFT)
        count = 0.0
        while at:
            count += self._sums[at]
            at &= at - 1
        return count

    def _fit(self, top: float) -> None:
        """Find by how much the score grows beyond the largest deviation learnt, for each unit of deviation."""
        self._top = top
        self._stale = 1.1 * self.total
        upper, count = self._quantile(_UPPER * self.total)
        scale = (top - upper) / math.log(max(count / self._unit, 2.0))
        self._fall = 1.0 / (_LOG_10 * max(scale, _SHORTEST))

    def _quantile(self, weight: float) -> tuple[float, float]:
        """The deviation that learnt ones of that weight exceed, and their weight."""
        at, count, step = 0, 0.0, 512
        while step:
            if at + step <= CELLS and count + self._sums[at + step] < weight:
                at += step
                count += self._sums[at]
            step >>= 1
        return LOWEST * RATIO ** (CELLS - at - 1), max(count, self._unit)

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, as JSON data."""
        cells = [[at, value] for at, value in enumerate(self._sums) if value]
        return {
            "kind": KIND,
            "version": VERSION,
            "least": self.least,
            "total": self.total,
            "unit": self._unit,
            "top": self._top,
            "fall": self._fall,
            "stale": self._stale,
            "cells": cells,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls(saved.count("least"))
        made.total = saved.number("total", 0.0)
        made._unit = saved.number("unit", 1.0, _HEAVIEST)
        made._top = saved.number("top", 0.0, HIGHEST)
        made._fall = saved.number("fall", 0.0)
        made._stale = saved.number("stale", 0.0)
        pairs = [saved.list_of_numbers(pair, "cells", 0.0) for pair in saved.items("cells")]
        for pair in pairs:
            if len(pair) != 2 or not 1 <= pair[0] <= CELLS:
                raise saved.wrong(f"cells has {pair}, not the number of a cell and its weight")
            made._sums[int(pair[0])] = pair[1]
        return made
