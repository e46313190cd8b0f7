"""The grace period and the hourly limit: exact in calm times, never looser in others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.policies.grace import GraceConfig, GracePeriodTracker

T0 = 1_700_000_000.0


def kinds(tracker: GracePeriodTracker, wall: float, **options: Any) -> str | None:
    """Kind of the refusal of one and the same pair; ``None`` if it may begin."""
    refusal = tracker.check("s", "t", wall, **options)
    return None if refusal is None else refusal.kind


def test_the_grace_period_ends_exactly() -> None:
    """The same pair may begin again in the moment in which the grace period is over, and not before."""
    tracker = GracePeriodTracker()
    assert kinds(tracker, T0) is None
    tracker.begin("s", "t", T0)
    refusal = tracker.check("s", "t", T0 + 299)

    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("grace", 1.0)
    assert "'s' on 't' began 299 s ago" in refusal.reason
    assert kinds(tracker, T0 + 300) is None


def test_other_targets_and_strategies_are_others() -> None:
    """What began stands against the same strategy on the same target alone."""
    tracker = GracePeriodTracker()
    tracker.begin("s", "t", T0)

    assert tracker.check("s", "u", T0) is None
    assert tracker.check("r", "t", T0) is None


def test_the_fourth_in_an_hour_is_refused() -> None:
    """Three begin in any 3600 s, and the next when the first of them is an hour old."""
    tracker = GracePeriodTracker()
    for start in (0, 400, 800):
        assert kinds(tracker, T0 + start) is None
        tracker.begin("s", "t", T0 + start)
    refusal = tracker.check("s", "t", T0 + 1200)

    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("hourly", 2400.0)
    assert kinds(tracker, T0 + 3599) == "hourly"
    assert kinds(tracker, T0 + 3600) is None


def test_within_grace_and_over_the_limit_the_longer_wait_is_told() -> None:
    """The wait that a refusal tells is the one after which nothing stands against it."""
    tracker = GracePeriodTracker(grace_period=100.0, max_per_hour=2)
    tracker.begin("s", "t", T0)
    tracker.begin("s", "t", T0 + 100)
    refusal = tracker.check("s", "t", T0 + 150)

    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("grace", 3450.0)


def test_a_strategy_may_have_limits_of_its_own() -> None:
    """A check goes by the limits it is given, also long after the tracker's own are over."""
    tracker = GracePeriodTracker()
    tracker.begin("s", "t", T0)

    assert kinds(tracker, T0 + 20, grace_period=10.0) is None
    assert kinds(tracker, T0 + 20, grace_period=10.0, max_per_hour=1) == "hourly"
    assert kinds(tracker, T0 + 86_000, grace_period=86_400.0) == "grace"
    with pytest.raises(ConfigError, match="between 1 and 1000"):
        tracker.check("s", "t", T0, max_per_hour=0)


def test_a_wall_clock_set_back_opens_nothing_and_blocks_no_longer() -> None:
    """With the clock an hour back the remaining wait is what it was, to the second, and passes."""
    tracker = GracePeriodTracker()
    tracker.begin("s", "t", T0)
    refusal = tracker.check("s", "t", T0 + 100)
    back = tracker.check("s", "t", T0 - 3600)

    assert refusal is not None
    assert back is not None
    assert (refusal.retry_in, back.retry_in) == (200.0, 200.0)
    assert kinds(tracker, T0 - 3401) == "grace"
    assert kinds(tracker, T0 - 3400) is None


def test_a_wall_clock_set_forward_opens_nothing_with_the_monotonic_one_beside_it() -> None:
    """An hour that only the wall clock saw is no hour."""
    tracker = GracePeriodTracker()
    tracker.begin("s", "t", T0, now=1000.0)

    assert kinds(tracker, T0 + 7200, now=1010.0) == "grace"
    assert kinds(tracker, T0 + 7490, now=1300.0) is None


def test_what_began_before_a_restart_counts() -> None:
    """A restored tracker refuses as the old one did, in whatever order it was told."""
    tracker = GracePeriodTracker()
    tracker.restore([("s", "t", T0 - 100), ("s", "t", T0 - 900), ("s", "t", T0 - 500)], T0)
    refusal = tracker.check("s", "t", T0)

    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("grace", 2700.0)
    assert kinds(tracker, T0 + 200) == "hourly"
    assert kinds(tracker, T0 + 2700) is None


@pytest.mark.parametrize("moment", [T0 + 5000.0, float("inf"), float("nan")])
def test_a_beginning_in_the_future_is_one_of_now(moment: float) -> None:
    """After a restart with the clock set back, what lies ahead counts from now on."""
    tracker = GracePeriodTracker()
    tracker.restore([("s", "t", moment)], T0)

    assert kinds(tracker, T0 + 299) == "grace"
    assert kinds(tracker, T0 + 300) is None


def test_forgotten_pairs_are_refused_and_not_let_through() -> None:
    """A pair dropped for want of room is refused until no forgotten one can stand against it."""
    tracker = GracePeriodTracker(max_pairs=2)
    for number in range(3):
        tracker.begin("s", f"t{number}", T0 + number)

    assert len(tracker) == 2
    refusal = tracker.check("s", "t0", T0 + 10)
    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("full", 3590.0)
    assert tracker.check("s", "t0", T0 + 3600) is None
    assert tracker.check("s", "t1", T0 + 400) is None
    assert tracker.snapshot(T0 + 400).forgotten == 1


def test_pairs_older_than_any_grace_period_go_without_a_trace() -> None:
    """What is older than a week stands against nothing, and leaves no floor behind."""
    tracker = GracePeriodTracker(max_pairs=1)
    tracker.begin("s", "t", T0)
    tracker.begin("s", "u", T0 + 604_800)

    assert len(tracker) == 1
    assert tracker.forgotten == 0
    assert tracker.check("s", "t", T0 + 604_801) is None


def test_memory_of_one_pair_is_bounded() -> None:
    """Beginning ten thousand times unasked keeps a thousand moments, which is as many as a limit may count."""
    tracker = GracePeriodTracker(max_per_hour=1000)
    for number in range(10_000):
        tracker.begin("s", "t", T0 + number * 0.1)

    assert tracker.snapshot(T0 + 1000).pairs[0].last_hour == 1000
    assert kinds(tracker, T0 + 1300) == "hourly"


def test_the_snapshot_tells_what_matters_now() -> None:
    """Pairs with nothing against them any more are counted, not listed."""
    tracker = GracePeriodTracker()
    tracker.begin("s", "old", T0)
    tracker.begin("s", "new", T0 + 4000)
    snapshot = tracker.snapshot(T0 + 4100)

    assert [(pair.target, pair.last_ago, pair.last_hour, pair.retry_in) for pair in snapshot.pairs] == [
        ("new", 100.0, 1, 200.0)
    ]
    assert (snapshot.remembered, snapshot.grace_period, snapshot.max_per_hour) == (2, 300.0, 3)
    assert [(pair.target, pair.last_hour) for pair in tracker.snapshot(T0 + 7599).pairs] == [("new", 1)]
    assert tracker.snapshot(T0 + 7600).pairs == ()


def test_the_limits_come_from_a_file_too() -> None:
    """Plain data makes the same limits; what is wrong is told with its path."""
    assert structure({"grace_period": 60, "max_per_hour": 5}, GraceConfig) == GraceConfig(
        grace_period=60.0, max_per_hour=5
    )
    with pytest.raises(InvalidConfigError, match="guards.grace.grace_period must be between 0.0 and 604800.0 s"):
        structure({"grace_period": -1}, GraceConfig, "guards.grace")


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0.0, 2000.0), st.sampled_from(["", "back", "forward", "restart"])),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, most=st.integers(1, 4), grace=st.sampled_from([0.0, 300.0, 5000.0]), room=st.integers(1, 4))
def test_no_bound_is_ever_broken(steps: list[tuple[str, float, str]], most: int, grace: float, room: int) -> None:
    """Whatever is done to the wall clock, and with too little room, each pair keeps both bounds in real time."""
    tracker = GracePeriodTracker(grace_period=grace, max_per_hour=most, max_pairs=room)
    real, ahead = 1000.0, T0
    journal: list[tuple[str, str, float]] = []
    begun: dict[str, list[float]] = {}
    for target, passed, happens in steps:
        real += passed
        if happens == "restart":  # with a wall clock that is right
            tracker = GracePeriodTracker(grace_period=grace, max_per_hour=most, max_pairs=room)
            ahead = T0
            tracker.restore(journal, real + ahead, now=real)
        ahead += {"back": -4000.0, "forward": 4000.0}.get(happens, 0.0)
        if tracker.check("s", target, real + ahead, now=real) is None:
            mine = begun.setdefault(target, [])
            assert not mine or real - mine[-1] >= grace - 1e-3
            assert sum(moment > real - 3600 + 1e-3 for moment in mine) < most
            mine.append(real)
            tracker.begin("s", target, real + ahead, now=real)
            journal.append(("s", target, real + T0))


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2000)), max_size=60), most=st.integers(1, 4))
def test_in_calm_times_it_is_exact(steps: list[tuple[str, int]], most: int) -> None:
    """With a clock that only goes and room enough, it refuses exactly what a list of all moments forbids."""
    tracker = GracePeriodTracker(grace_period=300.0, max_per_hour=most)
    begun: dict[str, list[float]] = {}
    wall = T0
    for target, passed in steps:
        wall += passed
        mine = begun.setdefault(target, [])
        early = bool(mine) and wall - mine[-1] < 300
        often = sum(moment > wall - 3600 for moment in mine) >= most
        refusal = tracker.check("s", target, wall)
        assert (None if refusal is None else refusal.kind) == ("grace" if early else "hourly" if often else None)
        if refusal is None:
            mine.append(wall)
            tracker.begin("s", target, wall)
        else:
            assert refusal.retry_in is not None
            assert tracker_after(tracker, target, wall, refusal.retry_in)


def tracker_after(tracker: GracePeriodTracker, target: str, wall: float, wait: float) -> bool:
    """Whether a refusal told the very wait after which the pair may begin."""
    import copy

    late, early = copy.deepcopy(tracker), copy.deepcopy(tracker)
    return late.check("s", target, wall + wait) is None and early.check("s", target, wall + wait - 0.5) is not None
