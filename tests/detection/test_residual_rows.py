"""Samples as rows: one number a metric, that of this time of day as far as the time of day explains anything."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from selfheal.detection.residual_rows import FURTHEST, ResidualRows
from tests.detection.multivariate import START, STEP

DAY_STEPS = 288
NIGHT, NOON = 0.0, 43_200.0


def learnt(days: float, *values: Callable[[float, float], float], seed: int = 0) -> ResidualRows:
    """Rows of metrics that were so at each time, given a draw from a normal distribution."""
    rows = ResidualRows(tuple(f"m{n}" for n in range(len(values))), "UTC")
    draw = np.random.default_rng(seed)
    for n in range(int(days * DAY_STEPS)):
        t = START + n * STEP
        rows.learn(t, {f"m{k}": value(t, float(draw.normal())) for k, value in enumerate(values)}, 1.0)
    return rows


def daily(t: float, noise: float) -> float:
    return 100.0 - 50.0 * math.cos(2.0 * math.pi * t / 86_400.0) + 2.0 * noise


def restless(t: float, noise: float) -> float:
    return 100.0 + 10.0 * noise


def after(days: float, moment: float) -> float:
    """A time of day on the day after so many."""
    return START + days * 86_400.0 + moment


def residual(rows: ResidualRows, t: float, **x: float) -> list[float]:
    row = rows.row(t, x)
    assert row is not None
    found: list[float] = row.tolist()
    return found


def test_a_row_has_one_number_a_metric_in_their_order() -> None:
    """The metric that is off is off in its place, the other one is not."""
    rows = learnt(7, restless, restless)

    assert residual(rows, after(7, NOON), m0=100.0, m1=140.0) == [
        pytest.approx(0.0, abs=0.3),
        pytest.approx(4.0, abs=0.5),
    ]


def test_with_a_daily_rhythm_a_value_is_compared_with_its_time_of_day() -> None:
    """What is usual at noon is far off at night, and the other way round."""
    rows = learnt(7, daily)

    for moment, usual, other in ((NIGHT, 50.0, 150.0), (NOON, 150.0, 50.0)):
        t = after(7, moment)
        assert abs(residual(rows, t, m0=usual)[0]) < 1.0
        assert abs(residual(rows, t, m0=other)[0]) > 5.0
        assert rows.usual(t, 0) == pytest.approx(usual, abs=5.0)


def test_without_a_daily_rhythm_the_time_of_day_says_nothing() -> None:
    """A metric that is noise is compared with the whole, whatever single hours happened to bring."""
    rows = learnt(7, restless)

    usual = {rows.usual(after(7, 1800.0 * n), 0) for n in range(48)}
    assert max(usual) - min(usual) < 0.5
    assert residual(rows, after(7, NOON), m0=130.0)[0] == pytest.approx(3.0, abs=0.3)


def test_a_rhythm_that_explains_half_is_followed_half() -> None:
    """What is usual lies between the mean of the whole and that of the hour, by the share that the hour explains."""
    rows = learnt(14, lambda t, noise: 100.0 - 10.0 * math.cos(2.0 * math.pi * t / 86_400.0) + 7.0 * noise)

    assert 102.0 < rows.usual(after(14, NOON), 0) < 108.0
    assert 92.0 < rows.usual(after(14, NIGHT), 0) < 98.0


def test_before_an_hour_was_seen_on_three_days_the_whole_stands_in_for_it() -> None:
    """When the first hours begin to be known, those that are not yet do not leap out of scale."""
    rows, draw, furthest = ResidualRows(("m0",), "UTC"), np.random.default_rng(0), 0.0
    for n in range(5 * DAY_STEPS):
        t = START + n * STEP
        value = daily(t, float(draw.normal()))
        if n > DAY_STEPS:
            furthest = max(furthest, abs(residual(rows, t, m0=value)[0]))
        rows.learn(t, {"m0": value}, 1.0)

    assert furthest < 4.0


def test_what_is_far_off_is_cut_and_what_is_missing_is_as_usual() -> None:
    """No residual is beyond the cut, an infinite one included; a missing metric is 0, a sample of nothing no row."""
    rows = learnt(7, restless, daily)
    t = after(7, NOON)

    assert residual(rows, t, m0=1e9, m1=-math.inf) == [FURTHEST, -FURTHEST]
    assert residual(rows, t, m0=math.nan, m1=150.0)[0] == 0.0
    assert rows.row(t, {"other": 1.0}) is None


def test_a_metric_that_never_moved_is_0_until_it_does() -> None:
    """A constant has no spread to speak of; the least move is as far as can be."""
    rows = learnt(7, lambda t, noise: 5.0)

    assert residual(rows, after(7, NOON), m0=5.0) == [0.0]
    assert residual(rows, after(7, NOON), m0=5.1) == [FURTHEST]


def test_what_is_kept_for_speed_is_never_stale() -> None:
    """Rows are those of one made anew from the record, at every step, metrics being missing now and then."""
    rows, draw = ResidualRows(("m0", "m1"), "Europe/Berlin"), np.random.default_rng(0)
    for n in range(4 * DAY_STEPS):
        t = START + n * STEP
        x = {"m0": daily(t, float(draw.normal()))}
        if draw.random() < 0.4:
            x["m1"] = restless(t, float(draw.normal()))
        if n % 7 == 0 or n > 3.9 * DAY_STEPS:
            anew = ResidualRows(rows.metrics, rows.zone)
            anew.load(rows.to_dict())
            assert residual(rows, t, **x) == residual(anew, t, **x)
        rows.learn(t, x, 1.0)
