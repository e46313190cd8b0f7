"""How rare a deviation is, beside a model that keeps them all."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from selfheal.detection.calibrator import CELLS, HIGHEST, LOWEST, RATIO, TailCalibrator
from selfheal.errors import StateError

deviations = st.lists(st.floats(0.0, 1e5), min_size=50, max_size=200)


def taught(values: list[float]) -> TailCalibrator:
    calibrator = TailCalibrator()
    for value in values:
        calibrator.learn(value)
    return calibrator


@given(deviations, st.floats(0.0, 1e5))
def test_the_score_is_that_of_all_kept(values: list[float], asked: float) -> None:
    """Within the past, the score lies between those of counting all that is 2 % smaller, and 2 % larger."""
    calibrator = taught(values)
    largest = max(min(value, HIGHEST) for value in values)
    if asked > largest or asked < LOWEST:
        return
    asked = min(asked, HIGHEST)

    def counted(limit: float) -> float:
        count = sum(min(value, HIGHEST) >= limit for value in values)
        return math.log10((len(values) + 1) / (count + 1))

    assert counted(asked / RATIO / 1.0001) - 1e-9 <= calibrator.score(asked) <= counted(asked) + 1e-9


@given(deviations, st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_further_off_never_scores_less(values: list[float], one: float, other: float) -> None:
    """The score does not fall with the deviation, also beyond the largest one learnt."""
    calibrator = taught(values)

    assert calibrator.score(min(one, other)) <= calibrator.score(max(one, other))


@pytest.mark.parametrize(("beyond", "expected"), [(8.0, 3.5), (12.0, 5.2), (20.0, 8.7)])
def test_beyond_the_past_it_falls_exponentially(beyond: float, expected: float) -> None:
    """Of exponential deviations, what is beyond all of them scores about as the distribution has it."""
    draw = random.Random(1)
    calibrator = taught([draw.expovariate(1.0) for _ in range(2000)])

    assert calibrator.score(beyond) == pytest.approx(beyond / math.log(10.0), rel=0.25)
    assert expected == pytest.approx(beyond / math.log(10.0), abs=0.05)


@pytest.mark.parametrize("many", [49, 3000])
def test_when_the_largest_came_does_not_matter(many: int) -> None:
    """What is beyond the past scores alike whether its largest deviation was learnt first or last."""
    draw = random.Random(2)
    small = [draw.expovariate(1.0) % 6.0 for _ in range(many)]
    first, last = taught([10.0, *small]), taught([*small, 10.0])

    assert first.score(15.0) == pytest.approx(last.score(15.0), rel=0.1)


def test_nothing_is_scored_before_enough_was_learnt() -> None:
    """49 deviations are not enough, 50 are."""
    calibrator = taught([1.0] * 49)
    assert (calibrator.ready, calibrator.score(100.0)) == (False, 0.0)

    calibrator.learn(1.0)
    assert calibrator.ready
    assert calibrator.score(100.0) > 3.0


def test_of_what_never_deviates_any_deviation_is_rare() -> None:
    """After nothing but zeros, zero scores 0 and one scores high."""
    calibrator = taught([0.0] * 500)

    assert calibrator.score(0.0) == 0.0
    assert calibrator.score(1.0) > 10.0


def test_weights_count() -> None:
    """Two deviations of half a weight count as one, and none counts nothing."""
    one, other = taught([1.0] * 60 + [5.0] * 10), taught([1.0] * 60)
    for _ in range(20):
        other.learn(5.0, 0.5)
    other.learn(9.0, 0.0)

    assert other.to_dict()["cells"] == one.to_dict()["cells"]
    assert [other.score(asked) for asked in (0.5, 1.0, 5.0)] == [one.score(asked) for asked in (0.5, 1.0, 5.0)]
    assert other.score(9.0) > other.score(5.0)


def test_old_ones_are_forgotten() -> None:
    """After months of smaller deviations, the old large ones weigh next to nothing, and the top is lower."""
    calibrator = taught([10.0] * 100)
    assert calibrator.score(10.0) == 0.0
    for _ in range(300):
        calibrator.age(1)
        for _ in range(20):
            calibrator.learn(1.0)

    assert calibrator.score(5.0) > 3.0
    assert calibrator.score(10.0) > 10.0
    assert calibrator.score(0.5) == 0.0


def test_ageing_does_not_overflow() -> None:
    """Ten thousand days of ageing leave all numbers finite, and the recent past in charge."""
    calibrator = taught([3.0] * 100)
    for _ in range(10_000):
        calibrator.age(1)
        calibrator.learn(1.0)
        calibrator.learn(2.0)
    data = calibrator.to_dict()

    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert calibrator.ready
    assert 0.2 < calibrator.score(2.0) < 0.4


@given(st.lists(st.floats(0.0, 1e12), max_size=100), st.integers(0, 3), st.floats(0.0, 1e12))
def test_saved_and_loaded_it_is_the_same(values: list[float], days: int, asked: float) -> None:
    """A calibrator made from its own record scores and learns on equally."""
    calibrator = taught(values)
    if days:
        calibrator.age(days)
    other = TailCalibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))

    for each in (calibrator, other):
        each.learn(2.0)
    assert other.score(asked) == calibrator.score(asked)
    assert other.to_dict() == calibrator.to_dict()


@settings(max_examples=200)
@given(
    st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    st.lists(
        st.one_of(
            st.integers(1, 90),
            st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 1.0)),
            st.tuples(st.floats(0.0, 1e5), st.floats(0.5, 1.0)),
            st.tuples(st.floats(1.0, 1.5), st.just(1.0)),
        ),
        max_size=150,
    ),
)
@example(3.0, [(1.0, 1.0)] * 100)
def test_what_is_quiet_scores_no_more_than_the_floor(floor: float, happened: list[int | tuple[float, float]]) -> None:
    """Whatever was learnt and aged before, each deviation below the limit scores at most the floor."""
    calibrator = TailCalibrator(5, floor)
    for each in happened:
        if isinstance(each, int):
            calibrator.age(each)
        else:
            calibrator.learn(*each)
        below = math.nextafter(calibrator.quiet, 0.0)
        for part in (1.0, 1.0 / RATIO, 0.7, 0.1):
            assert calibrator.score(below * part) <= floor


@pytest.mark.parametrize(("floor", "share"), [(0.5, 0.33), (1.0, 0.11), (2.0, 0.011)])
def test_most_of_what_may_be_quiet_is(floor: float, share: float) -> None:
    """Of 10,000 normal deviations hardly more have to be asked about than score more than the floor."""
    draw = random.Random(6)
    calibrator = TailCalibrator(floor=floor)
    for _ in range(10_000):
        calibrator.learn(abs(draw.gauss(0.0, 1.0)))
    heard = sum(abs(draw.gauss(0.0, 1.0)) >= calibrator.quiet for _ in range(10_000)) / 10_000

    assert share * 0.85 < heard < share * 1.25


def test_it_takes_no_more_room_than_it_needs() -> None:
    """A record of ordinary deviations has cells up to the largest, and never more than there are."""
    assert len(taught([0.5] * 100).to_dict()["cells"]) < 200
    assert len(taught([0.001, 20.0, 1e30, 5.0]).to_dict()["cells"]) <= CELLS


@pytest.mark.parametrize("bad", [[], [1.0] * 3, [0.0, -1.0], [0.0, "1"], {"1": 1.0}, [math.nan], [0.0] * 701, None])
def test_bad_cells_are_refused(bad: object) -> None:
    """Cells that weigh less than nothing, are more than there are, or do not reach to the largest, are refused."""
    good = taught([1.0] * 60).to_dict()
    assert TailCalibrator.from_dict(good).to_dict() == good
    with pytest.raises(StateError, match="cells"):
        TailCalibrator.from_dict({**good, "cells": bad})
