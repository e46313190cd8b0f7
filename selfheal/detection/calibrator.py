"""How rare a deviation is: a running tail probability, kept in a small sketch."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Self

from selfheal.detection.saved import Saved

KIND, VERSION = "tail_calibrator", 2
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
_ROUNDING = 1.0 + 1e-9
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
    learnt ones falls. Memory is bounded: 700 cells.

    Args:
        least: deviations to learn before anything is scored.
        floor: scores that are not above it make no difference to who asks.

    Attributes:
        total: weight of all that was learnt. It does not shrink with age: what is learnt later weighs more.
        quiet: a deviation below this scores no more than ``floor``: there is no need to ask.

    >>> calibrator = TailCalibrator()
    >>> for n in range(1, 1000):
    ...     calibrator.learn(n / 1000)
    >>> round(calibrator.score(0.9), 1), round(calibrator.score(0.1), 1)
    (1.0, 0.0)
    """

    __slots__ = (
        "_cells",
        "_fall",
        "_stale",
        "_top",
        "_unit",
        "floor",
        "least",
        "quiet",
        "total",
    )

    def __init__(self, least: int = 50, floor: float = 0.0) -> None:
        self.least = least
        self.floor = floor
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt."""
        self.total = 0.0
        self.quiet = LOWEST
        self._cells = array("d", (0.0,))  # as far up as anything was learnt
        self._top = 0.0
        self._fall = 0.0
        self._stale = 0.0
        self._unit = 1.0

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
        count = sum(self._cells[_cell(deviation) :])
        return math.log10((total + unit) / (count + unit)) if count < total else 0.0

    def learn(self, deviation: float, weight: float = 1.0) -> None:
        """Take a deviation (not negative, finite) into the past, with a weight from 0 to 1."""
        if not weight:
            return
        if deviation > self._top:
            deviation = self._reach(deviation)
        weight *= self._unit
        self.total += weight
        # a cell as of _cell(), without a call, as this is done several times for each sample
        self._cells[int(math.log(deviation) * _PER_LOG + _SHIFT) if deviation >= LOWEST else 0] += weight
        if self.total > self._stale:
            self._fit()

    def age(self, days: int) -> None:
        """Let all that was learnt count less from now on: after 30 days 1/e."""
        self._unit *= math.exp(min(days, 100) / MEMORY_DAYS)
        if self._unit > _HEAVIEST:
            self._cells = array("d", (value / self._unit for value in self._cells))
            self.total /= self._unit
            self._unit = 1.0
        top = self._top
        while top > LOWEST and sum(self._cells[_cell(top) :]) < _FORGOTTEN * self._unit:
            top = max(LOWEST, top / RATIO)
        self._top = top
        self._fit()

    def _reach(self, deviation: float) -> float:
        """Make room for a deviation larger than all before, and cut it to what is told apart."""
        deviation = min(deviation, HIGHEST)
        if deviation > self._top:
            self._cells.frombytes(bytes(8 * max(_cell(deviation) + 1 - len(self._cells), 0)))
            self._top = deviation
            self._stale = 0.0
        return deviation

    def _fit(self) -> None:
        """Find by how much the score grows beyond the largest deviation learnt, and which deviations are no news.

        Until the next fit, cells only gain, and the total stays within what it is fitted for: what is quiet stays so.
        """
        top = self._top
        self._stale = max(1.1 * self.total, 0.99 * self.least * self._unit)  # nothing is asked before it is ready
        above = list(accumulate(reversed(self._cells)))  # weights of the highest cell, of the two highest, and so on
        few = bisect_left(above, _UPPER * self.total)
        count = above[few - 1] if few else 0.0
        scale = (top - _edge(len(above) - few)) / math.log(max(count / self._unit, 2.0))
        self._fall = 1.0 / (_LOG_10 * max(scale, _SHORTEST))
        enough = (self._stale + self._unit) * _ROUNDING / 10.0**self.floor - self._unit
        self.quiet = min(top, _edge(len(above) - bisect_left(above, enough) - 1))

    def to_dict(self) -> dict[str, Any]:
        """What was learnt, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "least": self.least,
            "floor": self.floor,
            "total": self.total,
            "unit": self._unit,
            "top": self._top,
            "fall": self._fall,
            "quiet": self.quiet,
            "stale": self._stale,
            "cells": self._cells.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls(saved.count("least"), saved.number("floor", 0.0))
        made.total = saved.number("total", 0.0)
        made._unit = saved.number("unit", 1.0, _HEAVIEST)
        made._top = saved.number("top", 0.0, HIGHEST)
        made._fall = saved.number("fall", 0.0)
        made.quiet = saved.number("quiet", 0.0, HIGHEST)
        made._stale = saved.number("stale", 0.0)
        made._cells = array("d", saved.numbers("cells", low=0.0))
        if not _cell(made._top) < len(made._cells) <= CELLS:
            raise saved.wrong(f"it has {len(made._cells)} cells, which is not what its largest deviation needs")
        return made


def _cell(deviation: float) -> int:
    """The cell of a deviation up to ``HIGHEST``."""
    return int(math.log(deviation) * _PER_LOG + _SHIFT) if deviation >= LOWEST else 0


def _edge(cell: int) -> float:
    """The least deviation that is in a cell."""
    return float(LOWEST * RATIO ** (cell - 1))
