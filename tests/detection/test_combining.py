"""Several scores made into one."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.combining import ExcessSum

some_scores = st.lists(st.floats(0.0, 300.0), min_size=3, max_size=3)


@pytest.mark.parametrize("floor", [0.0, 0.5, 1.0])
def test_of_independent_scores_it_is_the_probability(floor: float) -> None:
    """Of three independent uniform probabilities, the share of combined scores beyond s is ten to the minus s."""
    draw = random.Random(2)
    combine = ExcessSum(3, floor)
    found = [combine.score([-math.log10(1.0 - draw.random()) for _ in range(3)]) for _ in range(100_000)]
    for score in (0.7, 1.0, 2.0, 3.0):
        share = sum(s >= score for s in found) / len(found)
        assert share == pytest.approx(10.0**-score, rel=4.0 / math.sqrt(1e5 * 10.0**-score))


@given(some_scores, st.integers(0, 2), st.floats(0.0, 5.0))
def test_a_higher_score_never_makes_less_of_the_whole(scores: list[float], which: int, more: float) -> None:
    """The combined score does not fall when one of the scores rises."""
    combine = ExcessSum(3, 1.0)
    higher = list(scores)
    higher[which] += more

    assert combine.score(higher) >= combine.score(scores)


@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3))
def test_what_is_not_above_the_floor_is_nothing(scores: list[float]) -> None:
    """Scores that are not above the floor make 0."""
    assert ExcessSum(3, 1.0).score(scores) == 0.0


def test_of_one_score_nothing_changes() -> None:
    """One score alone, with a floor of 0, comes out as it went in."""
    assert ExcessSum(1, 0.0).score([2.5]) == pytest.approx(2.5)
