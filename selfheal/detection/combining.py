"""Several scores of one sample made into one, on the same scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LOG_10 = math.log(10.0)


class ExcessSum:
    """Adds up by how much each of several scores is above a floor, and tells how unlikely such a sum is.

    For independent scores of a metric that does nothing unusual, each excess is 0, or with probability ``10 ** -floor``
    exponential, and their sum has the tail below (the truncated product method of Zaykin and others, 2002, for a
    truncation at ``10 ** -floor``). Scores of the same sample are not independent; how much that changes is part of
    what the threshold of a gate is measured with.

    Args:
        parts: how many scores are combined.
        floor: what of each score does not count.
    """

    __slots__ = ("_polynomial", "floor")

    def __init__(self, parts: int, floor: float) -> None:
        self.floor = floor
        above = 10.0**-floor
        chance = [math.comb(parts, j) * above**j * (1.0 - above) ** (parts - j) for j in range(parts + 1)]
        self._polynomial = [sum(chance[i + 1 :]) / math.factorial(i) for i in range(parts)]

    def score(self, scores: Sequence[float]) -> float:
        """Minus log10 of the probability of a sum of excesses at least as large; 0 where no score has any."""
        floor = self.floor
        excess = 0.0
        for score in scores:
            if score > floor:
                excess += score - floor
        if not excess:
            return 0.0
        along = excess * _LOG_10
        value = 0.0
        for coefficient in reversed(self._polynomial):
            value = value * along + coefficient
        return excess - math.log10(value)
