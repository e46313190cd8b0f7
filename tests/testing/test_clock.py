"""The virtual clock: time moves when told, waiters wake at their own moment, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from selfheal.clock import Clock
from selfheal.testing import FakeClock

WAIT = 60.0


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start ``work`` in a thread."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    """Spin, bounded, until another thread got so far."""
    for _ in range(60_000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("the other thread did not get there")


def test_it_is_a_clock_that_does_not_start_at_zero() -> None:
    """It has what every clock has, and 0 is not its first value, so that "0 means never" is seen."""
    clock: Clock = FakeClock()

    assert clock.monotonic() == 1000.0
    assert clock.wall() == 1_700_000_000.0


def test_advance_moves_both_times() -> None:
    """Time passing is seen by both clocks."""
    clock = FakeClock(start=5.0, wall=100.0)
    clock.advance(2.5)
    clock.advance(0)

    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)


def test_jump_moves_the_wall_clock_alone() -> None:
    """A step of the wall clock, forth or back, is not seen by the monotonic one."""
    clock = FakeClock(start=5.0, wall=100.0)
    clock.jump(-3600.0)

    assert (clock.monotonic(), clock.wall()) == (5.0, -3500.0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_the_monotonic_clock_never_goes_back(seconds: float) -> None:
    """Advancing by less than nothing, or by no number, is refused."""
    with pytest.raises(ValueError, match=r"FakeClock\.advance takes 0 or more finite seconds"):
        FakeClock().advance(seconds)


def test_sleepers_wake_in_order_each_at_its_moment() -> None:
    """One long advance wakes each sleeper at exactly its own time, the earliest first."""
    clock, woke = FakeClock(), list[tuple[float, float]]()

    def sleeper(seconds: float) -> None:
        clock.sleep(seconds)
        woke.append((seconds, clock.monotonic()))

    threads = [in_thread(lambda s=s: sleeper(s)) for s in (30.0, 10.0, 20.0)]  # type: ignore[misc]
    until(lambda: clock.waiters == 3)
    clock.advance(100.0)
    for thread in threads:
        thread.join(WAIT)

    assert woke == [(10.0, 1010.0), (20.0, 1020.0), (30.0, 1030.0)]
    assert clock.monotonic() == 1100.0
    assert clock.waiters == 0


def test_a_loop_that_sleeps_again_runs_at_every_step() -> None:
    """A thread that waits again and again gets every one of its turns within one advance."""
    clock, ticks = FakeClock(), list[float]()

    def loop() -> None:
        for _ in range(5):
            clock.sleep(2.0)
            ticks.append(clock.monotonic())

    thread = in_thread(loop)
    until(lambda: clock.waiters == 1)
    clock.advance(10.0)
    thread.join(WAIT)

    assert ticks == [1002.0, 1004.0, 1006.0, 1008.0, 1010.0]


def test_a_sleeper_is_not_woken_early() -> None:
    """Just before its moment a sleeper still sleeps."""
    clock = FakeClock()
    thread = in_thread(lambda: clock.sleep(10.0))
    until(lambda: clock.waiters == 1)
    clock.advance(9.999)
    assert clock.waiters == 1
    clock.advance(0.001)
    thread.join(WAIT)

    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_nothing_to_wait_for_returns_at_once(seconds: float) -> None:
    """Zero and less is no wait."""
    clock = FakeClock()
    clock.sleep(seconds)
    asyncio.run(clock.asleep(seconds))

    assert clock.waker().wait(seconds) is False
    assert clock.monotonic() == 1000.0


def test_autojump_sleeps_without_waiting() -> None:
    """With autojump, sleeping of any kind moves the clock and returns."""
    clock = FakeClock(autojump=True)
    clock.sleep(60.0)
    asyncio.run(clock.asleep(60.0))

    assert clock.waker().wait(60.0) is False
    assert clock.monotonic() == 1180.0


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_waker_is_woken_from_another_thread(timeout: float | None) -> None:
    """A wake ends the wait, which tells so, and no deadline stays behind."""
    clock, told = FakeClock(), list[bool]()
    waker = clock.waker()
    thread = in_thread(lambda: told.append(waker.wait(timeout)))
    until(lambda: bool(clock._waiting))
    waker.wake()
    thread.join(WAIT)

    assert told == [True]
    assert clock.waiters == 0


def test_a_waker_times_out_by_the_clock() -> None:
    """A wait that nobody ends comes to its end when the clock says so, and tells it was not woken."""
    clock, told = FakeClock(), list[bool]()
    waker = clock.waker()
    thread = in_thread(lambda: told.append(waker.wait(60.0)))
    until(lambda: clock.waiters == 1)
    clock.advance(60.0)
    thread.join(WAIT)

    assert told == [False]


def test_a_wake_before_the_wait_counts_once() -> None:
    """As on the system clock: a wake that nobody waited for ends the next wait alone."""
    waker = FakeClock(autojump=True).waker()
    waker.wake()
    waker.wake()

    assert waker.wait(60.0) is True
    assert waker.wait(60.0) is False


def test_a_deadline_that_fires_on_a_woken_waiter_does_nothing() -> None:
    """When a wake and the deadline meet, the waiter leaves once, so that later waits are still seen."""
    clock, told = FakeClock(), list[bool]()
    waker = clock.waker()
    thread = in_thread(lambda: told.append(waker.wait(60.0)))
    until(lambda: clock.waiters == 1)
    expire = clock._due[0][2]
    waker.wake()
    thread.join(WAIT)

    assert expire() is None
    assert told == [True]
    assert clock._waiting == {}


def test_coroutines_wake_in_order_within_one_advance() -> None:
    """``aadvance`` lets each coroutine run at its moment, in order, also those that sleep again."""
    clock, woke = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *seconds: float) -> None:
        for each in seconds:
            await clock.asleep(each)
            woke.append((name, clock.monotonic()))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper("a", 5.0, 20.0)), asyncio.create_task(sleeper("b", 10.0))]
        await asyncio.sleep(0)
        await clock.aadvance(30.0)
        await asyncio.gather(*tasks)

    asyncio.run(main())

    assert woke == [("a", 1005.0), ("b", 1010.0), ("a", 1025.0)]
    assert clock.monotonic() == 1030.0


def test_a_cancelled_coroutine_leaves_no_deadline() -> None:
    """A sleep that is cancelled is forgotten by the clock."""
    clock = FakeClock()

    async def main() -> None:
        task = asyncio.create_task(clock.asleep(60.0))
        await asyncio.sleep(0)
        assert clock.waiters == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert clock.waiters == 0


def test_a_coroutine_is_woken_by_another_thread() -> None:
    """``advance`` from outside the event loop wakes who sleeps inside it."""
    clock, told = FakeClock(), list[float]()

    async def main() -> None:
        await clock.asleep(60.0)
        told.append(clock.monotonic())

    thread = in_thread(lambda: asyncio.run(main()))
    until(lambda: clock.waiters == 1)
    clock.advance(60.0)
    thread.join(WAIT)

    assert told == [1060.0]


def test_repr_tells_both_times() -> None:
    """A failing test shows what time it was."""
    assert repr(FakeClock(start=1.0, wall=2.0)) == "FakeClock(monotonic=1.0, wall=2.0)"
