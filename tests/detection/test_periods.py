"""Peak and off-peak are told from what was learnt, and each has thresholds that a person can see."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from selfheal.detection import BaselineBank, BaselineConfig, SeasonalBaseline
from selfheal.detection.baseline import normal_score
from selfheal.detection.periods import peak_from, reaching
from selfheal.detection.seasons import SeasonalProfile
from selfheal.errors import ConfigError

DAY = 86_400.0
MONDAY = 1_709_510_400.0  # 2024-03-04


def shop(n: int, draw: random.Random) -> tuple[float, float]:
    """Busy from nine to eighteen o'clock on weekdays: 80 in place of 20, with a spread of 4. A sample each quarter."""
    t = MONDAY + 900.0 * n
    busy = 9 <= t % DAY / 3600.0 < 18 and (t - MONDAY) % (7 * DAY) < 5 * DAY
    return t, draw.gauss(80.0 if busy else 20.0, 4.0)


def taught(days: int = 21, **options: Any) -> SeasonalBaseline:
    baseline, draw = SeasonalBaseline(**options), random.Random(3)
    baseline.warm_start(shop(n, draw) for n in range(days * 96))
    return baseline


def at(day: float, hour: float) -> float:
    return MONDAY + 21 * DAY + day * DAY + hour * 3600.0


def test_opening_hours_are_the_peak() -> None:
    """The busy hours are told, in each half hour of the day, and nothing else is."""
    baseline = taught()

    found = [hour / 2.0 for hour in range(48) if baseline.is_peak(at(0, hour / 2.0))]
    assert found == [hour / 2.0 for hour in range(18, 36)]


def test_a_weekend_without_busy_hours_has_no_peak() -> None:
    """Once weekdays and weekends are known apart, ten o'clock on a Sunday is off-peak."""
    baseline = taught()

    assert not baseline.is_peak(at(6, 10.0))
    assert taught(7).is_peak(at(6, 10.0))


@pytest.mark.parametrize("kind", ["nothing", "one day", "noise", "constant"])
def test_where_no_time_is_busier_there_is_no_peak(kind: str) -> None:
    """Noise, a constant and what is hardly known have no peak."""
    draw, days = random.Random(4), {"nothing": 0, "one day": 1}.get(kind, 21)
    baseline = SeasonalBaseline()
    for n in range(days * 96):
        t, x = shop(n, draw)
        baseline.learn(t, {"noise": draw.gauss(50.0, 4.0), "constant": 0.1}.get(kind, x))

    assert not any(baseline.is_peak(at(0, hour)) for hour in range(24))


def profile_of(usual: Callable[[float, bool], float], days: int) -> SeasonalProfile:
    """One that knows a metric without noise, given the hour and whether it is weekend."""
    profile = SeasonalProfile("UTC", 48, 8 * DAY, 5.0)
    for n in range(days * 96):
        t = MONDAY + 900.0 * n
        profile.learn(t, usual(t % DAY / 3600.0, (t - MONDAY) % (7 * DAY) >= 5 * DAY))
    return profile


def test_the_busiest_hour_alone_is_not_the_peak() -> None:
    """Nine hours of 80 and half an hour of 200 are the peak together: the groups are weighed, not the gaps."""
    profile = profile_of(lambda hour, _: 200.0 if hour < 0.5 else 80.0 if 9 <= hour < 18 else 20.0, 7)

    assert peak_from(profile) == pytest.approx(50.0)


def test_weekdays_are_divided_by_their_own_means() -> None:
    """What is usual at ten on weekdays and on weekends is not averaged once both are known."""
    profile = profile_of(lambda hour, weekend: 80.0 if 9 <= hour < 18 and not weekend else 20.0, 21)

    assert peak_from(profile) == pytest.approx(50.0)


def test_the_days_of_a_week_are_weighed() -> None:
    """Two days of a weekend weigh less than five others: the mornings of those stand alone, below all else."""
    profile = profile_of(lambda hour, weekend: 100.0 if weekend else 60.0 if hour >= 12.0 else 20.0, 21)

    assert peak_from(profile) == pytest.approx(40.0)


def test_each_period_has_its_own_sigma() -> None:
    """Two spreads by night and three at the peak: the band, the thresholds and the score all say so."""
    baseline = taught(mode="sigma", sigma=(2.0, 3.0), sustain=(1, 1))
    night, noon = baseline.thresholds(at(0, 3.0)), baseline.thresholds(at(0, 12.0))

    assert (night.period, night.sigma, noon.period, noon.sigma) == ("off-peak", 2.0, "peak", 3.0)
    assert night.high - night.mean == pytest.approx(2.0 * night.spread)
    assert noon.mean - noon.low == pytest.approx(3.0 * noon.spread)
    assert baseline.band(at(0, 12.0)) == (noon.low, noon.high)
    assert (night.score, noon.score, baseline.threshold) == (normal_score(2.0), normal_score(3.0), normal_score(3.0))
    for there, hour in ((night, 3.0), (noon, 12.0)):
        assert baseline.score(at(0, hour), there.high + 0.01).score > there.score
        assert baseline.score(at(0, hour), there.high - 0.01).score < there.score


def test_one_sigma_holds_at_all_times() -> None:
    """With a single number, peak and off-peak are told apart but judged alike."""
    baseline = taught(mode="sigma", sigma=2.5)

    assert [baseline.thresholds(at(0, hour)).sigma for hour in (3.0, 12.0)] == [2.5, 2.5]
    assert [baseline.thresholds(at(0, hour)).period for hour in (3.0, 12.0)] == ["off-peak", "peak"]


def test_calibrated_thresholds_are_where_the_score_comes_to_be_as_rare() -> None:
    """In mode calibrated the edge is where what was learnt makes a value as rare, not a number of spreads."""
    draw = random.Random(5)
    baseline = SeasonalBaseline(sigma=(2.0, 3.0))
    baseline.warm_start((shop(n, draw)[0], draw.expovariate(0.2)) for n in range(21 * 96))
    there = baseline.thresholds(at(0, 12.0))

    assert baseline.score(at(0, 12.0), there.high + 1e-3).score > there.score
    assert baseline.score(at(0, 12.0), there.high - 1e-3).score <= there.score
    assert (there.high - there.mean) / there.spread > 2.5


def test_before_enough_is_known_nothing_is_unusual() -> None:
    """Thresholds of a baseline that knows nothing are infinite."""
    there = SeasonalBaseline().thresholds(MONDAY)

    assert (there.low, there.high, there.period) == (-math.inf, math.inf, "off-peak")


def test_thresholds_come_back_from_text() -> None:
    """Saved as JSON and read again, sigmas, periods and thresholds are the same."""
    baseline = taught(sigma=(2.0, 3.0))
    again = SeasonalBaseline.from_dict(json.loads(json.dumps(baseline.to_dict())))

    assert again.config == baseline.config
    assert [again.thresholds(at(0, hour)) for hour in range(24)] == [
        baseline.thresholds(at(0, hour)) for hour in range(24)
    ]


@pytest.mark.parametrize("sigma", [(2.0,), (2.0, 3.0, 4.0), (0.5, 3.0), (2.0, 11.0), "2", True, (2.0, "3")])
def test_wrong_sigmas_are_refused(sigma: Any) -> None:
    """One number or two, each between 1 and 10."""
    with pytest.raises(ConfigError, match=r"BaselineConfig\.sigma"):
        BaselineConfig(sigma=sigma)


def test_a_bank_takes_one_sigma() -> None:
    """Many metrics at once have one sigma for all times; two are refused, not ignored."""
    with pytest.raises(ConfigError, match=r"BaselineBank\.config\.sigma"):
        BaselineBank(["a"], BaselineConfig(sigma=(2.0, 3.0)))


def hourly(mode: str) -> SeasonalBaseline:
    """Two weeks, a sample an hour, of 50 with a spread of 2; at three o'clock on the tenth day one of 100."""
    draw, baseline = np.random.default_rng(6), SeasonalBaseline(mode=mode, sigma=2.5, sustain=(1, 1), buckets=24)
    for n in range(14 * 24):
        baseline.learn(MONDAY + 3600.0 * n, 100.0 if n == 10 * 24 + 3 else float(draw.normal(50.0, 2.0)))
    return baseline


def test_one_outlier_does_not_hide_what_comes_after() -> None:
    """Mean and sigma of fourteen samples, one of them far off, let six spreads pass; the calibrated mode does not."""
    there = MONDAY + 14 * DAY + 3 * 3600.0
    plain, robust = hourly("sigma"), hourly("calibrated")

    assert plain.score(there, 62.0).score < plain.threshold
    assert robust.score(there, 62.0).score > robust.threshold


def test_a_new_normal_is_learnt_in_full() -> None:
    """Only what is alone is tempered: the second sample in a row on the same side counts as it is."""
    baseline = hourly("calibrated")
    for n in range(14 * 24, 21 * 24):
        baseline.learn(MONDAY + 3600.0 * n, 100.0)

    plain = hourly("sigma")
    for n in range(14 * 24, 21 * 24):
        plain.learn(MONDAY + 3600.0 * n, 100.0)
    five = MONDAY + 21 * DAY + 5 * 3600.0
    assert baseline.usual(five) == pytest.approx(plain.usual(five), rel=1e-3)


def test_a_score_that_never_comes_has_no_edge() -> None:
    """Where no deviation is unusual the edge is infinite; else it is found to many places."""
    assert reaching(lambda off: 0.0, 1.0) == math.inf
    assert reaching(lambda off: off / 7.0, 3.0) == pytest.approx(21.0, rel=1e-6)
