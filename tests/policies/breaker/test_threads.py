"""Exact counts and limits under many threads."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from selfheal import BreakerRegistry, CircuitBreaker, CircuitOpenError, CountWindow, TimeWindow
from selfheal.policies.breaker import BreakerState
from tests.policies.breaker.conftest import Boom

pytestmark = pytest.mark.usefixtures("counting")

THREADS = 8
CALLS = 4_000
PROBING_CALLS = 1_200
"""Fewer in all than the probes it takes to close the circuit, so that it stays half-open."""


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Let threads change places as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def storm(work: Callable[[random.Random], None], calls: int = CALLS) -> None:
    """Run ``work`` many times in many threads at once; any error in one fails the test."""
    start = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def run(seed: int) -> None:
        dice = random.Random(seed)
        start.wait(60)
        try:
            for _ in range(calls):
                work(dice)
        except BaseException as error:  # shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"slow_call_duration": 10.0},
        {"window": CountWindow(size=50, minimum_calls=20)},
        {"window": TimeWindow(seconds=0.05, minimum_calls=5)},
        {"failure_result": lambda result: result == "bad"},
    ],
    ids=["consecutive", "timed", "count window", "time window", "results"],
)
def test_every_call_is_counted_once(options: dict[str, object]) -> None:
    """While trips, probes and resets go on, each call ends in exactly one count, and none is lost."""
    breaker = CircuitBreaker(
        "storm",
        registry=BreakerRegistry(),
        open_for=0.0005,
        permanent_threshold=None,
        ignore=KeyError,
        **options,  # type: ignore[arg-type]
    )
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    @breaker
    def target(dice: random.Random) -> str:
        fate = dice.random()
        if fate < 0.25:
            raise Boom
        if fate < 0.3:
            raise KeyError
        if fate < 0.31:
            raise KeyboardInterrupt
        return "fine"

    def work(dice: random.Random) -> None:
        if dice.random() < 0.001:
            breaker.reset(force=True)
        try:
            target(dice)
            what = "good"
        except Boom:
            what = "bad"
        except CircuitOpenError:
            what = "refused"
        except KeyError:
            what = "ignored"
        except KeyboardInterrupt:
            what = "cancelled"
        with lock:
            seen[what] += 1

    storm(work)
    counts = breaker.snapshot()
    assert sum(seen.values()) == THREADS * CALLS
    assert counts.rejected == seen["refused"]
    told = counts.successes + counts.failures + counts.ignored + counts.cancelled + counts.late
    assert told == seen["good"] + seen["bad"] + seen["ignored"] + seen["cancelled"]
    assert counts.successes <= seen["good"]
    assert counts.failures <= seen["bad"]
    assert counts.opened_count > 0


def test_counts_are_exact_while_nothing_trips() -> None:
    """With no trip there is nothing late: successes and failures are exactly what callers saw."""
    breaker = CircuitBreaker("calm", registry=BreakerRegistry(), failure_threshold=10_000, permanent_threshold=None)
    bad = Counter[str]()

    @breaker
    def target(fail: bool) -> None:
        if fail:
            raise Boom

    def work(dice: random.Random) -> None:
        if dice.random() < 0.5:
            target(False)
        else:
            with pytest.raises(Boom):
                target(True)
            bad[threading.current_thread().name] += 1

    storm(work)
    counts = breaker.snapshot()
    failures = sum(bad.values())
    assert (counts.failures, counts.successes) == (failures, THREADS * CALLS - failures)
    assert (counts.late, counts.rejected) == (0, 0)


def test_a_success_many_generations_late_is_counted() -> None:
    """However often the circuit moves on while a call is under way, its success is counted, late, and then let go."""
    breaker = CircuitBreaker("late", registry=BreakerRegistry())

    @breaker
    def target() -> None:
        for _ in range(50):
            breaker.trip("test")
            breaker.reset()

    target()

    assert (breaker.snapshot().late, breaker.snapshot().successes) == (1, 0)
    assert breaker._circuit._retired == []


@pytest.mark.parametrize("probes", [1, 2])
def test_probes_never_exceed_their_limit(probes: int) -> None:
    """Whatever the interleaving, at most as many probes are inside at once as are allowed."""
    breaker = CircuitBreaker(
        "probes", registry=BreakerRegistry(), half_open_probes=probes, success_threshold=10_000, open_for=0.0
    )
    breaker.trip("test")
    lock = threading.Lock()
    inside = most = 0

    @breaker
    def target() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    def work(_: random.Random) -> None:
        try:
            target()
        except CircuitOpenError as refused:
            assert refused.state == "HALF_OPEN"

    storm(work, PROBING_CALLS)
    assert 1 <= most <= probes
    assert breaker.state is BreakerState.HALF_OPEN
