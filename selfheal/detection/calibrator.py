"""How rare a deviation is: a running tail probability, kept in a small sketch."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any, Self

from selfheal.detection.saved import Saved

KIND, VERSION = "tail_calibrator", 2
LOWEST = 0.01
"""Deviations below this are all the same: none."""
RATIO = 1.02
"""A cell of the sketch reaches from a deviation to one 2 % larger."""
CELLS = 700
"""They reach to the highest deviation that is told apart."""
BLOCK = 32
"""So many cells are summed up in advance."""
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
        floor: scores that are not above it are of no use to who asks.

    Attributes:
        total: weight of all that was learnt, in units in which what was learnt before the latest ageing shrank.
        quiet: a deviation below this is known to score no more than ``floor``, without asking.

    >>> calibrator = TailCalibrator()
    >>> for n in range(1, 1000):
    ...     calibrator.learn(n / 1000)
    >>> round(calibrator.score(0.9), 1), round(calibrator.score(0.1), 1)
    (1.0, 0.0)
    """

    __slots__ = (
        "_asked",
        "_asked_cell",
        "_blocks",
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
        self._cells, self._blocks = array("d"), array("d")  # as far up as anything was learnt
        self._top = 0.0
        self._fall = 0.0
        self._stale = 0.0
        self._unit = 1.0
        self._asked, self._asked_cell = -1.0, 0  # what is learnt was often asked about just before

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
        cell = int(math.log(deviation) * _PER_LOG + _SHIFT)
        self._asked, self._asked_cell = deviation, cell
        count = self._above(cell)
        return math.log10((total + unit) / (count + unit)) if count < total else 0.0

    def learn(self, deviation: float, weight: float = 1.0) -> None:
        """Take a deviation (not negative, finite) into the past, with a weight from 0 to 1."""
        if not weight:
            return
        if deviation == self._asked:
            cell = self._asked_cell
        elif deviation >= LOWEST:
            if deviation > HIGHEST:
                deviation = HIGHEST
            cell = int(math.log(deviation) * _PER_LOG + _SHIFT)
        else:
            cell, deviation = 0, 0.0
        if cell >= len(self._cells):
            self._widen(cell)
        weight *= self._unit
        self.total += weight
        self._cells[cell] += weight
        self._blocks[cell // BLOCK] += weight
        if self.total > self._stale or deviation > self._top:
            self._fit(max(deviation, self._top))

    def age(self, days: int) -> None:
        """Let all that was learnt count less from now on: after 30 days 1/e."""
        self._unit *= math.exp(min(days, 100) / MEMORY_DAYS)
        if self._unit > _HEAVIEST:
            self._cells = array("d", (value / self._unit for value in self._cells))
            self._blocks = array("d", (value / self._unit for value in self._blocks))
            self.total /= self._unit
            self._unit = 1.0
        top = self._top
        while top > LOWEST and self._above(_cell(top)) < _FORGOTTEN * self._unit:
            top = max(LOWEST, top / RATIO)
        self._fit(top)

    def _widen(self, cell: int) -> None:
        """Make room up to a cell."""
        blocks = cell // BLOCK + 1 - len(self._blocks)
        self._blocks.frombytes(bytes(8 * blocks))
        self._cells.frombytes(bytes(8 * BLOCK * blocks))

    def _above(self, cell: int) -> float:
        """Weight learnt in a cell and in those above it."""
        block = cell // BLOCK + 1
        return sum(self._cells[cell : block * BLOCK], sum(self._blocks[block:]))

    def _fit(self, top: float) -> None:
        """Find by how much the score grows beyond the largest deviation learnt, and which deviations are no news.

        Until the next fit, cells only gain, and the total stays within what it is fitted for: what is quiet stays so.
        """
        self._top = top
        self._stale = 1.1 * self.total
        cell, count = self._upper(_UPPER * self.total)
        scale = (top - _edge(cell)) / math.log(max(count / self._unit, 2.0))
        self._fall = 1.0 / (_LOG_10 * max(scale, _SHORTEST))
        heard = (self._stale + self._unit) * _ROUNDING / 10.0**self.floor - self._unit
        self.quiet = min(top, _edge(self._upper(heard)[0] - 1))

    def _upper(self, weight: float) -> tuple[int, float]:
        """The lowest cell from which upwards there is less than that weight, and how much there is."""
        cells, blocks, count = self._cells, self._blocks, 0.0
        at = len(blocks)
        while at and count + blocks[at - 1] < weight:
            at -= 1
            count += blocks[at]
        at *= BLOCK
        while at and count + cells[at - 1] < weight:
            at -= 1
            count += cells[at]
        return at, count

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
            "cells": [[cell, weight] for cell, weight in enumerate(self._cells) if weight],
            "blocks": self._blocks.tolist(),
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
        made._load_cells(saved)
        return made

    def _load_cells(self, saved: Saved) -> None:
        self._blocks = array("d", saved.numbers("blocks", low=0.0))
        if len(self._blocks) * BLOCK >= CELLS + BLOCK:
            raise saved.wrong(f"there are {len(self._blocks)} blocks of {BLOCK} cells, and at most {CELLS} cells")
        self._cells = array("d", bytes(8 * BLOCK * len(self._blocks)))
        for pair in saved.items("cells"):
            numbers = saved.list_of_numbers(pair, "cells", 0.0)
            if len(numbers) != 2 or numbers[0] >= len(self._cells):
                raise saved.wrong(f"cells has {pair}, not the number of a cell and its weight")
            self._cells[int(numbers[0])] = numbers[1]
        for n, block in enumerate(self._blocks):
            if not math.isclose(block, sum(self._cells[n * BLOCK : (n + 1) * BLOCK]), rel_tol=1e-6):
                raise saved.wrong(f"blocks[{n}] is not the weight of its cells")


def _cell(deviation: float) -> int:
    """The cell of a deviation from ``LOWEST`` to ``HIGHEST``; the one before is for what is less."""
    return int(math.log(deviation) * _PER_LOG + _SHIFT)


def _edge(cell: int) -> float:
    """The least deviation that is in a cell."""
    return float(LOWEST * RATIO ** (cell - 1))
