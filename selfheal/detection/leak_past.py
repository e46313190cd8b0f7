"""What the days before tell of memory: its shape by the time of day, on the clocks of a zone. Pure."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

from selfheal.zones import zone_of

DAY = 86_400.0


class Blocks(NamedTuple):
    """How time is cut: into blocks of so many seconds since 1970, which lie in the days of a zone."""

    seconds: float
    zone: str

    @property
    def a_day(self) -> int:
        """How many of them fit into a day; at least 1."""
        return max(int(DAY // self.seconds), 1)


class Past(NamedTuple):
    """What the days before a window tell.

    ``shape``: how far each block of the day lies above the middle, empty if it has none; ``highest``: the highest
    floor without that shape; ``known``: whether the days are enough to tell.
    """

    blocks: Blocks
    shape: Mapping[int, float]
    highest: float
    known: bool

    def above(self, number: int) -> float:
        """How far a block lies above the middle by its time of day."""
        return self.shape.get(local(self.blocks, number)[1], 0.0)


def past_of(before: Mapping[int, float], recent: Sequence[int], blocks: Blocks) -> Past:
    """What some days tell; nothing if they are fewer than two.

    The trend of those days is taken off first, by pairs that are whole days apart, so that a leak is no shape. Their
    shape by the time of day is taken only if it tells one day from the others: what is left has to be smaller.

    Args:
        before: the floor of each block, oldest first.
        recent: the blocks after them, to whose times of day the shape has to extend.
        blocks: how time is cut.
    """
    numbers, day = list(before), blocks.a_day
    if len(numbers) < 2 * day * 0.75 or numbers[-1] - numbers[0] < 2 * day - 2:
        return Past(blocks, {}, -math.inf, False)
    lows = {local(blocks, number): low for number, low in before.items()}
    daily = [(lows[date + 1, part] - low) / day for (date, part), low in lows.items() if (date + 1, part) in lows]
    slope = median(daily) if daily else 0.0
    level = [(local(blocks, number)[1], low - slope * (number - numbers[-1])) for number, low in before.items()]
    middle = median(low for _, low in level)
    by_part: dict[int, list[float]] = {}
    for part, low in level:
        by_part.setdefault(part, []).append(low - middle)
    plain = sum(abs(low - middle) for _, low in level)
    left = sum(_by_the_others(values) for values in by_part.values())
    complete = all(local(blocks, number)[1] in by_part for number in recent)
    shape = {part: median(values) for part, values in by_part.items()} if complete and left < 0.7 * plain else {}
    return Past(blocks, shape, max(low - shape.get(part, 0.0) for part, low in level), True)


@functools.lru_cache(maxsize=4096)
def local(blocks: Blocks, number: int) -> tuple[int, int]:
    """The date (days since 1970) on which a block begins by the clocks of its zone, and which block of that day it is.

    Where clocks are put forward a day has fewer of them, where they are put back two blocks are the same one.
    """
    start = number * blocks.seconds
    offset = datetime.fromtimestamp(start, zone_of(blocks.zone)).utcoffset()
    date, since_midnight = divmod(start + (offset.total_seconds() if offset else 0.0), DAY)
    return int(date), int(since_midnight // blocks.seconds)


def _by_the_others(values: Sequence[float]) -> float:
    """How far each of some values is from the median of the others, summed."""
    others = ([*values[:i], *values[i + 1 :]] for i in range(len(values)))
    return sum(abs(value - (median(rest) if rest else 0.0)) for value, rest in zip(values, others, strict=True))
