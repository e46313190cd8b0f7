"""How large deviations were lately: over the latest few, or over a longer while."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from selfheal.detection.saved import Saved

KIND, VERSION = "lately", 1


class Lately:
    """The mean of the latest few deviations; where it is larger, the mean of a longer while, in which older ones fade.

    The first sees what is short, the second what lasts, and stays in the noise otherwise. Where samples come so slowly
    that a few of them already are a longer while, both are much the same.

    Args:
        count: how many deviations the first mean is of, with the one that is asked about; at least 1.
        lasting: seconds after which a deviation counts 1/e in the second mean; 0 for the first mean alone.
    """

    __slots__ = ("_at", "_latest", "_sum", "_weight", "lasting")

    def __init__(self, count: int, lasting: float) -> None:
        self.lasting = lasting
        self._latest: deque[float] = deque(maxlen=max(count - 1, 0))
        self.clear()

    def clear(self) -> None:
        """Begin anew: nothing was lately."""
        self._latest.clear()
        self._sum = self._weight = 0.0
        self._at = math.nan

    def with_one(self, t: float, deviation: float) -> float:
        """How large deviations were lately, with one more at ``t`` (wall seconds). Changes nothing."""
        few = (math.fsum(self._latest) + deviation) / (len(self._latest) + 1)
        if not self.lasting or not self._weight:
            return few
        left = self._left(t)
        return max(few, (self._sum * left + deviation) / (self._weight * left + 1.0))

    def take(self, t: float, deviation: float) -> None:
        """Keep a deviation as the latest."""
        self._latest.append(deviation)
        if self.lasting:
            left = self._left(t)
            self._sum, self._weight, self._at = self._sum * left + deviation, self._weight * left + 1.0, t

    def copy(self) -> Lately:
        """Another one of the same state."""
        other = Lately((self._latest.maxlen or 0) + 1, self.lasting)
        other.load(self.to_dict())
        return other

    def _left(self, t: float) -> float:
        """What part of the past is left at ``t``; all of it where the clock stood still or went back."""
        return math.exp(min(self._at - t, 0.0) / self.lasting) if self._weight else 0.0

    def to_dict(self) -> dict[str, Any]:
        """What was kept, as JSON data. Settings are not part of it."""
        return {
            "kind": KIND,
            "version": VERSION,
            "latest": list(self._latest),
            "sum": self._sum,
            "weight": self._weight,
            "at": None if math.isnan(self._at) else self._at,
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        latest, at = saved.numbers("latest", low=0.0), saved.optional("at")
        total, weight = saved.number("sum", 0.0), saved.number("weight", 0.0)
        if weight and at is None:
            raise saved.wrong("it has a weight and no time")
        self._latest.clear()
        self._latest.extend(latest)
        self._sum, self._weight, self._at = total, weight, math.nan if at is None else at
