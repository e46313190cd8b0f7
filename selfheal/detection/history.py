"""The past of every metric: bounded, and kept in a file that is whole or refused."""

from __future__ import annotations

import math
import os
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from selfheal.detection.kept import Kind, read_kept, set_aside, write_kept
from selfheal.errors import StateError
from selfheal.validators import between

KIND = "selfheal history"
FORMAT = Kind(KIND, 1, "history")


class Point(NamedTuple):
    """What was measured in one step of time.

    Args:
        number: which step since 1970 UTC.
        mean: of the values.
        low: the lowest.
        high: the highest.
        n: how many there were.
    """

    number: int
    mean: float
    low: float
    high: float
    n: int


@attrs.frozen(kw_only=True)
class HistoryConfig:
    """How much of the past is kept.

    Args:
        step: seconds that become one point.
        keep: seconds of the past.
        max_series: pairs of metric and target; the one that was silent for longest goes for a new one.

    Raises:
        ConfigError: if a value is out of range.
    """

    step: float = attrs.field(default=300.0, validator=between(1.0, 86_400.0, "s"))
    keep: float = attrs.field(default=7 * 86_400.0, validator=between(60.0, 366 * 86_400.0, "s"))
    max_series: int = attrs.field(default=1000, validator=between(1, 1_000_000))

    @property
    def points(self) -> int:
        """Points of a series at most."""
        return max(min(int(self.keep // self.step), 1_000_000), 1)


class History:
    """Seven days of every metric and target, a point every five minutes, unless set otherwise.

    Missing values and values that are not finite are left out; so is what is older than the latest step of its
    series, and counted in ``late``. Not thread-safe: the owner holds a lock.

    Args:
        config: how much is kept.

    Attributes:
        late: values that came too late.
        forgotten: series that had to go for want of room.
        refused: why the file was not taken, if :meth:`load_or_new` did not take it; else empty.

    >>> history = History()
    >>> for second in range(0, 600, 10):
    ...     history.add("cpu_percent", float(second), "web-1", 1_700_000_100.0 + second)
    >>> list(history.series("cpu_percent", "web-1"))
    [(1700000100.0, 145.0), (1700000400.0, 445.0)]
    """

    def __init__(self, config: HistoryConfig | None = None) -> None:
        self.config = config or HistoryConfig()
        self.late = 0
        self.forgotten = 0
        self.refused = ""
        self._series: OrderedDict[tuple[str, str], deque[Point]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(tuple(self._series))

    def add(self, metric: str, value: float, target: str, t: float) -> None:
        """Take a value.

        Args:
            metric: its name.
            value: ``nan`` and infinite ones are left out.
            target: what it was measured on.
            t: wall seconds since 1970 UTC.
        """
        if not (math.isfinite(value) and math.isfinite(t)):
            return
        key, number = (metric, target), int(t // self.config.step)
        points = self._series.get(key)
        if points is None:
            points = self._room(key)
        elif points and number < points[-1].number:
            self.late += 1
            return
        self._series.move_to_end(key)
        if not points or points[-1].number < number:
            points.append(Point(number, value, value, value, 1))
            while number - points[0].number >= self.config.points:
                points.popleft()
            return
        last = points[-1]
        n = last.n + 1
        mean = last.mean + (value / n - last.mean / n)  # no overflow, and constant values stay what they are
        points[-1] = Point(number, mean, min(last.low, value), max(last.high, value), n)

    def points(self, metric: str, target: str = "") -> tuple[Point, ...]:
        """All points of a metric and target, oldest first; empty if there is none."""
        return tuple(self._series.get((metric, target), ()))

    def series(self, metric: str, target: str = "") -> Iterator[tuple[float, float]]:
        """Wall seconds at which each step began, and mean, oldest first: what a detector is warmed up with."""
        return ((point.number * self.config.step, point.mean) for point in self.points(metric, target))

    def steps(self, first: int, end: int) -> dict[int, dict[tuple[str, str], float]]:
        """The means of every metric and target in the steps from ``first`` up to, but not including, ``end``."""
        found: dict[int, dict[tuple[str, str], float]] = {}
        for key, points in self._series.items():
            for point in reversed(points):
                if point.number < first:
                    break
                if point.number < end:
                    found.setdefault(point.number, {})[key] = point.mean
        return dict(sorted(found.items()))

    def copy(self) -> History:
        """The same, for somebody else: what comes in here later is not in it."""
        made = History(self.config)
        made._series = OrderedDict((key, points.copy()) for key, points in self._series.items())
        return made

    def save(self, path: str | Path) -> None:
        """Write everything to a file, readable for its owner alone; it is there whole, or the old one stays.

        Raises:
            StateError: if it cannot be written.
        """
        write_kept(Path(path), FORMAT, self._data())

    @classmethod
    def load(cls, path: str | Path, config: HistoryConfig | None = None) -> History:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            config: how much is kept; a file with another step is refused.

        Raises:
            StateError: if it is missing, of another kind, version or step, or damaged in any way.
        """
        file = Path(path)
        made = cls(config)
        made._take(read_kept(file, FORMAT), file)
        return made

    @classmethod
    def load_or_new(cls, path: str | Path, config: HistoryConfig | None = None) -> History:
        """Read what :meth:`save` wrote; without a file, or with a bad one, begin anew.

        A bad file is told as an error in the log and in ``refused``, and set aside with ``.refused`` at the end of its
        name, so that nothing is lost which a person may want to look at.
        """
        file = Path(path)
        if not os.path.lexists(file):
            return cls(config)
        try:
            return cls.load(file, config)
        except StateError as error:
            made = cls(config)
            made.refused = set_aside(file, error)
        return made

    def _room(self, key: tuple[str, str]) -> deque[Point]:
        if len(self._series) >= self.config.max_series:
            self._series.popitem(last=False)
            self.forgotten += 1
        points = self._series[key] = deque(maxlen=self.config.points)
        return points

    def _data(self) -> dict[str, Any]:
        return {
            "step": self.config.step,
            "series": [
                {"metric": metric, "target": target, "points": [list(point) for point in points]}
                for (metric, target), points in self._series.items()
            ],
        }

    def _take(self, data: Mapping[str, Any], file: Path) -> None:
        """Take over a file's content; its checksum holds, so what is odd was written by somebody else."""
        if data.get("step") != self.config.step:
            raise _wrong(file, f"its points are {data.get('step')!r} s apart, not {self.config.step:g} s")
        try:
            for series in data["series"]:
                metric, target = series["metric"], series["target"]
                if not isinstance(metric, str) or not isinstance(target, str):
                    raise TypeError("a name is no text")
                points = [_point(row) for row in series["points"]]
                if any(b.number <= a.number for a, b in pairwise(points)):
                    raise ValueError("points are not in the order of time")
                kept = self._room((metric, target))
                kept.extend(points)
        except (KeyError, TypeError, ValueError) as error:
            raise _wrong(file, f"its content is not that of a history ({error})") from None


def _point(row: Any) -> Point:
    number, mean, low, high, n = row
    whole = all(type(value) is int for value in (number, n)) and n >= 1
    if not whole or not all(type(value) in (int, float) and math.isfinite(value) for value in (mean, low, high)):
        raise ValueError(f"no point: {row!r}")
    return Point(number, float(mean), float(low), float(high), n)


def _wrong(file: Path, why: str) -> StateError:
    return FORMAT.wrong(file, why)
