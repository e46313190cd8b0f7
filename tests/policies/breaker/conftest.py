"""What the breaker's tests share: a virtual clock and breakers of their own registry."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest

from selfheal import BreakerRegistry, CircuitBreaker, EventBus
from selfheal.policies.breaker import circuit
from selfheal.policies.breaker.counter import AnyCounter, Counter
from selfheal.policies.breaker.sharded import ShardedCounter
from selfheal.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def bus() -> EventBus:
    """Events of this test alone."""
    return EventBus()


@pytest.fixture
def make(clock: FakeClock, bus: EventBus) -> Callable[..., CircuitBreaker]:
    """Make a breaker that nothing else knows of."""

    def made(name: str = "db", **options: Any) -> CircuitBreaker:
        return CircuitBreaker(name, clock=clock, events=bus, registry=BreakerRegistry(), **options)

    return made


@pytest.fixture(params=[Counter, ShardedCounter], ids=["one count", "a count for each thread"])
def kind(request: pytest.FixtureRequest) -> Callable[[int, Lock], AnyCounter]:
    """Both counters: that of an interpreter with, and that of one without a global lock."""
    made: Callable[[int, Lock], AnyCounter] = request.param
    return made


@pytest.fixture
def counting(kind: Callable[[int, Lock], AnyCounter], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have circuits that are made from now on count by one of the two."""
    monkeypatch.setattr(circuit, "new_counter", kind)


class Boom(Exception):
    """A failure of the target."""


def fail_times(breaker: CircuitBreaker, times: int, text: str = "boom") -> None:
    """Let ``times`` calls through the breaker fail."""

    def target() -> None:
        raise Boom(text)

    for _ in range(times):
        with pytest.raises(Boom):
            breaker.call(target)
