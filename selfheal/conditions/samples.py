"""The latest values of each metric and target, in bounded memory."""

from __future__ import annotations

import math
from collections import deque

from selfheal.conditions.durations import parse_duration
from selfheal.conditions.showing import shown
from selfheal.errors import ConfigError


class Series:
    """Values of one metric of one target, newest last.

    The last four attributes are notes of :class:`~selfheal.conditions.ConditionIndex`: the value and time it looked at
    last, whether that was followed by something unknown, and for which state of its rules.
    """

    __slots__ = ("generation", "paused", "points", "seen", "seen_at")

    def __init__(self, keep: int) -> None:
        self.points: deque[tuple[float, float]] = deque(maxlen=keep)
        self.seen = math.nan
        self.seen_at = -math.inf
        self.paused = False
        self.generation = -1


class Samples:
    """What was observed last.

    Args:
        stale_after: seconds (or text such as ``"5m"``) after which a value tells nothing about now.
        keep: values kept of each metric and target.
        max_series: pairs of metric and target that are kept. One more is refused, and counted in ``refused``,
            unless one of them is stale and can go.

    Raises:
        ConfigError: if a value is out of range.

    >>> samples = Samples()
    >>> samples.observe("cpu", 90.0, "web-1", 1000.0)
    True
    >>> samples.latest("cpu", "web-1", 1010.0), samples.latest("cpu", "web-1", 1301.0)
    (90.0, None)
    """

    def __init__(self, stale_after: float | str = 300.0, keep: int = 64, max_series: int = 10_000) -> None:
        self.stale_after = parse_duration(stale_after, "Samples.stale_after")
        if self.stale_after <= 0.0:
            raise ConfigError("Samples.stale_after", stale_after, "more than 0 s", "300.0")
        self.keep = _count("Samples.keep", keep, 100_000, "64")
        self.max_series = _count("Samples.max_series", max_series, 10_000_000, "10000")
        self.refused = 0
        self._by_metric: dict[str, dict[str, Series]] = {}
        self._count = 0
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        return self._count

    def observe(self, metric: str, value: float | None, target: str, now: float) -> bool:
        """Keep a value.

        Args:
            metric: its name.
            value: what was measured; ``None`` or not finite: it is unknown from now on.
            target: what it was measured on; ``""`` for what concerns all.
            now: monotonic seconds; not before the latest of that metric and target.

        Returns:
            Whether it was kept: not if it is older than the latest, or there is no room. ``refused`` counts those.

        Raises:
            ConfigError: if the value is no number.
        """
        return self.take(metric, value, target, now) is not None

    def take(self, metric: str, value: float | None, target: str, now: float) -> Series | None:
        """Keep a value, and give its series; ``None`` if it was refused."""
        if type(value) is not float:
            value = _number(value, metric)
        series = self.series(metric, target)
        if series is None:
            series = self._admitted(metric, target, now)
        elif series.points and now < series.points[-1][0]:
            series = None
        if series is None:
            self.refused += 1
            return None
        series.points.append((now, value))
        return series

    def latest(self, metric: str, target: str, now: float) -> float | None:
        """The value now: that of the target, or where it has none, that of ``""``.

        ``None`` if there is none, it is not finite, or it is older than ``stale_after``.
        """
        found = self._by_metric.get(metric)
        if found is None:
            return None
        series = found.get(target) or found.get("")
        if series is None:
            return None
        at, value = series.points[-1]
        return value if now - at <= self.stale_after and math.isfinite(value) else None

    def since(self, metric: str, target: str, at: float) -> list[tuple[float, float]]:
        """Time and value of all finite ones that are newer than ``at``, oldest first; of ``""`` if it has none."""
        found = self._by_metric.get(metric, {})
        series = found.get(target) or found.get("")
        if series is None:
            return []
        return [(when, value) for when, value in series.points if when > at and math.isfinite(value)]

    def series(self, metric: str, target: str) -> Series | None:
        """The series of that metric and that very target."""
        found = self._by_metric.get(metric)
        return None if found is None else found.get(target)

    def targets(self, metric: str) -> tuple[str, ...]:
        """What it was observed on."""
        return tuple(self._by_metric.get(metric, ()))

    def all_targets(self) -> set[str]:
        """All that anything was observed on."""
        return {target for found in self._by_metric.values() for target in found}

    def forget(self, target: str) -> int:
        """Drop all that was observed on a target; answers how many series that were."""
        dropped = 0
        for metric in list(self._by_metric):
            dropped += self._by_metric[metric].pop(target, None) is not None
            if not self._by_metric[metric]:
                del self._by_metric[metric]
        self._count -= dropped
        return dropped

    def _admitted(self, metric: str, target: str, now: float) -> Series | None:
        if self._count >= self.max_series:
            self._sweep(now)
            if self._count >= self.max_series:
                return None
        series = self._by_metric.setdefault(metric, {})[target] = Series(self.keep)
        self._count += 1
        return series

    def _sweep(self, now: float) -> None:
        """Drop what is stale; rarely, because it looks at all."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + self.stale_after / 10
        for metric, found in list(self._by_metric.items()):
            fresh = {t: s for t, s in found.items() if now - s.points[-1][0] <= self.stale_after}
            self._count -= len(found) - len(fresh)
            if fresh:
                self._by_metric[metric] = fresh
            else:
                del self._by_metric[metric]


def _number(value: object, metric: str) -> float:
    """A value as a float; not finite where it is unknown, or larger than a float can be."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"value of {shown(metric)!r}", shown(value), "a number, or None where it is unknown")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _count(where: str, value: int, most: int, default: str) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ConfigError(where, value, f"an integer between 1 and {most}", default)
    return value
