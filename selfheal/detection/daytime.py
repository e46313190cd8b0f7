"""Where a moment lies in the days of a time zone, told without asking the zone each time."""

from __future__ import annotations

import datetime
import functools

from selfheal.zones import zone_of

DAY = 86_400.0
EPOCH = 719_163
"""1970-01-01 as a number of a date, as of ``datetime.date.toordinal()``. It was a Thursday."""
QUARTER, HALF = 900.0, 1800.0
"""Seconds of a cell. A zone changes its offset at a multiple of a quarter of an hour; one (Casey) a minute after it."""


class DayTime:
    """The local time of day of one zone, in *places* and *cells*.

    A place is a part of the day: place ``2 * n`` is part ``n`` of a weekday, place ``2 * n + 1`` that of a day of a
    weekend, so that ``place ^ 1`` is the same time on the other kind of day. A cell is half an hour of one date, or a
    quarter where half hours would not fit, and on a day on which clocks are moved. It lies in one place.

    The latest cell is kept, and the offset of its day: mostly the next question is about the same. Each is exchanged
    as a whole, so that one may be shared, also by threads.

    Args:
        zone: name of the time zone.
        buckets: parts of a day, of whole quarters of an hour.

    >>> DayTime("Europe/Berlin", 24).cell(1_709_370_000.0)
    (21, 738947, 1709370000.0, 1709371800.0)
    """

    __slots__ = ("_latest", "_length", "_width", "_window", "buckets", "zone")

    def __init__(self, zone: str, buckets: int) -> None:
        self.zone = zone_of(zone)
        self.buckets = buckets
        self._width = DAY / buckets
        self._length = QUARTER if self._width % HALF else HALF
        self._window = (0.0, 0.0, 0.0)
        self._latest = (0, 0, 0.0, 0.0)

    def cell(self, t: float) -> tuple[int, int, float, float]:
        """Of a time (wall seconds): its place, the number of its date, and the start and end of its cell."""
        latest = self._latest
        if latest[2] <= t < latest[3]:
            return latest
        window = self._window
        if not window[0] <= t < window[1]:
            window = self._window = self._look_up(t)
        begin, until, offset = window
        length = self._length
        local = t + offset
        day = local // DAY
        place = 2 * int(local % DAY // self._width)
        if (day + 3.0) % 7.0 > 4.0:
            place += 1
        start = local - local % length - offset
        end = start + length
        if start < begin:
            start = begin
        self._latest = latest = place, EPOCH + int(day), start, end if end < until else until
        return latest

    def _look_up(self, t: float) -> tuple[float, float, float]:
        """The day (of UTC) and its offset; where that changes on the day, the quarter of an hour and its offset."""
        for length in (DAY, QUARTER):
            begin = t // length * length
            offset = self._offset_at(begin)
            if offset == self._offset_at(begin + length):
                break
        return begin, begin + length, offset

    def _offset_at(self, t: float) -> float:
        offset = datetime.datetime.fromtimestamp(t, self.zone).utcoffset()
        return offset.total_seconds() if offset else 0.0


@functools.lru_cache(maxsize=64)
def day_time(zone: str, buckets: int) -> DayTime:
    """One for all who ask for the same: metrics that are sampled together are in the same cell."""
    return DayTime(zone, buckets)
