"""The breaker, driven through its public face, against a plain model: all states, modes and clocks."""

from __future__ import annotations

import asyncio
import functools
import itertools
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from selfheal import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitOpenError,
    CountWindow,
    ExponentialBackoff,
    TimeWindow,
)
from selfheal.errors import ResetRefusedError
from selfheal.events import BreakerStateChanged, EventBus
from selfheal.policies.breaker import BreakerState, Guard
from selfheal.testing import FakeClock
from tests.policies.breaker.model import ModelBreaker

rates = st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0])
windows = st.one_of(
    st.none(),
    st.builds(
        lambda size, part, **kw: CountWindow(size=size, minimum_calls=max(1, int(size * part)), **kw),
        st.integers(1, 12),
        st.sampled_from([0.1, 0.5, 1.0]),
        failure_rate=rates,
        slow_call_rate=st.none() | rates,
    ),
    st.builds(
        TimeWindow,
        seconds=st.sampled_from([8.0, 64.0]),
        buckets=st.sampled_from([1, 4, 8]),
        minimum_calls=st.integers(1, 8),
        failure_rate=rates,
        slow_call_rate=st.none() | rates,
    ),
)


def _bad(result: object) -> bool:
    return result == "bad"


@st.composite
def configs(draw: st.DrawFn) -> BreakerConfig:
    """Rules of every kind; calls are timed and results looked at only sometimes, for each has its own hot path."""
    window = draw(windows)
    timed = draw(st.booleans()) or (window is not None and window.slow_call_rate is not None)
    return BreakerConfig(
        window=window,
        slow_call_duration=1.0 if timed else None,
        failure_result=draw(st.none() | st.just(_bad)),
        failure_threshold=draw(st.integers(1, 4)),
        open_for=draw(st.sampled_from([0.0, 5.0, 60.0])),
        open_backoff=draw(st.none() | st.just(ExponentialBackoff(base=2.0, cap=16.0))),
        half_open_probes=draw(st.integers(1, 3)),
        success_threshold=draw(st.integers(1, 3)),
        probe_timeout=draw(st.sampled_from([3.0, 30.0])),
        permanent_threshold=draw(st.none() | st.integers(1, 12)),
        open_on=("too many requests",),
        ignore=(KeyError,),
        retry_after_cap=100.0,
    )


class TooMany(Exception):
    """An error that says when to come back."""

    def __init__(self, wait: float) -> None:
        super().__init__("Too Many Requests")
        self.retry_after = wait


class BreakerAgainstModel(RuleBasedStateMachine):
    """Every way of calling and steering; after each step both must show the same."""

    @initialize(config=configs())
    def begin(self, config: BreakerConfig) -> None:
        self.clock = FakeClock()
        self.events: list[BreakerStateChanged] = []
        bus = EventBus()
        bus.subscribe(self.events.append, BreakerStateChanged, inline=True)
        self.breaker = CircuitBreaker("it", config, clock=self.clock, events=bus, registry=BreakerRegistry())
        self.model = ModelBreaker(config, self.clock.monotonic())
        self.open_calls: list[tuple[Guard, int, float]] = []
        self.sync = self.breaker(self.behave)
        self.generic = self.breaker(functools.partial(self.behave))
        self.coroutine = self.breaker(self.abehave)

    def behave(self, what: str, slow: bool, wait: float = 0.0) -> str:
        if slow:
            self.clock.advance(1.5)
        if what == "error":
            raise ValueError("broken")
        if what == "unauthorized":
            raise RuntimeError("outer") from PermissionError("401 Unauthorized")
        if what == "too many":
            raise TooMany(wait)
        if what == "ignored":
            raise KeyError("not its fault")
        if what == "cancelled":
            raise asyncio.CancelledError
        return what

    async def abehave(self, what: str, slow: bool, wait: float = 0.0) -> str:
        return self.behave(what, slow, wait)

    OUTCOMES: ClassVar[dict[str, tuple[str, dict[str, Any]]]] = {
        "good": ("successes", {}),
        "bad": ("failures", {}),
        "error": ("failures", {}),
        "unauthorized": ("failures", {"permanent": True}),
        "too many": ("failures", {"opens": True}),
        "ignored": ("ignored", {}),
        "cancelled": ("cancelled", {}),
    }

    @rule(
        what=st.sampled_from(["good"] * 5 + ["error"] * 4 + ["bad", "too many", "ignored", "cancelled"]),
        slow=st.booleans(),
        way=st.sampled_from(["sync", "generic", "async", "call", "guard"]),
        wait=st.sampled_from([0.0, 20.0, 1e6]),
    )
    def call(self, what: str, slow: bool, way: str, wait: float) -> None:
        self._call(what, slow, way, wait)

    @rule(way=st.sampled_from(["sync", "async", "guard"]))
    def call_unauthorized(self, way: str) -> None:
        self._call("unauthorized", False, way, 0.0)

    def _call(self, what: str, slow: bool, way: str, wait: float) -> None:
        started = self.model.begin(self.clock.monotonic())
        before = self.clock.monotonic()
        try:
            if way == "async":
                asyncio.run(self.coroutine(what, slow, wait))
            elif way == "guard":
                with self.breaker.guard() as guard:
                    guard.succeed(self.behave(what, slow, wait))
            elif way == "call":
                self.breaker.call(self.behave, what, slow, wait=wait)
            else:
                (self.sync if way == "sync" else self.generic)(what, slow, wait=wait)
        except CircuitOpenError as refused:
            assert started is None
            assert refused.retry_after is None or refused.retry_after >= 0
            return
        except (ValueError, RuntimeError, TooMany, KeyError, asyncio.CancelledError):
            pass
        assert started is not None
        outcome, found = self.OUTCOMES[what]
        if what == "bad" and self.model.c.failure_result is None:
            outcome = "successes"
        if what == "too many":
            found = {**found, "retry_after": wait}
        self.model.end(started, outcome, self.clock.monotonic(), self._is_slow(before), **found)

    def _is_slow(self, began: float) -> bool:
        return self.model.c.slow_call_duration is not None and self.clock.monotonic() - began > 1.0

    @precondition(lambda self: len(self.open_calls) < 6)
    @rule()
    def hold_a_call(self) -> None:
        started = self.model.begin(self.clock.monotonic())
        guard = self.breaker.guard()
        try:
            guard.__enter__()
        except CircuitOpenError:
            assert started is None
        else:
            assert started is not None
            self.open_calls.append((guard, started, self.clock.monotonic()))

    @precondition(lambda self: self.open_calls)
    @rule(pick=st.integers(0, 5), what=st.sampled_from(["successes", "failures", "cancelled"]))
    def end_a_held_call(self, pick: int, what: str) -> None:
        guard, call, began = self.open_calls.pop(pick % len(self.open_calls))
        now = self.clock.monotonic()
        {"successes": guard.succeed, "failures": guard.fail, "cancelled": guard.cancel}[what]()
        self.model.end(call, what, now, self._is_slow(began))

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 8.0, 61.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def wall_clock_steps(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule()
    def trip(self) -> None:
        self.breaker.trip("by hand")
        if self.model.state is not BreakerState.PERMANENT_OPEN:
            self.model.open(self.clock.monotonic(), by_hand=True)

    @rule(way=st.sampled_from(["FORCED_OPEN", "DISABLED", "METRICS_ONLY"]))
    def force(self, way: str) -> None:
        act = {"FORCED_OPEN": "force_open", "DISABLED": "disable", "METRICS_ONLY": "metrics_only"}[way]
        if self.model.state is BreakerState.PERMANENT_OPEN:
            with pytest.raises(ResetRefusedError):
                getattr(self.breaker, act)("by hand")
        else:
            getattr(self.breaker, act)("by hand")
            if self.model.state is not BreakerState(way):
                self.model.enter(BreakerState(way))

    @rule(force=st.booleans())
    def reset(self, force: bool) -> None:
        expected = self.model.reset(force)
        if expected == "refused":
            with pytest.raises(ResetRefusedError):
                self.breaker.reset(force=force)
        else:
            assert self.breaker.reset(force=force, reason="test", by="me") is (expected == "changed")

    @invariant()
    def shows_the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        seen, counts = self.breaker.snapshot(), self.model.counts
        assert seen.state is self.model.state
        assert seen.failure_count == self.model.streak
        assert (seen.successes, seen.failures, seen.ignored) == (
            counts["successes"],
            counts["failures"],
            counts["ignored"],
        )
        assert (seen.rejected, seen.cancelled, seen.late, seen.slow_calls) == (
            counts["rejected"],
            counts["cancelled"],
            counts["late"],
            counts["slow"],
        )
        assert (seen.permanent_open_reason is not None) == (seen.state is BreakerState.PERMANENT_OPEN)
        if self.model.c.window is not None:
            judged = self.model.in_window(self.clock.monotonic())
            if seen.state in (BreakerState.CLOSED, BreakerState.METRICS_ONLY):
                assert seen.failure_rate == (self.model.share(judged, 1) if judged else None)
        moves = [(event.old, event.new) for event in self.events]
        assert all(old != new or old == "OPEN" for old, new in moves)
        assert all(first[1] == second[0] for first, second in itertools.pairwise(moves))


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(max_examples=500, stateful_step_count=50, deadline=None)
