"""The virtual clock with several waiters at once: threads, event loops, and both."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.testing import FakeClock
from selfheal.testing import clock as module


def run_thread(target: Any) -> threading.Thread:
    """Start a thread that ends with the test."""
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def until_waiting(clock: FakeClock, waiters: int) -> None:
    """Wait, in real time, until so many wait on the clock."""
    for _ in range(60_000):
        if clock.waiters == waiters:
            return
        threading.Event().wait(0.001)
    raise AssertionError(f"{clock.waiters} waiters instead of {waiters}")


def test_wakes_and_deadlines_at_once_leave_the_clock_in_order() -> None:
    """A thread woken in the very moment of its deadline is counted as running once, so that later waits work."""
    clock = FakeClock()
    waker = clock.waker()
    rounds, done = 300, threading.Event()

    def run() -> None:
        for _ in range(rounds):
            waker.wait(1)
        done.set()

    thread = run_thread(run)

    def poke() -> None:
        while not done.is_set():
            waker.wake()

    poker = run_thread(poke)
    while not done.is_set():
        clock.advance(1)
    thread.join(60)
    poker.join(60)

    assert (clock.waiters, clock._waiting) == (0, {})


def test_coroutines_are_woken_in_order_each_at_its_moment() -> None:
    """Inside an event loop aadvance wakes sleepers in order, those that sleep again included."""
    clock, seen = FakeClock(), []

    async def tick(name: str, every: float, times: int) -> None:
        for _ in range(times):
            await clock.asleep(every)
            seen.append((name, clock.monotonic()))

    async def scenario() -> None:
        tasks = [asyncio.create_task(tick("a", 3, 3)), asyncio.create_task(tick("b", 4, 2))]
        await asyncio.sleep(0)
        await clock.aadvance(10)
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert seen == [("a", 1003.0), ("b", 1004.0), ("a", 1006.0), ("b", 1008.0), ("a", 1009.0)]
    assert clock.monotonic() == 1010.0


def test_a_loop_in_another_thread_is_given_time_to_sleep_again() -> None:
    """advance from outside wakes a coroutine that sleeps again and again at each of its moments."""
    clock, seen = FakeClock(), []

    async def tick() -> None:
        for _ in range(20):
            await clock.asleep(1)
            await asyncio.sleep(0)
            seen.append(clock.monotonic())

    thread = run_thread(lambda: asyncio.run(tick()))
    until_waiting(clock, 1)
    clock.advance(20)
    thread.join(60)

    assert seen == [1000.0 + n for n in range(1, 21)]


def test_aadvance_waits_for_threads_too() -> None:
    """A thread woken from inside an event loop is also let run to its next wait."""
    clock, seen = FakeClock(), []

    def run() -> None:
        for _ in range(5):
            clock.sleep(1)
            seen.append(clock.monotonic())

    thread = run_thread(run)
    until_waiting(clock, 1)
    asyncio.run(clock.aadvance(5))
    thread.join(60)

    assert seen == [1001.0, 1002.0, 1003.0, 1004.0, 1005.0]


def test_a_sleep_left_by_a_closed_loop_does_not_stop_the_clock() -> None:
    """A deadline whose event loop is gone is passed over."""
    clock = FakeClock()
    loop = asyncio.new_event_loop()
    task: Any = loop.create_task(clock.asleep(10))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(20)

    assert clock.monotonic() == 1020.0
    task.get_coro().close()
    task._log_destroy_pending = False


def test_a_thread_that_never_waits_again_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """advance gives a woken thread a bounded real time and then goes on."""
    monkeypatch.setattr(module, "_SETTLE", 0.05)
    clock, go = FakeClock(), threading.Event()

    def run() -> None:
        clock.sleep(1)
        go.wait(60)

    thread = run_thread(run)
    until_waiting(clock, 1)
    clock.advance(5)
    assert clock.monotonic() == 1005.0
    go.set()
    thread.join(60)


@settings(max_examples=30, deadline=None)
@given(deadlines=st.lists(st.integers(1, 50), min_size=1, max_size=12), step=st.integers(1, 60))
def test_any_steps_wake_everybody_at_their_moment(deadlines: list[int], step: int) -> None:
    """However an hour is cut into advances, every sleeper wakes at exactly its deadline, in order."""
    clock, seen = FakeClock(start=0.5), []

    async def sleeper(seconds: int) -> None:
        await clock.asleep(seconds)
        seen.append((clock.monotonic() - 0.5, seconds))

    async def scenario() -> None:
        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in deadlines]
        await asyncio.sleep(0)
        for _ in range(0, 50, step):
            await clock.aadvance(step)
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert seen == [(seconds, seconds) for seconds in sorted(deadlines)]
