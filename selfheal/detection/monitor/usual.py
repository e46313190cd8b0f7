"""What was usual for a series before each of its latest steps was learnt; incidents are learnt from too."""

from __future__ import annotations

import base64
from array import array
from collections import OrderedDict

from selfheal.detection.monitor.signals import Series


class UsualPast:
    """Remembers mean and spread of the latest steps of each series.

    Args:
        steps: that are remembered.
        most: series; the one that was silent for longest goes for a new one.

    >>> past = UsualPast(steps=2)
    >>> for number in range(3):
    ...     past.note(("cpu", "web"), number, (10.0 + number, 1.0))
    >>> past.at(("cpu", "web"), 0), past.at(("cpu", "web"), 2)
    (None, (12.0, 1.0))
    """

    def __init__(self, steps: int = 576, most: int = 1000) -> None:
        self._steps = steps
        self._most = most
        self._series: OrderedDict[Series, tuple[array[int], array[float], array[float]]] = OrderedDict()

    def note(self, series: Series, number: int, usual: tuple[float, float]) -> None:
        """Remember what is usual in the step of this number."""
        rows = self._series.get(series)
        if rows is None:
            if len(self._series) >= self._most:
                self._series.popitem(last=False)
            empty = array("f", bytes(4 * self._steps))
            rows = self._series[series] = (array("q", [-1]) * self._steps, empty[:], empty)
        self._series.move_to_end(series)
        place = number % self._steps
        rows[0][place], rows[1][place], rows[2][place] = number, *usual

    def at(self, series: Series, number: int) -> tuple[float, float] | None:
        """Mean and spread that were usual in a step; ``None`` where that is not remembered."""
        rows = self._series.get(series)
        place = number % self._steps
        if rows is None or rows[0][place] != number:
            return None
        return rows[1][place], rows[2][place]

    def to_list(self) -> list[list[str]]:
        """What is remembered, as JSON data: metric, target, and the numbers in base64."""
        return [
            [metric, target, *(base64.b64encode(row.tobytes()).decode("ascii") for row in rows)]
            for (metric, target), rows in self._series.items()
        ]

    def load(self, data: object) -> None:
        """Take over what :meth:`to_list` gave.

        Raises:
            ValueError: if it is not that, or of another length; nothing is taken over then.
        """
        found: OrderedDict[Series, tuple[array[int], array[float], array[float]]] = OrderedDict()
        for item in data[-self._most :] if isinstance(data, list) else ():
            if not isinstance(item, list) or len(item) != 5 or not all(isinstance(text, str) for text in item):
                raise ValueError(f"{str(item)[:80]!r} is no series")
            metric, target, *texts = item
            raw = [base64.b64decode(text, validate=True) for text in texts]
            numbers, means, spreads = array("q", raw[0]), array("f", raw[1]), array("f", raw[2])
            if not len(numbers) == len(means) == len(spreads) == self._steps:
                raise ValueError(f"{metric!r} has {len(numbers)} steps, not {self._steps}")
            found[metric, target] = (numbers, means, spreads)
        self._series = found
