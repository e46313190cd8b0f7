"""The adaptive limit: converges, stays, follows changes; permits, slots and the queue."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.errors import ConcurrencyLimitedError, ConfigError
from selfheal.resources import AdaptiveLimit
from selfheal.resources.limiter_vegas import Evidence
from selfheal.testing import FakeClock
from tests.resources.limits import SERVICE, Aimd, Gradient2, Server, exponential, machine, noisy

PATIENCE = 60.0


def until(condition: Callable[[], object]) -> None:
    """Wait, in real time and bounded, for what threads have to do first."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.0005)


def test_it_holds_a_short_queue_where_others_drift() -> None:
    """Behind twenty places it settles just above twenty; Gradient2 ends at its maximum, AIMD swings for ever."""
    ours, gradient, aimd = (Server(rule, 20) for rule in (machine(initial=20, maximum=200), Gradient2(), Aimd()))
    for server in (ours, gradient, aimd):
        server.run(600)
    late = sorted({limit for at, limit in ours.limits if at > 100})

    assert late == [11, 23]  # eleven while it measures
    assert 1.1 <= ours.mean_latency(100) / SERVICE <= 1.2
    assert gradient.mean_limit(500) == 200
    assert gradient.mean_latency(500) / SERVICE == pytest.approx(10, rel=0.01)
    swing = {limit for at, limit in aimd.limits if at > 500}
    assert max(swing) - min(swing) > 20


@given(st.integers(1, 60), st.integers(1, 120), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.8]))
@settings(max_examples=15)
def test_it_converges_and_never_swings_for_ever(capacity: int, initial: int, seed: int, spread: float) -> None:
    """From any start, at any capacity and with noise, it comes to a band around the capacity and stays in it."""
    server = Server(machine(initial=initial, maximum=400, remeasure=30), capacity, noisy(seed, spread))
    server.run(60 + capacity + 8 * initial / capacity)
    settled = server.now
    rule = server.rule
    held = []
    for _ in range(60):
        server.run(1)
        held.append(rule.limit)  # type: ignore[attr-defined]

    root = capacity**0.5
    assert capacity - (1 + 2 * spread) * root - 1 <= min(held)  # noise makes the latency without a queue uncertain
    assert max(held) <= capacity + 3 * root + 4
    turns = [b - a for a, b in itertools.pairwise(held) if b != a]
    assert len(turns) <= 15, held
    assert server.mean_latency(settled) <= SERVICE * (1 + (3 * root + 4) / capacity) * 1.1


@pytest.mark.parametrize("capacity", [5, 20, 60])
def test_it_stays_in_a_band_under_wildly_spread_service_times(capacity: int) -> None:
    """With exponential service times the limit stays between half and twice the capacity or so."""
    server = Server(machine(initial=10, remeasure=30), capacity, exponential(7))
    server.run(300)

    late = {limit for at, limit in server.limits if at > 150}
    assert 0.25 * capacity <= min(late)  # while it measures, half the limit holds
    assert max(late) <= 2 * capacity + 6


def test_it_grows_with_the_capacity_and_falls_with_it() -> None:
    """When places are added or taken away the limit follows."""
    server = Server(machine(initial=10), 10)
    server.run(60)
    assert 10 <= server.rule.limit <= 14  # type: ignore[attr-defined]
    server.free += [server.now] * 30
    server.run(120)
    assert 40 <= server.rule.limit <= 48  # type: ignore[attr-defined]
    server.free = sorted(server.free)[:10]
    server.run(120)
    assert 10 <= server.rule.limit <= 16  # type: ignore[attr-defined]


def test_latency_that_is_not_ours_does_not_keep_the_limit_down() -> None:
    """When the service itself becomes three times as slow, the new latency is learnt and the limit comes back."""
    server = Server(machine(initial=20), 20, lambda now: SERVICE if now < 60 else 3 * SERVICE)
    server.run(240)

    assert 20 <= server.rule.limit <= 26  # type: ignore[attr-defined]


def test_idle_times_do_not_move_it() -> None:
    """While fewer are under way than may be, good latency is no reason to grow."""
    server = Server(machine(initial=20), 100)
    server.demand = 8
    server.run(200)

    assert server.rule.limit == 20  # type: ignore[attr-defined]


def test_measuring_takes_a_small_share_of_the_time() -> None:
    """Half the limit holds only for one cohort now and then, ever more rarely."""
    server = Server(machine(initial=20, remeasure=30), 20)
    server.run(1200)

    low = sum(1 for at, limit in server.limits if at > 60 and limit < 20)
    assert 0 < low < 0.01 * len(server.limits)


def test_failures_lower_it_and_their_end_raises_it() -> None:
    """A cohort with more than a tenth failures lowers the limit by a fifth, down to the minimum, for a time."""
    rule = machine(initial=50, minimum=2)
    now = 0.0

    def cohort(evidence: Evidence) -> None:
        nonlocal now
        permits = [rule.begin(now, index + 1) for index in range(max(50, 2 * rule.limit))]
        now += 0.1
        for permit in permits:
            rule.record(permit, now - 0.1, now, evidence)

    cohort(Evidence.FAILURE)
    assert rule.limit == 40
    for _ in range(20):
        cohort(Evidence.FAILURE)
    assert rule.limit == 2
    for _ in range(20):
        cohort(Evidence.SUCCESS)
    assert rule.limit > 10


@given(st.lists(st.floats(0, 1000), max_size=100))
def test_dropped_permits_are_no_evidence(latencies: list[float]) -> None:
    """Whatever is dropped, however late, moves nothing."""
    rule = machine(initial=50)
    now = 0.0
    for latency in latencies * 3:
        permit = rule.begin(now, 60)
        rule.record(permit, now, now + latency, Evidence.DROPPED)
        now += latency

    assert (rule.limit, rule.baseline, rule.latency) == (50, None, None)


def test_another_takes_the_place_of_a_dropped_one() -> None:
    """A cohort is judged on as many results as it is to have: for one that was dropped another joins."""
    rule = machine(initial=10)
    permits = [rule.begin(0.0, 1) for _ in range(50)]
    assert rule.begin(0.0, 1) == 0
    rule.record(permits[0], 0.0, 0.0, Evidence.DROPPED)
    assert rule.begin(0.0, 1) == permits[0]


def test_a_hung_permit_does_not_hold_the_judgement_up() -> None:
    """When the last of a cohort do not come back they count with the time they are out."""
    rule = machine(initial=10)
    permits = [rule.begin(0.0, index + 1) for index in range(50)]
    for permit in permits[:49]:
        rule.record(permit, 0.0, 0.1, Evidence.SUCCESS)
    assert rule.latency is None
    later = rule.begin(2.9, 2)
    rule.record(later, 2.9, 3.0, Evidence.SUCCESS)
    assert rule.latency == pytest.approx((49 * 0.1 + 3.0) / 50)
    rule.record(permits[49], 0.0, 90.0, Evidence.SUCCESS)
    assert rule.latency == pytest.approx((49 * 0.1 + 3.0) / 50)


# Permits, slots and the queue


def test_as_many_as_the_limit() -> None:
    """No more permits than the limit are out at once; one given back makes room for one."""
    limit = AdaptiveLimit(initial=2)
    first, second = limit.try_acquire(), limit.try_acquire()
    assert first is not None
    assert second is not None
    assert limit.try_acquire() is None
    first.succeed()
    first.fail()
    first.drop()
    assert limit.in_flight == 1
    assert limit.try_acquire() is not None
    assert limit.try_acquire() is None

    seen = limit.snapshot()
    assert (seen.succeeded, seen.failed, seen.dropped, seen.refused, seen.in_flight) == (1, 0, 0, 2, 2)


def test_a_slot_tells_success_failure_and_no_evidence() -> None:
    """A block that ends succeeded, a time-out failed, another error or a cancellation says nothing."""
    limit = AdaptiveLimit(initial=2)
    with limit.slot():
        pass
    for error in (TimeoutError, KeyError, asyncio.CancelledError):
        with pytest.raises(error), limit.slot():
            raise error
    with limit.slot() as permit:
        permit.drop()

    seen = limit.snapshot()
    assert (seen.succeeded, seen.failed, seen.dropped, seen.in_flight) == (1, 1, 3, 0)


def test_a_slot_serves_coroutines() -> None:
    """``async with`` works the same, and a cancelled block is dropped."""
    limit = AdaptiveLimit(initial=1, failures=(ConnectionError,))

    async def main() -> None:
        async with limit.slot():
            assert limit.in_flight == 1
        with pytest.raises(ConnectionError):
            async with limit.slot():
                raise ConnectionError

        async def hang() -> None:
            async with limit.slot():
                await asyncio.Event().wait()

        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    seen = limit.snapshot()
    assert (seen.succeeded, seen.failed, seen.dropped, seen.in_flight) == (1, 1, 1, 0)


def test_one_slot_is_one_block_at_a_time() -> None:
    """A slot that is entered twice at once says so."""
    slot = AdaptiveLimit().slot()
    with slot, pytest.raises(RuntimeError, match="one block at a time"):
        slot.__enter__()


def test_without_a_queue_it_refuses_at_once() -> None:
    """By default nobody waits: the refusal says how many are under way."""
    limit = AdaptiveLimit(initial=1, name="search")
    with limit.slot(), pytest.raises(ConcurrencyLimitedError, match="limit 'search': refused, no more may wait"):
        limit.acquire()


def test_waiters_are_served_in_order() -> None:
    """Those who wait get their places in order of arrival; the queue is bounded; nobody overtakes."""
    limit = AdaptiveLimit(initial=1, max_waiting=2)
    held = limit.acquire()
    order: list[int] = []

    def ask(index: int) -> None:
        permit = limit.acquire()
        order.append(index)
        permit.succeed()

    threads = []
    for index in range(2):
        threads.append(threading.Thread(target=ask, args=(index,)))
        threads[-1].start()
        until(lambda: limit.snapshot().waiting == len(threads))
    assert limit.try_acquire() is None
    with pytest.raises(ConcurrencyLimitedError, match="no more may wait"):
        limit.acquire()
    held.succeed()
    for thread in threads:
        thread.join(PATIENCE)

    assert order == [0, 1]
    assert limit.in_flight == 0


def test_waiting_ends_at_the_timeout() -> None:
    """A thread and a coroutine that find no place in time are refused and leave the queue."""
    clock = FakeClock()
    limit = AdaptiveLimit(initial=1, max_waiting=5, clock=clock)
    held = limit.acquire()
    told: list[str] = []

    def ask() -> None:
        try:
            limit.acquire(timeout=2)
        except ConcurrencyLimitedError as error:
            told.append(error.why)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: clock.waiters == 1)
    clock.advance(2)
    thread.join(PATIENCE)

    async def main() -> None:
        task = asyncio.create_task(limit.aacquire(timeout=2))
        for _ in range(5):
            await asyncio.sleep(0)
        await clock.aadvance(2)
        with pytest.raises(ConcurrencyLimitedError, match="no place came free in time"):
            await task

    asyncio.run(main())
    with pytest.raises(ConcurrencyLimitedError, match="no place is free"):
        limit.acquire(timeout=0)
    assert told == ["no place came free in time"]
    assert limit.snapshot().waiting == 0
    held.drop()
    assert limit.in_flight == 0


def test_a_cancelled_waiter_takes_no_place() -> None:
    """Cancelling a waiter, before or at the moment in which it is granted a place, loses none."""
    limit = AdaptiveLimit(initial=1, max_waiting=5)

    async def main() -> None:
        held = await limit.aacquire()
        waiting = asyncio.create_task(limit.aacquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert limit.snapshot().waiting == 0

        granted = asyncio.create_task(limit.aacquire())
        await asyncio.sleep(0)
        held.succeed()
        granted.cancel()
        await asyncio.gather(granted, return_exceptions=True)
        assert limit.in_flight == 0

    asyncio.run(main())


def test_threads_never_exceed_it() -> None:
    """Under many threads never more are in the block than the limit."""
    limit = AdaptiveLimit(initial=4, minimum=4, maximum=4, max_waiting=100)
    inside, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with limit.slot():
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert most <= 4
    assert limit.in_flight == 0
    assert limit.snapshot().succeeded == 600


def test_a_fork_leaves_what_is_under_way_behind() -> None:
    """In a child nothing is under way; a permit of the parent given back there changes nothing."""
    limit = AdaptiveLimit(initial=1)
    held = limit.acquire()

    pid = os.fork()
    if pid == 0:
        before = limit.in_flight
        held.succeed()
        mine = limit.try_acquire()
        os._exit(0 if before == 0 and mine is not None and limit.in_flight == 1 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert limit.in_flight == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"initial": 0}, r"AdaptiveLimitConfig\.initial must be an integer"),
        ({"initial": 5, "maximum": 4}, r"AdaptiveLimitConfig\.initial must be from minimum to maximum, 1 to 4"),
        ({"minimum": 9, "maximum": 4}, r"AdaptiveLimitConfig\.maximum must be at least minimum, 9"),
        ({"initial": True}, r"AdaptiveLimitConfig\.initial"),
        ({"max_waiting": -1}, r"AdaptiveLimitConfig\.max_waiting"),
        ({"remeasure": 0}, r"AdaptiveLimitConfig\.remeasure"),
        ({"failures": [TimeoutError]}, r"AdaptiveLimit\.failures must be a tuple"),
        ({"failures": (5,)}, r"AdaptiveLimit\.failures must be a tuple"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        AdaptiveLimit(**options)


def test_from_config() -> None:
    """Plain data makes a limit; what is not accepted is told with its path in the file."""
    made = AdaptiveLimit.from_config({"initial": 5, "maximum": 50, "name": "search"})
    assert (made.limit, made.name) == (5, "search")
    with pytest.raises(ConfigError, match=r"levers\.search\.maximum must be"):
        AdaptiveLimit.from_config({"maximum": "many"}, "levers.search")
