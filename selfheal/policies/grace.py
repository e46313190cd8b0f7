"""The same remedy on the same target: not again too soon, and not too often. Pure: the caller gives the time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import TypedDict, Unpack

import attrs

from selfheal.policies.refusal import Refusal
from selfheal.policies.steady import SteadyTime, elapsed
from selfheal.validators import between

HOUR = 3600.0
LONGEST_GRACE = 604_800.0
"""Seconds after which a healing stands against nothing any more: the longest grace period there is."""
MOST_PER_HOUR = 1000

_period = between(0.0, LONGEST_GRACE, "s")
_hourly = between(1, MOST_PER_HOUR)


@attrs.frozen(kw_only=True)
class GraceConfig:
    """How soon and how often the same strategy may act on the same target.

    Args:
        grace_period: seconds from the beginning of a healing to that of the next one; 0 to 604800.
        max_per_hour: healings begun at most in any 3600 s; 1 to 1000.
        max_pairs: pairs of strategy and target that are remembered at most; beyond that unknown pairs have to wait.

    Raises:
        ConfigError: if a value is out of range.
    """

    grace_period: float = attrs.field(default=300.0, validator=_period)
    max_per_hour: int = attrs.field(default=3, validator=_hourly)
    max_pairs: int = attrs.field(default=10_000, validator=between(1, 1_000_000))


class GraceOptions(TypedDict, total=False):
    """The fields of :class:`GraceConfig` as keyword arguments."""

    grace_period: float
    max_per_hour: int
    max_pairs: int


@attrs.frozen(kw_only=True)
class GracePair:
    """What is remembered of one strategy on one target.

    Args:
        strategy: its name.
        target: what it acted on.
        last_ago: seconds since it began last.
        last_hour: how many times it began in the last 3600 s.
        retry_in: seconds until it may begin again under the tracker's own limits; 0 if now.
    """

    strategy: str
    target: str
    last_ago: float
    last_hour: int
    retry_in: float


@attrs.frozen(kw_only=True)
class GraceSnapshot:
    """What a tracker remembers.

    Args:
        grace_period: seconds, where a strategy has none of its own.
        max_per_hour: where a strategy has none of its own.
        pairs: those begun in the last hour or still in their grace period, the latest last.
        remembered: how many pairs are remembered in all.
        forgotten: how many had to be forgotten for want of room.
    """

    grace_period: float
    max_per_hour: int
    pairs: tuple[GracePair, ...]
    remembered: int
    forgotten: int


@attrs.frozen(kw_only=True)
class _Limits:
    grace_period: float = attrs.field(validator=_period)
    max_per_hour: int = attrs.field(validator=_hourly)


class GracePeriodTracker:
    """Remembers when which strategy began on which target, and refuses what comes too soon or too often.

    Bounds, for each pair of strategy and target: two begin at least ``grace_period`` seconds apart, and at most
    ``max_per_hour`` begin in any 3600 s. A wall clock set back, a restart with :meth:`restore`, and more pairs
    than there is room for do not loosen either bound: in doubt it refuses.

    Not thread-safe: the owner holds a lock.

    Args:
        config: its limits; the fields may be given as keyword arguments instead.

    Raises:
        ConfigError: if a limit is out of range.

    >>> tracker = GracePeriodTracker(grace_period=300.0, max_per_hour=3)
    >>> tracker.begin("high_cpu", "web-1", 1_700_000_000.0)
    >>> tracker.check("high_cpu", "web-1", 1_700_000_100.0).retry_in
    200.0
    >>> tracker.check("high_cpu", "web-2", 1_700_000_100.0) is None
    True
    """

    def __init__(self, config: GraceConfig | None = None, **options: Unpack[GraceOptions]) -> None:
        self.config = attrs.evolve(config or GraceConfig(), **options)
        self.forgotten = 0
        self._time = SteadyTime()
        self._begun: dict[tuple[str, str], deque[float]] = {}  # ordered by the latest beginning
        self._floor = -math.inf  # no forgotten pair began after this

    def __len__(self) -> int:
        return len(self._begun)

    def check(
        self,
        strategy: str,
        target: str,
        wall: float,
        *,
        grace_period: float | None = None,
        max_per_hour: int | None = None,
        now: float | None = None,
    ) -> Refusal | None:
        """Ask whether a strategy may begin on a target. Changes nothing.

        Args:
            strategy: its name.
            target: what it would act on.
            wall: wall-clock seconds since 1970 UTC.
            grace_period: the strategy's own, seconds; ``None`` takes the tracker's.
            max_per_hour: the strategy's own; ``None`` takes the tracker's.
            now: monotonic seconds of the same moment, so that a wall clock set forward opens nothing.

        Returns:
            ``None`` if it may; else a refusal of kind ``"grace"``, ``"hourly"``, or ``"full"`` for a pair that may
            be one of the forgotten ones. ``retry_in`` is when none of the three stands against it any more.

        Raises:
            ConfigError: if a limit is out of range.
        """
        limits = _Limits(
            grace_period=self.config.grace_period if grace_period is None else grace_period,
            max_per_hour=self.config.max_per_hour if max_per_hour is None else max_per_hour,
        )
        return self._standing(strategy, target, limits, self._time.at(wall, now))

    def begin(self, strategy: str, target: str, wall: float, *, now: float | None = None) -> None:
        """Remember that a strategy begins on a target now, whatever comes of it."""
        self._remember((strategy, target), self._time.at(wall, now))
        self._make_room()

    def restore(self, begun: Iterable[tuple[str, str, float]], wall: float, *, now: float | None = None) -> None:
        """Take over what began in an earlier life of the process.

        Args:
            begun: strategy, target and wall-clock second of each beginning, in any order. One in the future, as
                after a clock was set back, is taken to have begun just now.
            wall: wall-clock seconds since 1970 UTC.
            now: monotonic seconds of the same moment.
        """
        at = self._time.at(wall, now)
        told = ((at - elapsed(moment, wall), strategy, target) for strategy, target, moment in begun)
        for moment, strategy, target in sorted(one for one in told if one[0] + LONGEST_GRACE > at):
            self._remember((strategy, target), moment)
        self._begun = dict(sorted(self._begun.items(), key=lambda pair: pair[1][-1]))
        self._make_room()

    def snapshot(self, wall: float, *, now: float | None = None) -> GraceSnapshot:
        """What is remembered now."""
        at = self._time.at(wall, now)
        limits = _Limits(grace_period=self.config.grace_period, max_per_hour=self.config.max_per_hour)
        return GraceSnapshot(
            grace_period=self.config.grace_period,
            max_per_hour=self.config.max_per_hour,
            pairs=tuple(
                self._pair(pair, limits, at)
                for pair, begun in self._begun.items()
                if begun[-1] + max(HOUR, limits.grace_period) > at
            ),
            remembered=len(self._begun),
            forgotten=self.forgotten,
        )

    def _standing(self, strategy: str, target: str, limits: _Limits, at: float) -> Refusal | None:
        begun = self._begun.get((strategy, target))
        named = f"{strategy!r} on {target!r}"
        if begun is None:
            wait = self._floor + max(limits.grace_period, HOUR) - at
            told = f"{named} may be one of the pairs forgotten for want of room ({self.config.max_pairs})"
            return Refusal(kind="full", reason=told, retry_in=wait) if wait > 0 else None
        grace = begun[-1] + limits.grace_period - at
        recent = [moment for moment in begun if moment + HOUR > at]
        full = len(recent) >= limits.max_per_hour
        hourly = recent[-limits.max_per_hour] + HOUR - at if full else 0.0
        if grace > 0:
            told = f"{named} began {at - begun[-1]:.0f} s ago, within its grace period of {limits.grace_period:g} s"
            return Refusal(kind="grace", reason=told, retry_in=max(grace, hourly))
        if full:
            told = f"{named} began {len(recent)} times in the last hour; at most {limits.max_per_hour} may"
            return Refusal(kind="hourly", reason=told, retry_in=hourly)
        return None

    def _remember(self, pair: tuple[str, str], at: float) -> None:
        begun = self._begun.pop(pair, None)
        if begun is None:
            begun = deque(maxlen=MOST_PER_HOUR)
        begun.append(at)
        if len(begun) > 1 and begun[-2] > at:
            begun = deque(sorted(begun), maxlen=MOST_PER_HOUR)
        while len(begun) > 1 and begun[0] + HOUR <= begun[-1]:
            begun.popleft()
        self._begun[pair] = begun

    def _make_room(self) -> None:
        """Drop the pairs that are oldest: those too old to matter, and those there is no room for."""
        latest = next(reversed(self._begun.values()), [0.0])[-1]
        while self._begun:
            pair, begun = next(iter(self._begun.items()))
            if begun[-1] + LONGEST_GRACE > latest:
                if len(self._begun) <= self.config.max_pairs:
                    return
                self._floor = max(self._floor, begun[-1])
                self.forgotten += 1
            del self._begun[pair]

    def _pair(self, pair: tuple[str, str], limits: _Limits, at: float) -> GracePair:
        begun = self._begun[pair]
        refusal = self._standing(*pair, limits, at)
        return GracePair(
            strategy=pair[0],
            target=pair[1],
            last_ago=at - begun[-1],
            last_hour=sum(moment + HOUR > at for moment in begun),
            retry_in=0.0 if refusal is None or refusal.retry_in is None else refusal.retry_in,
        )
