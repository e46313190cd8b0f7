"""A simulated server with a queue, driven as fast as a limit allows; and the rules of others for comparison."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Protocol

from selfheal.resources.limiter_vegas import AdaptiveLimitConfig, ConcurrencyMachine, Evidence

SERVICE = 0.1


class Rule(Protocol):
    """A rule that finds a limit."""

    @property
    def ceiling(self) -> int: ...

    def begin(self, now: float, in_flight: int) -> int: ...

    def record(self, number: int, started: float, now: float, evidence: Evidence) -> None: ...


class Gradient2:
    """The rule of that name in Netflix's concurrency-limits, for comparison."""

    def __init__(self, initial: float = 20, maximum: int = 200) -> None:
        self.limit, self.maximum, self.long = initial, maximum, 0.0
        self.window: list[float] = []

    @property
    def ceiling(self) -> int:
        return int(self.limit)

    def begin(self, now: float, in_flight: int) -> int:
        return in_flight

    def record(self, number: int, started: float, now: float, evidence: Evidence) -> None:
        self.window.append(now - started)
        if len(self.window) < max(10, self.limit):
            return
        short = sum(self.window) / len(self.window)
        self.window.clear()
        self.long = short if self.long == 0 else self.long + (short - self.long) * 2 / 601
        if self.long / short > 2:
            self.long *= 0.95
        gradient = max(0.5, min(1.0, 1.5 * self.long / short))
        self.limit = min(max(self.limit * 0.8 + 0.2 * (self.limit * gradient + 4), 1), self.maximum)


class Aimd:
    """Additive increase, multiplicative decrease at a latency of twice the service, for comparison."""

    def __init__(self, initial: float = 20, maximum: int = 200) -> None:
        self.limit, self.maximum = initial, maximum

    @property
    def ceiling(self) -> int:
        return int(self.limit)

    def begin(self, now: float, in_flight: int) -> int:
        return in_flight

    def record(self, number: int, started: float, now: float, evidence: Evidence) -> None:
        if now - started > 2 * SERVICE:
            self.limit = max(self.limit * 0.9, 1)
        elif number * 2 >= self.limit:
            self.limit = min(self.limit + 1, self.maximum)


def machine(**options: int | float) -> ConcurrencyMachine:
    """Our rule."""
    return ConcurrencyMachine(AdaptiveLimitConfig(**options))  # type: ignore[arg-type]


class Server:
    """``capacity`` places and a queue before them, always offered as much as the rule (or ``demand``) allows.

    Each call takes ``service(now)`` seconds of a place. ``limits`` holds the rule's ceiling over time,
    ``latencies`` what callers saw.
    """

    def __init__(self, rule: Rule, capacity: int, service: Callable[[float], float] | None = None) -> None:
        self.rule, self.service = rule, service or (lambda now: SERVICE)
        self.free = [0.0] * capacity
        self.now, self.demand = 0.0, 10**9
        self.limits: list[tuple[float, int]] = []
        self.latencies: list[tuple[float, float]] = []
        self._out: list[tuple[float, int, float, int]] = []
        self._calls = 0

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            while len(self._out) < min(self.rule.ceiling, self.demand):
                self._start()
            done, _, started, number = heapq.heappop(self._out)
            self.now = done
            self.rule.record(number, started, done, Evidence.SUCCESS)
            self.limits.append((done, self.rule.ceiling))
            self.latencies.append((done, done - started))

    def _start(self) -> None:
        at = max(self.now, heapq.heappop(self.free))
        done = at + self.service(self.now)
        heapq.heappush(self.free, done)
        self._calls += 1
        number = self.rule.begin(self.now, len(self._out) + 1)
        heapq.heappush(self._out, (done, self._calls, self.now, number))

    def mean_limit(self, since: float) -> float:
        seen = [limit for at, limit in self.limits if at >= since]
        return sum(seen) / len(seen)

    def mean_latency(self, since: float) -> float:
        seen = [latency for at, latency in self.latencies if at >= since]
        return sum(seen) / len(seen)


def noisy(seed: int, spread: float) -> Callable[[float], float]:
    """Service times spread evenly around the mean."""
    draws = random.Random(seed)
    return lambda now: SERVICE * (1 + spread * draws.uniform(-1, 1))


def exponential(seed: int) -> Callable[[float], float]:
    """Service times as spread as those of a queueing textbook."""
    draws = random.Random(seed)
    return lambda now: draws.expovariate(1 / SERVICE)
