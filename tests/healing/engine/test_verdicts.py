"""Whether a healing helped, by measurements newer than its last action."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.conditions import All, Not, condition_from
from selfheal.healing.engine.verdicts import (
    Judgement,
    Verdict,
    cleared_condition,
    first_comparison,
    judge_effects,
    judge_samples,
    moved,
)

HOT = cleared_condition(condition_from("cpu > 80 for 5m clear 70"))


def judge(*values: float, before: float | None = 90.0, needed: int = 3, tolerance: float = 0.05) -> Judgement:
    """Judge new values of ``cpu``."""
    return judge_samples(HOT, {"cpu": values}, before, needed=needed, tolerance=tolerance, labels={})


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((60.0, 60.0, 60.0), Verdict.FIXED),
        ((75.0, 75.0, 75.0), Verdict.IMPROVED),
        ((89.0, 90.0, 91.0), Verdict.UNCHANGED),
        ((99.0, 99.0, 99.0), Verdict.WORSE),
        ((60.0, 60.0), Verdict.UNKNOWN),
        ((), Verdict.UNKNOWN),
        ((60.0, math.nan, 60.0), Verdict.UNKNOWN),
        ((99.0, 60.0, 99.0, 60.0, 60.0), Verdict.FIXED),
        ((60.0, 60.0, 60.0, 99.0, 99.0), Verdict.WORSE),
    ],
)
def test_the_median_of_the_latest_values_is_judged_against_the_clear_threshold(
    values: tuple[float, ...], verdict: Verdict
) -> None:
    """Below ``clear`` it is fixed; above, the way it went counts; too few values tell nothing."""
    assert judge(*values).verdict is verdict


@given(st.lists(st.floats(0, 200), max_size=6), st.integers(1, 5))
def test_it_is_fixed_only_with_enough_values_of_which_half_are_below(values: list[float], needed: int) -> None:
    """Whatever the values: a fix needs as many as are asked for, and a median at or below the threshold."""
    latest = sorted(values[-needed:])
    fixed = judge(*values, needed=needed).verdict is Verdict.FIXED
    enough = len(values) >= needed
    assert fixed == (enough and (latest[(needed - 1) // 2] + latest[needed // 2]) / 2 <= 70)


def test_a_threshold_from_below_is_judged_the_other_way_round() -> None:
    """For a success rate that is too low, falling is worse and rising is better."""
    low = cleared_condition(condition_from("rate < 0.5 clear 0.8"))
    judged = [
        judge_samples(low, {"rate": [value]}, 0.4, needed=1, tolerance=0.05, labels={}).verdict
        for value in (0.2, 0.7, 0.9)
    ]
    assert judged == [Verdict.WORSE, Verdict.IMPROVED, Verdict.FIXED]


def test_of_several_metrics_all_have_to_be_known_unless_one_decides() -> None:
    """With ``and`` one metric that is well decides; one that is unknown beside one that is ill does not."""
    both = cleared_condition(condition_from("cpu > 80 and memory > 80"))
    fresh = {"cpu": [90.0], "memory": [float("nan")]}
    assert judge_samples(both, fresh, 90.0, needed=1, tolerance=0.0, labels={}).verdict is Verdict.UNKNOWN
    fresh = {"cpu": [20.0], "memory": []}
    assert judge_samples(both, fresh, 90.0, needed=1, tolerance=0.0, labels={}).verdict is Verdict.FIXED


def test_what_has_to_end_waits_for_nothing_and_is_the_clear_threshold() -> None:
    """``for`` goes and ``clear`` takes the place of the value, also inside of ``all`` and ``not``."""
    found = cleared_condition(condition_from("cpu > 80 for 5m clear 70 and not memory < 5"))
    assert isinstance(found, All)
    first = first_comparison(found)
    assert first is not None
    assert (first.value, first.clear, first.for_) == (70, None, 0.0)
    assert isinstance(found.conditions[1], Not)


@pytest.mark.parametrize("op", ["==", "!="])
def test_equality_has_no_direction(op: str) -> None:
    """A value that has to equal something is not better for being nearer."""
    assert moved(op, 10.0, 90.0, 0.0) is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([True, None], Verdict.FIXED),
        ([True, False], Verdict.UNCHANGED),
        ([None], Verdict.UNKNOWN),
        ([], Verdict.UNKNOWN),
    ],
)
def test_actions_are_believed_only_if_one_says_yes_and_none_says_no(
    effects: list[bool | None], verdict: Verdict
) -> None:
    """Silence is not taken for success."""
    assert judge_effects(effects).verdict is verdict
