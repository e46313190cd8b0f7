"""The pure machine of the healer: values in, decisions out."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from selfheal.healing import GuardName, HealerConfig, Lane, Outcome
from selfheal.healing.machine import HealerMachine, Permit, Refused


def machine(most: int = 100, **options: Any) -> HealerMachine:
    """A machine whose n-th wait is n seconds."""
    return HealerMachine(HealerConfig(**options), most, float)


def begin(m: HealerMachine, now: float, lane: Lane = Lane.HEALING) -> Permit:
    """Begin a healing that has to be let."""
    permit = m.acquire(lane, None, now)
    assert isinstance(permit, Permit)
    return permit


def refusal(m: HealerMachine, now: float, lane: Lane = Lane.HEALING) -> tuple[GuardName, float | None]:
    """Guard and wait of a healing that has to be refused."""
    refused = m.acquire(lane, None, now)
    assert isinstance(refused, Refused)
    return refused.guard, refused.retry_in


def test_what_stands_outside_comes_first() -> None:
    """A refusal by flags, dormancy or breaker is taken as it is, before backoff and place."""
    m = machine()
    m.record(begin(m, 1000.0), Outcome.FAILED, 1000.0)
    standing = Refused(GuardName.FLAGS, "off")

    assert m.acquire(Lane.HEALING, standing, 1000.0) is standing
    assert refusal(m, 1000.0) == (GuardName.BACKOFF, 1.0)
    assert m.refused == {GuardName.FLAGS: 1, GuardName.BACKOFF: 1}


def test_a_wait_ends_exactly_at_its_end() -> None:
    """A healing may begin in the moment in which the wait is over."""
    m = machine()
    m.record(begin(m, 1000.0), Outcome.FAILED, 1010.0)

    assert refusal(m, 1010.5) == (GuardName.BACKOFF, 0.5)
    begin(m, 1011.0)


def test_an_outcome_is_taken_once() -> None:
    """The same permit recorded again counts nothing."""
    m = machine()
    permit = begin(m, 1000.0)
    first = m.record(permit, Outcome.FAILED, 1000.0)
    again = m.record(permit, Outcome.FAILED, 1000.0)

    assert (first.counted, first.failures, first.wait) == (True, 1, 1.0)
    assert (again.counted, again.failures) == (False, 1)
    assert m.outcomes == {Outcome.FAILED: 1}


def test_a_late_failure_does_not_shorten_a_longer_wait() -> None:
    """With several at once the longest wait holds."""
    m = machine(concurrency=2)
    one, two = begin(m, 1000.0), begin(m, 1000.0)
    m.record(one, Outcome.FAILED, 1500.0)
    m.record(two, Outcome.FAILED, 1400.0)

    assert m.retry_in(Lane.HEALING, 1400.0) == 101.0


def test_the_limit_is_told_at_the_failure_that_reaches_it() -> None:
    """The failure_limit-th failure in a row, and not the one before, says that healing has to stop."""
    m = machine(failure_limit=3)
    told = [m.record(begin(m, 1000.0 + 100 * n), Outcome.FAILED, 1000.0 + 100 * n).limit_reached for n in range(3)]

    assert told == [False, False, True]


def test_lanes_wait_apart_and_share_place_and_budget() -> None:
    """A failing lane does not hold the other up; the place and the hour's budget are one."""
    m = machine(most=3)
    m.record(begin(m, 1000.0), Outcome.FAILED, 1000.0)
    permit = begin(m, 1000.0, Lane.PREVENTIVE)
    assert refusal(m, 1001.0) == (GuardName.BUSY, None)
    m.record(permit, Outcome.HEALED, 1001.0)
    assert m.failures == {Lane.HEALING: 1, Lane.PREVENTIVE: 0}
    m.record(begin(m, 1001.0), Outcome.HEALED, 1001.0)

    assert refusal(m, 1001.0, Lane.PREVENTIVE) == (GuardName.BUDGET, 3599.0)


def test_nothing_begins_until_a_jump_has_settled() -> None:
    """After a jump both lanes are refused with the time left, up to the very moment in which it is over."""
    m = machine(settle=30.0)
    assert m.settling(1000.0) == 0.0
    m.jumped(1000.0)

    assert refusal(m, 1000.0) == (GuardName.SETTLING, 30.0)
    assert refusal(m, 1029.5, Lane.PREVENTIVE) == (GuardName.SETTLING, 0.5)
    assert (m.settling(1029.5), m.retry_in(Lane.HEALING, 1029.5)) == (0.5, 0.5)
    assert m.refused == {GuardName.SETTLING: 2}
    begin(m, 1030.0)


def test_a_second_jump_starts_the_time_over() -> None:
    """Settling begins anew with each jump, neither adding up nor ending with the first."""
    m = machine(settle=30.0)
    m.jumped(1000.0)
    m.jumped(1020.0)

    assert refusal(m, 1030.0) == (GuardName.SETTLING, 20.0)
    begin(m, 1050.0)


def test_settling_is_told_before_the_backoff_and_after_what_stands_outside() -> None:
    """With several guards against it the refusal names the one that is asked first; the longest wait is shown."""
    m = machine(settle=30.0)
    m.record(begin(m, 1000.0), Outcome.FAILED, 1100.0)
    m.jumped(1100.0)
    standing = Refused(GuardName.DORMANCY, "dormant")

    assert m.acquire(Lane.HEALING, standing, 1100.0) is standing
    assert refusal(m, 1100.0) == (GuardName.SETTLING, 30.0)
    assert m.retry_in(Lane.HEALING, 1100.5) == 29.5


def test_neither_a_resume_nor_an_outcome_ends_settling() -> None:
    """A healing under way when the clock jumps ends as it ends; a resume clears failures, not the jump."""
    m = machine(settle=30.0)
    permit = begin(m, 1000.0)
    m.jumped(1000.0)
    assert m.record(permit, Outcome.HEALED, 1001.0).counted
    m.reset()

    assert refusal(m, 1002.0) == (GuardName.SETTLING, 28.0)


def test_a_settle_time_of_0_is_none() -> None:
    """Switched off, a jump refuses nothing, not even in its own moment."""
    m = machine(settle=0.0)
    m.jumped(1000.0)

    begin(m, 1000.0)


@given(st.lists(st.tuples(st.floats(0, 2000), st.sampled_from(Outcome)), max_size=60), st.integers(1, 5))
def test_no_window_of_an_hour_holds_more_than_the_budget(steps: list[tuple[float, Outcome]], most: int) -> None:
    """However time passes and healings end, no 3600 s hold more beginnings than the budget."""
    m, now, begun = machine(most=most), 1000.0, list[float]()
    for passes, outcome in steps:
        now += passes
        permit = m.acquire(Lane.HEALING, None, now)
        if isinstance(permit, Permit):
            begun.append(now)
            m.record(permit, outcome, now)

    assert all(sum(start <= other < start + 3600 for other in begun) <= most for start in begun)
