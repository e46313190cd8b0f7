"""The token bucket machine, against an exact model with fractions, and its promise over any time span."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.resources.limiter_gcra import TokenBuckets

RATES = st.floats(0.01, 1000)
BURSTS = st.floats(1, 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 20)),
        st.tuples(st.just("take"), st.sampled_from("abc"), st.floats(0.1, 10)),
        st.tuples(st.just("change"), RATES, BURSTS),
    ),
    max_size=60,
)
NEAR = 1e-6


@attrs.define
class Model:
    """A token bucket in exact numbers."""

    rate: Fraction
    burst: Fraction
    tokens: Fraction = attrs.field()
    at: Fraction = Fraction(1000)

    @tokens.default
    def _full(self) -> Fraction:
        return self.burst

    def settle(self, now: float) -> None:
        passed = Fraction(now) - self.at
        self.tokens = min(self.burst, self.tokens + passed * self.rate)
        self.at = Fraction(now)

    def change(self, rate: float, burst: float) -> None:
        full = self.tokens == self.burst
        self.rate, self.burst = Fraction(rate), Fraction(burst)
        # A full bucket is as good as one that was never used: it is full by the new measure as well.
        self.tokens = self.burst if full else min(self.tokens, self.burst)


@given(RATES, BURSTS, STEPS)
@settings(max_examples=300)
def test_it_decides_as_the_model_does(rate: float, burst: float, steps: list[tuple[Any, ...]]) -> None:
    """Through any takes, pauses and changes of rate, it grants what the exact model grants, boundary cases apart."""
    machine, now = TokenBuckets(rate, burst, 10), 1000.0
    models = {key: Model(Fraction(rate), Fraction(burst)) for key in "abc"}
    for step in steps:
        if step[0] == "pass":
            now += step[1]
        for model in models.values():
            model.settle(now)
        if step[0] == "change":
            for model in models.values():
                if 0 < model.burst - model.tokens < NEAR:
                    return  # full or not: the two may differ by a rounding
            machine.change(step[1], step[2], now)
            for model in models.values():
                model.change(step[1], step[2])
        elif step[0] == "take":
            _, key, n = step
            model = models[key]
            assert machine.available(key, now) == pytest.approx(float(model.tokens), abs=1e-5)
            wait = machine.take(key, n, now)
            if abs(model.tokens - Fraction(n)) >= NEAR:
                assert (wait == 0.0) == (model.tokens >= n)
            if wait == 0.0:
                model.tokens -= Fraction(n)
            else:
                assert wait == pytest.approx(float((Fraction(n) - model.tokens) / model.rate), rel=1e-6, abs=1e-6)


@given(RATES, BURSTS, st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 10)), max_size=80))
@settings(max_examples=300)
def test_no_time_span_holds_more_than_burst_and_rate(
    rate: float, burst: float, asks: list[tuple[float, float]]
) -> None:
    """Between any two moments at most ``burst + rate * t`` tokens are given out."""
    machine, now = TokenBuckets(rate, burst, 10), 1000.0
    granted: list[tuple[float, float]] = []
    for pause, n in asks:
        now += pause
        if machine.take(None, n, now) == 0.0:
            granted.append((now, n))
    for i, (begin, _) in enumerate(granted):
        total = 0.0
        for end, n in granted[i:]:
            total += n
            assert total <= burst + rate * (end - begin) + 1e-6 * (1 + rate)


@given(RATES, BURSTS, st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 1)), min_size=1, max_size=40))
def test_a_told_wait_is_true(rate: float, burst: float, asks: list[tuple[float, float]]) -> None:
    """After exactly the wait that was told the tokens are there, and not a moment before."""
    machine, now = TokenBuckets(rate, burst, 10), 1000.0
    for pause, n in asks:
        now += pause
        wait = machine.take(None, n, now)
        if wait > 1e-6:
            assert machine.wait(None, n, now) == wait
            assert machine.take(None, n, now + wait * 0.999 - 1e-9) > 0.0
            now += wait
            assert machine.take(None, n, now) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.25, 1.0, 2.5])), max_size=150), st.integers(1, 4))
def test_keys_are_bounded_and_never_forgotten_while_in_use(asks: list[tuple[int, float]], most: int) -> None:
    """However many keys ask, no more are kept than may be, and each key keeps to its own bound all the same."""
    machine, now = TokenBuckets(1.0, 2.0, most), 1000.0
    granted: dict[int, list[float]] = {}
    for key, pause in asks:
        now += pause
        if machine.room(key, now) == 0.0 and machine.take(key, 1, now) == 0.0:
            granted.setdefault(key, []).append(now)
        assert len(machine) <= most
    for times in granted.values():
        for i, begin in enumerate(times):
            for count, end in enumerate(times[i:], start=1):
                assert count <= 2 + (end - begin) + 1e-6
