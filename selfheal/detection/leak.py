"""Memory that leaks: floors of half-hour blocks that grow, keep growing, and will hit the limit. Pure.

What a naive trend test takes for a leak, and what stands against it here:

- teeth of a garbage collector: only the lowest value of each half hour counts, and growth has to be 2.5 times the
  deepest fall of these floors;
- noise with a memory (autoregressive): Kendall's tau is judged with the autocorrelation that the residuals have,
  and growth against that of random walks;
- a warm-up: the last third has to grow at least half as fast as the whole;
- the time of day: where at least two days before are known, their shape by half hour of local time is taken off; where
  they are not, nothing that lasted less than 18 h counts, unless memory would run out within 6 h.

Source: Theil (1950) and Sen (1968) for the slope; Mann (1945) and Kendall (1955) for the test; Hamed and Rao (1998)
for its variance under autocorrelation.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

import attrs

from selfheal.detection.intake import EARLIEST, LATEST
from selfheal.detection.leak_past import Blocks, Past, past_of
from selfheal.errors import ConfigError
from selfheal.validators import a_zone, between

HOUR = 3600.0
DAY = 86_400.0
MOST_BLOCKS = 1344


@attrs.frozen(kw_only=True)
class LeakConfig:
    """What counts as a leak.

    Args:
        block: seconds of which the lowest value is one floor.
        keep: seconds of floors that are kept; at least two days more than ``window`` to know the time of day.
        window: seconds that a trend is looked for in, at most.
        min_span: seconds that it has to last, once the shape of the day is known.
        unseasoned_span: seconds that it has to last before that: longer than anything by day goes up.
        urgent: seconds; what will have run out by then counts after ``min_span`` in any case.
        horizon: seconds; what takes longer to run out is no leak to act on.
        min_growth: percent of the limit that it has to have grown by; of the level at its beginning without a limit.
        significance: probability of such a tau by chance, at most; a tenth of it for what lasts less than
            ``unseasoned_span``.
        drop_ratio: growth has to be so many times the deepest fall of the floors.
        still: share of the whole slope that the last third has to have.
        zone: time zone whose time of day counts.

    Raises:
        ConfigError: if a value is out of range.
    """

    block: float = attrs.field(default=1800.0, validator=between(60.0, 7200.0, "s"))
    keep: float = attrs.field(default=7 * DAY, validator=between(HOUR, 14 * DAY, "s"))
    window: float = attrs.field(default=DAY, validator=between(HOUR, 7 * DAY, "s"))
    min_span: float = attrs.field(default=6 * HOUR, validator=between(600.0, 7 * DAY, "s"))
    unseasoned_span: float = attrs.field(default=18 * HOUR, validator=between(600.0, 7 * DAY, "s"))
    urgent: float = attrs.field(default=6 * HOUR, validator=between(0.0, DAY, "s"))
    horizon: float = attrs.field(default=7 * DAY, validator=between(HOUR, 90 * DAY, "s"))
    min_growth: float = attrs.field(default=2.0, validator=between(0.0, 100.0, "%"))
    significance: float = attrs.field(default=0.002, validator=between(1e-9, 0.5))
    drop_ratio: float = attrs.field(default=2.5, validator=between(0.0, 100.0))
    still: float = attrs.field(default=0.5, validator=between(0.0, 1.0))
    zone: str = attrs.field(default="UTC", validator=a_zone)


class Floor(NamedTuple):
    """One block: which one since 1970, its lowest and its highest value."""

    number: int
    low: float
    high: float


@attrs.frozen(kw_only=True)
class Leak:
    """Memory that grows, and will run out.

    Args:
        since: wall seconds at which the trend began, as far as it was looked for.
        span: seconds that it has lasted.
        per_hour: by how much the floor grows, in the unit of the samples.
        growth: by how much it grew in all.
        p: probability of such a trend by chance.
        exhausted_in: seconds until the peaks reach the limit; ``None`` where no limit is known.
        seasonal: whether the shape of the day was known and taken off.
    """

    since: float
    span: float
    per_hour: float
    growth: float
    p: float
    exhausted_in: float | None
    seasonal: bool


class LeakDetector:
    """Watches the memory of one process, or of one host.

    Missing values, values that are not finite and times that no calendar has are left out; what is older than the
    latest is dropped. Bounded: one floor for each block of ``keep``, some 30 KB.

    Args:
        limit: at which it is exhausted, in the unit of the samples; ``None`` where there is none.
        config: what counts as a leak.

    Raises:
        ConfigError: if the limit is not above 0.

    >>> detector = LeakDetector(limit=100.0)
    >>> for minute in range(19 * 60):
    ...     detector.observe(60.0 * minute, 40.0 + minute / 60.0)
    >>> round(detector.leak.per_hour, 2), round(detector.leak.exhausted_in / 3600.0)
    (1.0, 42)
    """

    def __init__(self, limit: float | None = None, config: LeakConfig | None = None) -> None:
        if limit is not None and not 0.0 < limit < math.inf:
            raise ConfigError("LeakDetector.limit", limit, "a finite number above 0, or None", "None")
        self.config = config or LeakConfig()
        self.limit = limit
        self.leak: Leak | None = None
        self._floors: deque[Floor] = deque(maxlen=min(int(self.config.keep // self.config.block), MOST_BLOCKS))
        self._open: Floor | None = None
        self._latest = -math.inf

    @property
    def floors(self) -> tuple[Floor, ...]:
        """The blocks that are over, oldest first."""
        return tuple(self._floors)

    def observe(self, t: float, x: float) -> None:
        """Take a sample; ``leak`` is looked at anew whenever a block is over.

        Args:
            t: wall seconds.
            x: memory in use; bytes or percent.
        """
        if not (math.isfinite(x) and EARLIEST <= t <= LATEST) or t < self._latest:
            return
        self._latest = t
        number = int(t // self.config.block)
        now = self._open
        if now is None or now.number == number:
            self._open = Floor(number, x, x) if now is None else Floor(number, min(now.low, x), max(now.high, x))
            return
        self._floors.append(now)
        self._open = Floor(number, x, x)
        self.leak = find_leak(self._floors, self.limit, self.config)

    def growth_per_hour(self, since: float) -> float:
        """Slope of the floors since a moment, in the unit of the samples; 0 if fewer than four are known."""
        first = int(since // self.config.block)
        recent = [floor for floor in self._floors if floor.number >= first]
        if len(recent) < 4:
            return 0.0
        slope, _ = _sen([floor.number for floor in recent], [floor.low for floor in recent])
        return slope * HOUR / self.config.block


def find_leak(floors: Sequence[Floor], limit: float | None = None, config: LeakConfig | None = None) -> Leak | None:
    """Look for a leak that goes on at the latest of some floors.

    Args:
        floors: oldest first.
        limit: at which memory is exhausted, or ``None``.
        config: what counts as a leak.
    """
    config = config or LeakConfig()
    if not floors:
        return None
    now = floors[-1].number
    longest = int(config.window // config.block)
    recent = [floor for floor in floors if floor.number > now - longest]
    before = {floor.number: floor.low for floor in floors if floor.number <= now - longest}
    past = past_of(before, [floor.number for floor in recent], Blocks(config.block, config.zone))
    lows = [floor.low - past.above(floor.number) for floor in recent]
    least = max(int(config.min_span // config.block), 8)
    lasting = int(config.unseasoned_span // config.block)
    lengths = {longest, *(length for length in (least, 2 * least, lasting) if length < longest)}
    for length in sorted(lengths, reverse=True):
        start = next(i for i, floor in enumerate(recent) if floor.number > now - length)
        found = _trend(recent[start:], lows[start:], limit, config, past)
        if found is not None:
            return found
    return None


def _trend(
    floors: Sequence[Floor], lows: Sequence[float], limit: float | None, config: LeakConfig, past: Past
) -> Leak | None:
    """The leak that these floors show, if they show one. What is cheap is looked at first."""
    blocks = floors[-1].number - floors[0].number + 1
    if blocks < max(config.min_span // config.block, 8) or len(floors) < 0.75 * blocks:
        return None
    third = max(len(lows) // 3, 1)
    late, fall = median(lows[-third:]), _deepest_fall(lows)
    grown = late - median(lows[:third])
    if grown <= 0.0 or late < past.highest or grown < config.drop_ratio * 2.0 / 3.0 * fall:
        return None
    xs = [floor.number for floor in floors]
    slope, s = _sen(xs, lows)
    growth = slope * (xs[-1] - xs[0])
    whole = limit if limit is not None else abs(lows[0])
    if slope <= 0.0 or growth < config.min_growth / 100.0 * whole or growth < config.drop_ratio * fall:
        return None
    last = [i for i, x in enumerate(xs) if x > xs[-1] - blocks / 3.0]
    if _sen([xs[i] for i in last], [lows[i] for i in last])[0] < config.still * slope:
        return None
    p = _chance(xs, lows, slope, s)
    exhausted_in = None
    if limit is not None:
        peak = max(floor.high for floor in floors[-max(len(floors) // 6, 2) :])
        exhausted_in = max(limit - peak, 0.0) / slope * config.block
    span = blocks * config.block
    urgent = exhausted_in is not None and exhausted_in <= config.urgent
    lasting = span >= config.unseasoned_span
    strict = config.significance if lasting else 0.1 * config.significance  # many short spans are looked at, few long
    if (
        p > strict
        or not (lasting or past.known or urgent)
        or (exhausted_in is not None and exhausted_in > config.horizon)
    ):
        return None
    return Leak(
        since=floors[0].number * config.block,
        span=span,
        per_hour=slope * HOUR / config.block,
        growth=growth,
        p=p,
        exhausted_in=exhausted_in,
        seasonal=past.known,
    )


def _deepest_fall(lows: Sequence[float]) -> float:
    """By how much a floor ever lay below one before it."""
    highest, fall = -math.inf, 0.0
    for low in lows:
        highest = max(highest, low)
        fall = max(fall, highest - low)
    return fall


def _sen(xs: Sequence[int], ys: Sequence[float]) -> tuple[float, int]:
    """Theil–Sen slope, and Kendall's S: pairs that rise minus pairs that fall."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(zip(xs, ys, strict=True), 2)]
    s = sum((slope > 0.0) - (slope < 0.0) for slope in slopes)
    return (median(slopes), s) if slopes else (0.0, 0)


def _chance(xs: Sequence[int], ys: Sequence[float], slope: float, s: int) -> float:
    """Probability of such a trend by chance: the lower of two, doubled for having looked twice.

    One is that of Kendall's S with the autocorrelation that the residuals have; it can say little of a few blocks whose
    residuals are smooth. The other is how often a random walk, the worst of noise, comes as near to a line: growth over
    the spread of the residuals, its tail fitted to 200,000 walks of 12 to 48 steps.
    """
    n = len(ys)
    rest = [y - slope * x for x, y in zip(xs, ys, strict=True)]
    middle = sum(rest) / n
    power = sum((r - middle) ** 2 for r in rest)
    together = sum((a - middle) * (b - middle) for a, b in pairwise(rest))
    spread = math.sqrt(power / n)
    growth = slope * (xs[-1] - xs[0])
    if spread <= 1e-6 * growth:
        return 1e-300
    rho = min(max(together / power + 3.0 / n, 0.0), 0.9)
    variance = n * (n - 1) * (2 * n + 5) / 18.0 * (1.0 + rho) / (1.0 - rho)
    by_order = 0.5 * math.erfc((s - 1) / math.sqrt(2.0 * variance))
    by_walk = math.pow(10.0, -min((growth / spread - 1.5) / 6.0, 300.0))
    return min(2.0 * min(by_order, by_walk), 1.0)
