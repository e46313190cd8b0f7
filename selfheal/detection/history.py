"""The past of every metric: bounded, and kept in a file that is whole or refused."""

from __future__ import annotations

import json
import math
import os
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from selfheal.detection.intake import EARLIEST, LATEST
from selfheal.detection.kept import Kind, read_kept, set_aside, write_body
from selfheal.errors import ConfigError, StateError
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


class _Ring:
    """The points of one series, oldest first, in 40 bytes each."""

    __slots__ = ("_columns", "numbers")

    def __init__(self, columns: Iterable[array[Any]] = ()) -> None:
        self._columns = tuple(columns) or tuple(array(kind) for kind in "qdddq")
        self.numbers = self._columns[0]

    def __iter__(self) -> Iterator[Point]:
        return map(Point, *self._columns)

    def merge(self, value: float) -> None:
        """Take one more value of the latest step."""
        _, means, lows, highs, counts = self._columns
        n = counts[-1] + 1
        means[-1] += value / n - means[-1] / n  # no overflow, and constant values stay what they are
        lows[-1], highs[-1], counts[-1] = min(lows[-1], value), max(highs[-1], value), n

    def append(self, point: Point) -> None:
        """Take a point that is later than all others."""
        for column, value in zip(self._columns, point, strict=True):
            column.append(value)

    def drop(self, until: int) -> None:
        """Forget the steps up to a number."""
        gone = bisect_right(self.numbers, until)
        if gone:
            for column in self._columns:
                del column[:gone]

    def between(self, first: int, end: int) -> Iterable[tuple[int, float]]:
        """Numbers and means of the steps from ``first`` up to, but not including, ``end``."""
        some = slice(bisect_left(self.numbers, first), bisect_left(self.numbers, end))
        return zip(self.numbers[some], self._columns[1][some], strict=True)

    def copy(self) -> _Ring:
        """The same points, for somebody else."""
        return _Ring(column[:] for column in self._columns)


class _Series(NamedTuple):
    key: tuple[str, str]
    ring: _Ring


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
    """Seven days of every metric and target, a point every five minutes, unless set otherwise: 80 KB of each.

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
        self._series: OrderedDict[tuple[str, str], _Ring] = OrderedDict()

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
            t: wall seconds since 1970 UTC; what no calendar has is left out too.

        Raises:
            ConfigError: if a name is no text.
        """
        if not (math.isfinite(value) and EARLIEST <= t <= LATEST):
            return
        key, number = (metric, target), int(t // self.config.step)
        ring = self._series.get(key)
        if ring is None:
            ring = self._room(key)
        elif ring.numbers and number < ring.numbers[-1]:
            self.late += 1
            return
        self._series.move_to_end(key)
        if ring.numbers and ring.numbers[-1] == number:
            ring.merge(value)
        else:
            ring.append(Point(number, value, value, value, 1))
            ring.drop(number - self.config.points)

    def points(self, metric: str, target: str = "") -> tuple[Point, ...]:
        """All points of a metric and target, oldest first; empty if there is none."""
        return tuple(self._series.get((metric, target), ()))

    def numbers(self, metric: str, target: str = "") -> Sequence[int]:
        """Numbers of the steps of a metric and target that have a point, oldest first."""
        ring = self._series.get((metric, target))
        return () if ring is None else ring.numbers[:]

    def series(self, metric: str, target: str = "") -> Iterator[tuple[float, float]]:
        """Wall seconds at which each step began, and mean, oldest first: what a detector is warmed up with."""
        return ((point.number * self.config.step, point.mean) for point in self.points(metric, target))

    def steps(self, first: int, end: int) -> dict[int, dict[tuple[str, str], float]]:
        """The means of every metric and target in the steps from ``first`` up to, but not including, ``end``."""
        found: dict[int, dict[tuple[str, str], float]] = {}
        for key, ring in self._series.items():
            for number, mean in ring.between(first, end):
                found.setdefault(number, {})[key] = mean
        return dict(sorted(found.items()))

    def copy(self) -> History:
        """The same, for somebody else: what comes in here later is not in it."""
        made = History(self.config)
        made._series = OrderedDict((key, ring.copy()) for key, ring in self._series.items())
        return made

    def save(self, path: str | Path) -> None:
        """Write everything to a file, readable for its owner alone; it is there whole, or the old one stays.

        Raises:
            StateError: if it cannot be written.
        """
        write_body(Path(path), FORMAT, b"".join(self._pieces()))

    @classmethod
    def load(cls, path: str | Path, config: HistoryConfig | None = None, *, latest: float = math.inf) -> History:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            config: how much is kept; a file with another step is refused.
            latest: wall seconds; a file with later points is refused. The clock was ahead when they were measured, and
                what is measured until then would come too late.

        Raises:
            StateError: if it is missing, of another kind, version or step, or damaged in any way.
        """
        file = Path(path)
        made = cls(config)
        made._take(read_kept(file, FORMAT, partial(_series, file)), file)
        last = max((ring.numbers[-1] for ring in made._series.values() if ring.numbers), default=0)
        if last * made.config.step > latest:
            raise FORMAT.ahead(file, last * made.config.step)
        return made

    @classmethod
    def load_or_new(cls, path: str | Path, config: HistoryConfig | None = None, *, latest: float = math.inf) -> History:
        """Read what :meth:`save` wrote; without a file, or with a bad one, begin anew.

        A bad file is told as an error in the log and in ``refused``, and set aside with ``.refused`` at the end of its
        name, so that nothing is lost which a person may want to look at.

        Raises:
            StateError: if a directory is there, which nobody wants set aside.
        """
        file = Path(path)
        if file.is_dir():
            raise _wrong(file, "it is a directory")
        if not os.path.lexists(file):
            return cls(config)
        try:
            return cls.load(file, config, latest=latest)
        except StateError as error:
            made = cls(config)
            made.refused = set_aside(file, error)
        return made

    def _room(self, key: tuple[str, str], ring: _Ring | None = None) -> _Ring:
        if not all(isinstance(name, str) for name in key):
            raise ConfigError("History: metric and target", key, "text")
        if len(self._series) >= self.config.max_series:
            self._series.popitem(last=False)
            self.forgotten += 1
        made = self._series[key] = _Ring() if ring is None else ring
        return made

    def _pieces(self) -> Iterator[bytes]:
        """The content of a file; no piece takes so long that other threads have to wait."""
        yield b'{"step":%s,"series":[' % json.dumps(self.config.step).encode()
        for n, ((metric, target), ring) in enumerate(self._series.items()):
            data = {"metric": metric, "target": target, "points": list(ring)}
            yield b"," * bool(n) + json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
        yield b"]}"

    def _take(self, data: Mapping[str, Any], file: Path) -> None:
        """Take over a file's content; its checksum holds, so what is odd was written by somebody else."""
        if data.get("step") != self.config.step:
            raise _wrong(file, f"its points are {data.get('step')!r} s apart, not {self.config.step:g} s")
        found = data.get("series")
        if not isinstance(found, list) or not all(isinstance(one, _Series) for one in found):
            raise _odd(file, "not a list of series")
        for key, ring in found:
            if ring.numbers:
                ring.drop(ring.numbers[-1] - self.config.points)
            self._room(key, ring)


def _series(file: Path, table: dict[str, Any]) -> Any:
    """A series of a file; any other table of it as it is."""
    if "points" not in table:
        return table
    try:
        metric, target, ring = table["metric"], table["target"], _Ring()
        if not isinstance(metric, str) or not isinstance(target, str):
            raise TypeError("a name is no text")
        for row in table["points"]:
            ring.append(_point(row))
        if any(b <= a for a, b in pairwise(ring.numbers)):
            raise ValueError("points are not in the order of time")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _odd(file, str(error)) from None
    return _Series((metric, target), ring)


def _point(row: Any) -> Point:
    number, mean, low, high, n = row
    whole = all(type(value) is int for value in (number, n)) and n >= 1
    if not whole or not all(type(value) in (int, float) and math.isfinite(value) for value in (mean, low, high)):
        raise ValueError(f"no point: {row!r}")
    return Point(number, float(mean), float(low), float(high), n)


def _odd(file: Path, why: str) -> StateError:
    return _wrong(file, f"its content is not that of a history ({why})")


def _wrong(file: Path, why: str) -> StateError:
    return FORMAT.wrong(file, why)
