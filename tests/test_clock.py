"""The system clock: the machine's own time, and wakers that wait by it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from selfheal.clock import SYSTEM_CLOCK, Clock, SystemClock


def test_it_is_a_clock() -> None:
    """The system clock has what every clock has."""
    clock: Clock = SYSTEM_CLOCK

    assert repr(clock) == "SystemClock()"


def test_its_times_are_the_machines_own_functions() -> None:
    """Both times are the built-in functions themselves, so that reading them costs no extra call."""
    assert SystemClock.monotonic is time.monotonic
    assert SystemClock.wall is time.time


@pytest.mark.parametrize("seconds", [0, -1.0])
def test_nothing_to_wait_for_returns_at_once(seconds: float) -> None:
    """Zero and less is no wait and no error, whether one sleeps, suspends or waits for a waker."""
    SYSTEM_CLOCK.sleep(seconds)
    asyncio.run(SYSTEM_CLOCK.asleep(seconds))

    assert SYSTEM_CLOCK.waker().wait(seconds) is False


def test_a_wake_before_the_wait_counts_once() -> None:
    """A wake that nobody waited for ends the next wait, and that one only."""
    waker = SYSTEM_CLOCK.waker()
    waker.wake()
    waker.wake()

    assert waker.wait(60.0) is True
    assert waker.wait(0) is False


@pytest.mark.parametrize("timeout", [None, 1e300, float("inf")])
def test_a_wake_ends_the_wait_of_another_thread(timeout: float | None) -> None:
    """A thread that waits, however long it meant to, is woken from another one."""
    waker, woken = SYSTEM_CLOCK.waker(), []
    thread = threading.Thread(target=lambda: woken.append(waker.wait(timeout)))
    thread.start()
    waker.wake()
    thread.join(60)

    assert woken == [True]
