"""A clock that goes as fast as it is told to."""

from __future__ import annotations

import asyncio

from examples.reference_app.pace import PacedClock, paced
from selfheal.testing import FakeClock


def test_both_times_go_so_many_times_as_fast_from_now_on() -> None:
    """It agrees with the other one when it is made."""
    other = FakeClock(start=1000.0, wall=1_700_000_000.0)
    clock = PacedClock(100.0, other)
    assert (clock.monotonic(), clock.wall()) == (1000.0, 1_700_000_000.0)

    other.advance(3.0)

    assert (clock.monotonic(), clock.wall()) == (1300.0, 1_700_000_300.0)


def test_it_begins_where_an_earlier_life_ended() -> None:
    """Which may be later than now, and is nothing if it is before."""
    other = FakeClock(wall=1_700_000_000.0)

    assert PacedClock(10.0, other, not_before=1_700_009_000.0).wall() == 1_700_009_000.0
    assert PacedClock(10.0, other, not_before=1_600_000_000.0).wall() == 1_700_000_000.0


def test_who_waits_by_it_waits_for_less() -> None:
    """Sleeping, in a thread or a coroutine, and waiting to be woken: all a hundredth."""
    other = FakeClock(start=1000.0, autojump=True)
    clock = PacedClock(100.0, other)

    clock.sleep(300.0)
    asyncio.run(clock.asleep(300.0))
    waker = clock.waker()
    waker.wake()

    assert other.monotonic() == 1006.0
    assert waker.wait(300.0)
    assert waker.wait(0.0) is False


def test_at_the_usual_pace_it_is_the_other_clock() -> None:
    """Nothing stands between."""
    other = FakeClock()

    assert paced(1.0, other) is other
    assert isinstance(paced(2.0, other), PacedClock)
