"""How many may be under way at once, learnt from latency: a pure machine, no clock, no lock."""

from __future__ import annotations

import enum
import math

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between, name

_FEWEST, _MOST = 50, 1000
"""Permits in a cohort: twice the limit, within these."""
_SIGNIFICANT = 3.0
"""Standard errors by which a mean must differ to count as another."""
_FAILING = 0.1
"""Share of failures from which a cohort says that there is too much under way."""
_LATE = 20.0
"""Mean latencies after which the last tenth of a cohort is waited for no longer."""
_MOST_PATIENCE = 4


class Evidence(enum.Enum):
    """What became of a permit."""

    SUCCESS = "success"
    FAILURE = "failure"
    DROPPED = "dropped"


@attrs.frozen(kw_only=True)
class AdaptiveLimitConfig:
    """The settings of an :class:`~selfheal.resources.AdaptiveLimit`.

    Args:
        minimum: the limit never falls below it.
        maximum: the limit never rises above it.
        initial: the limit at the start.
        name: for errors and snapshots.
        max_waiting: callers that may wait for a place; 0: whoever finds none is refused at once.
        remeasure: seconds between two looks at the latency without a queue; doubles up to 16 times that as
            long as they find it unchanged.

    Raises:
        ConfigError: if a value is out of range.
    """

    minimum: int = attrs.field(default=1, validator=between(1, 1_000_000))
    maximum: int = attrs.field(default=1000, validator=between(1, 1_000_000))
    initial: int = attrs.field(default=10, validator=between(1, 1_000_000))
    name: str = attrs.field(default="limit", validator=name)
    max_waiting: int = attrs.field(default=0, validator=between(0, 1_000_000))
    remeasure: float = attrs.field(default=60.0, validator=between(1.0, 86_400.0, "s"))

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.minimum:
            told = f"at least minimum, {self.minimum}"
            raise ConfigError("AdaptiveLimitConfig.maximum", self.maximum, told, "1000")
        if not self.minimum <= self.initial <= self.maximum:
            bounds = f"from minimum to maximum, {self.minimum} to {self.maximum}"
            raise ConfigError("AdaptiveLimitConfig.initial", self.initial, bounds, "10")


@attrs.frozen(kw_only=True)
class AdaptiveLimitSnapshot:
    """An adaptive limit at one moment. Counts are since it was made.

    Args:
        name: of the limit.
        limit: how many may be under way.
        measuring: whether half of that holds for the moment, to see the latency without a queue.
        in_flight: how many are under way.
        waiting: callers that wait for a place.
        baseline: latency without a queue in seconds, ``None`` if not known yet.
        latency: mean latency of the last cohort in seconds, ``None`` before the first.
        succeeded: permits that came back with success.
        failed: permits that came back with failure.
        dropped: permits that came back without evidence.
        refused: callers that got none.
    """

    name: str
    limit: int
    measuring: bool
    in_flight: int
    waiting: int
    baseline: float | None
    latency: float | None
    succeeded: int
    failed: int
    dropped: int
    refused: int


class _Cohort:
    """The first permits after a change of the limit: judged together, once all have come back.

    Judging the first *results* instead would judge the quick ones: those that are slow come later.
    """

    __slots__ = (
        "began",
        "failures",
        "issued",
        "number",
        "open",
        "peak",
        "size",
        "squares",
        "started",
        "successes",
        "total",
    )

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size = number, size
        self.issued = self.open = self.successes = self.failures = self.peak = 0
        self.total = self.squares = self.started = self.began = 0.0

    def join(self, now: float) -> None:
        if self.issued == 0:
            self.began = now
        self.issued += 1
        self.open += 1
        self.started += now

    def leave(self, started: float, now: float, evidence: Evidence) -> None:
        self.open -= 1
        self.started -= started
        if evidence is Evidence.SUCCESS:
            self.successes += 1
            self.total += now - started
            self.squares += (now - started) ** 2
        elif evidence is Evidence.FAILURE:
            self.failures += 1
        else:
            self.issued -= 1  # no evidence: another may take its place

    def is_over(self, now: float) -> bool:
        if self.issued < self.size:
            return False
        if self.open == 0:
            return True
        few = self.open <= 0.1 * self.size
        return few and self.successes > 0 and now - self.began > _LATE * self.total / self.successes

    @property
    def failing(self) -> bool:
        return self.failures > _FAILING * (self.failures + self.successes)

    def mean(self, now: float) -> float:
        """Mean latency in seconds; those still out count with the time they are out already."""
        return (self.total + self.open * now - self.started) / (self.successes + self.open)

    @property
    def error(self) -> float:
        """Standard error of that mean."""
        n = max(self.successes, 1)
        return math.sqrt(max(self.squares / n - (self.total / n) ** 2, 0.0) / n)


class ConcurrencyMachine:
    """Finds the limit at which a small queue begins to form behind what it guards, and stays there.

    With ``b`` the latency without a queue and ``r`` that of a cohort of ``L`` under way, ``L * (1 - b / r)`` of
    them are queued. The limit grows while that is below half the square root of the limit, falls when it is
    above the square root plus one, and stays in between. What keeps it from swinging: a cohort begins after the
    change it judges; between the bounds nothing moves; each turn from growing to falling or back makes
    it ask for one more cohort that agrees before it moves.

    The latency without a queue is measured: at the start, and then and when, the limit is halved for one cohort.

    Source: Brakmo, Peterson, "TCP Vegas" (1995), on requests as in Netflix's concurrency-limits; cohorts, the
    measured baseline and the growing patience are ours.
    """

    def __init__(self, config: AdaptiveLimitConfig) -> None:
        self.config = config
        self.limit = self.ceiling = config.initial
        self.baseline: float | None = None
        self.latency: float | None = None
        self.measuring = False
        self._measure_at, self._pause = -math.inf, config.remeasure
        self._heading = self._last_wish = self._agreeing = self._steady = 0
        self._patience = 1
        self._cohort = _Cohort(1, self._size())

    def _size(self) -> int:
        return max(_FEWEST, min(2 * self.ceiling, _MOST))

    def begin(self, now: float, in_flight: int) -> int:
        """Count a permit given out at ``now``, with which ``in_flight`` are under way; return its cohort, or 0."""
        cohort = self._cohort
        cohort.peak = max(cohort.peak, in_flight)
        if cohort.issued >= cohort.size:
            return 0
        cohort.join(now)
        return cohort.number

    def record(self, number: int, started: float, now: float, evidence: Evidence) -> None:
        """Count what became of a permit of cohort ``number``; the last of a cohort may move the limit."""
        cohort = self._cohort
        if number == cohort.number:
            cohort.leave(started, now, evidence)
        if cohort.is_over(now):
            self._judge(cohort, now)
            self._cohort = _Cohort(cohort.number + 1, self._size())

    def forget(self) -> None:
        """Begin a new cohort: those who hold permits will not come back."""
        self._cohort = _Cohort(self._cohort.number + 1, self._size())

    def _judge(self, cohort: _Cohort, now: float) -> None:
        if cohort.failing:
            self.measuring = False
            self._settle(min(self.limit - 1, int(self.limit * 0.8)))
            return
        mean = self.latency = cohort.mean(now)
        if self.measuring:
            self._measured(mean, cohort.error, now)
            return
        if self.baseline is None:
            self.baseline = mean
        elif mean + _SIGNIFICANT * cohort.error < self.baseline:
            self.baseline += 0.5 * (mean - self.baseline)
        if now >= self._measure_at and cohort.peak >= 0.5 * self.limit and self.limit > self.config.minimum:
            self.measuring = True
            self.ceiling = max(self.config.minimum, min(self.limit, cohort.peak) // 2)
            return
        self._steer(min(cohort.peak, self.limit), cohort.peak, mean, now)

    def _measured(self, mean: float, error: float, now: float) -> None:
        """Take over what half the limit showed; if it was quicker still, half of that is looked at next."""
        before = mean if self.baseline is None else self.baseline
        changed = abs(mean - before) > max(0.1 * before, _SIGNIFICANT * error)
        quicker = changed and mean < before
        self.measuring = False
        self.baseline = mean if changed else before + 0.5 * (mean - before)
        self._pause = self.config.remeasure if changed else min(2 * self._pause, 16 * self.config.remeasure)
        self._measure_at = now if quicker else now + self._pause
        self._settle(self.ceiling if quicker else self.limit)

    def _steer(self, under_way: int, peak: int, mean: float, now: float) -> None:
        queued = under_way * (1 - (self.baseline or mean) / mean) if mean > 0 else 0.0
        root = math.sqrt(self.limit)
        low, high = 0.5 * root, root + 1
        wish = 1 if queued < low and peak >= self.limit else -1 if queued > high else 0
        self._agreeing = self._agreeing + 1 if wish == self._last_wish else 1
        self._last_wish = wish
        if wish == 0 or self._agreeing < self._patience:
            return
        self._agreeing = 0
        self._turn(wish)
        if wish < 0 and self._steady % 3 == 0 and self._steady:
            self._measure_at = now  # it falls and falls: perhaps the latency is not ours
        step = low - queued if wish > 0 else (queued - (low + high) / 2) / 2
        self._settle(self.limit + wish * max(1, int(step)))

    def _turn(self, wish: int) -> None:
        """Grow patient with each turn, and lose that again when it goes one way for long."""
        if self._heading not in (0, wish):
            self._patience = min(self._patience + 1, _MOST_PATIENCE)
            self._steady = 0
        else:
            self._steady += 1
            if self._steady >= 4:
                self._patience = 1
        self._heading = wish

    def _settle(self, limit: int) -> None:
        self.limit = self.ceiling = min(max(limit, self.config.minimum), self.config.maximum)
