"""Means and spreads by time of day, beside a model that keeps all samples."""

from __future__ import annotations

import datetime
import json
import math
import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.detection.daytime import DayTime
from selfheal.detection.seasons import DAY, ENOUGH, SeasonalProfile

START = 1_709_251_200.0
"""Friday 2024-03-01 00:00 UTC."""
MEMORY = 8.0 * DAY


def profile(zone: str = "UTC", buckets: int = 48) -> SeasonalProfile:
    return SeasonalProfile(zone, buckets, MEMORY, 5.0)


def weighted(samples: list[tuple[float, float]], times: DayTime) -> tuple[float, float]:
    """Mean and variance of samples whose weight falls with the age of their cell."""
    weights = [math.exp((times.cell(t)[3] - START) / MEMORY) for t, _ in samples]
    mean = sum(w * x for w, (_, x) in zip(weights, samples, strict=True)) / sum(weights)
    var = sum(w * (x - mean) ** 2 for w, (_, x) in zip(weights, samples, strict=True)) / sum(weights)
    return mean, var


@settings(max_examples=40)
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu"]),
    st.sampled_from([1, 24, 48, 96]),
    st.sampled_from([60.0, 300.0, 1700.0, 7200.0]),
    st.integers(0, 1000),
)
def test_means_and_variances_are_those_of_all_samples(zone: str, buckets: int, step: float, seed: int) -> None:
    """Each bucket, and the whole, have the mean and variance of all samples of theirs, older ones weighing less."""
    draw = random.Random(seed)
    seasons, kept = profile(zone, buckets), []
    for n in range(int(min(2.5 * DAY, 400 * step) / step)):
        sample = (START + n * step + draw.random(), draw.gauss(1e6, 3.0))
        seasons.learn(*sample)
        kept.append(sample)
    seasons.enter(kept[-1][0] + 2 * DAY)

    by_place: dict[int, list[tuple[float, float]]] = {-1: kept}
    for t, x in kept:
        local = datetime.datetime.fromtimestamp(t, ZoneInfo(zone))
        bucket = int((local.hour * 60 + local.minute) / (1440 / buckets))
        by_place.setdefault(2 * bucket + (local.weekday() > 4), []).append((t, x))
    for place, samples in by_place.items():
        mean, var = weighted(samples, DayTime(zone, buckets))
        assert seasons.means[place] == pytest.approx(mean, abs=1e-6)
        assert seasons.vars[place] == pytest.approx(var, rel=1e-6, abs=1e-6)


def test_a_bucket_speaks_once_it_was_seen_on_three_days() -> None:
    """Before that, the whole stands in for it."""
    seasons = profile()
    for n in range(int(ENOUGH * DAY / 300.0)):
        t = START + n * 300.0
        if n == 288 * (ENOUGH - 1):
            assert 30.0 < seasons.usual(t)[0] < 70.0
            assert seasons.usual(t) == seasons.usual(t + DAY / 2)
        seasons.learn(t, 80.0 if t % DAY >= DAY / 2 else 20.0)
    seasons.enter(START + ENOUGH * DAY)

    assert seasons.usual(START + 3 * DAY + 3600.0)[0] == pytest.approx(20.0)
    assert seasons.usual(START + 3 * DAY + 46_800.0)[0] == pytest.approx(80.0)


def test_until_two_weeks_are_known_all_days_are_one() -> None:
    """Of ten days, four of them on weekends, a time of day has the mean and variance of all ten."""
    seasons, kept = profile(), []
    for n in range(int(10 * DAY / 1800.0)):
        t = START + n * 1800.0
        x = 10.0 if datetime.datetime.fromtimestamp(t, datetime.UTC).weekday() > 4 else 50.0
        seasons.learn(t, x)
        if t % DAY == 3600.0:
            kept.append((t, x))
    seasons.enter(START + 10 * DAY)
    mean, var = weighted(kept, DayTime("UTC", 48))

    assert seasons.visits[4] >= ENOUGH <= seasons.visits[5]
    for place in (4, 5):
        assert seasons.level(place)[:2] == pytest.approx((mean, var))


def test_days_of_the_week_differ_once_three_of_them_and_two_weeks_are_known() -> None:
    """A metric that rests on weekends is expected to, after two weeks and three days of a weekend."""
    seasons = profile()
    for n in range(int(24 * DAY / 300.0)):
        t = START + n * 300.0
        seasons.learn(t, 10.0 if datetime.datetime.fromtimestamp(t, datetime.UTC).weekday() > 4 else 50.0)
    friday, saturday = START + 28 * DAY + 3600.0, START + 29 * DAY + 3600.0

    assert seasons.usual(friday)[0] == pytest.approx(50.0)
    assert seasons.usual(saturday)[0] == pytest.approx(10.0)


@pytest.mark.parametrize("change", [1_711_846_800.0, 1_729_990_800.0])
def test_time_of_day_is_that_of_the_clock_on_the_wall(change: float) -> None:
    """After clocks are moved, what is usual goes by the new time."""
    zone = ZoneInfo("Europe/Berlin")
    seasons = profile("Europe/Berlin")
    t = change - 5 * DAY
    while t < change + DAY:
        hour = datetime.datetime.fromtimestamp(t, zone).hour
        if t > change:
            assert seasons.usual(t)[0] == pytest.approx(hour, abs=1e-6)
        seasons.learn(t, float(hour))
        t += 600.0


def test_the_spread_has_a_floor() -> None:
    """Where nothing ever moves but by the time of day, the spread is a tenth of that of the whole."""
    seasons = profile()
    for n in range(int(8 * DAY / 300.0)):
        t = START + n * 300.0
        seasons.learn(t, 0.0 if t % DAY < DAY / 2 else 60.0)
    seasons.enter(START + 8 * DAY)

    assert seasons.usual(START + 8 * DAY + 3600.0)[1] == pytest.approx(0.1 * math.sqrt(seasons.vars[-1]))
    assert seasons.usual(START + 8 * DAY + 3600.0)[1] == pytest.approx(3.0, rel=0.05)


def test_the_spread_of_a_bucket_leans_on_that_around_others() -> None:
    """A bucket in which nothing moved has a spread all the same where others move: five samples' worth of theirs."""
    seasons = profile()
    draw = random.Random(1)
    for n in range(int(8 * DAY / 300.0)):
        t = START + n * 300.0
        seasons.learn(t, 0.0 if t % DAY < DAY / 2 else draw.gauss(0.0, 10.0))
    seasons.enter(START + 8 * DAY)
    weight = seasons.level(4)[2] * math.exp(-8 * DAY / MEMORY)
    expected = math.sqrt(5.0 * seasons.noise / (weight + 5.0))

    assert 40.0 < seasons.noise < 60.0
    assert seasons.usual(START + 8 * DAY + 3600.0)[1] == pytest.approx(expected)


def test_half_an_hour_is_a_past() -> None:
    """From the first sample after half an hour on there is something usual: the whole, up to the cell before."""
    seasons = profile()
    for n in range(13):
        seasons.learn(START + n * 300.0, 50.0 + n % 2)
        assert seasons.known is (n >= 6)

    assert seasons.usual(START + 3600.0)[0] == pytest.approx(50.5)
    seasons.learn(START + 7200.0, 80.0)
    seasons.learn(START + 9000.0, 80.0)
    assert seasons.usual(START + 9000.0)[0] > 51.0


def test_before_anything_is_known_nothing_deviates() -> None:
    """A new profile knows no mean, no spread and no deviation."""
    seasons = profile()

    assert (seasons.known, seasons.usual(START), seasons.deviation(START, 1e9)) == (False, (0.0, 0.0), 0.0)


def test_a_cell_is_told_from_what_was_known_when_it_began() -> None:
    """Asking ahead changes nothing, and the first sample of a cell is judged as those after it."""
    asked, other = profile(), profile()
    draw = random.Random(3)
    for n in range(5 * 96):
        t, x = START + n * 900.0, draw.gauss(50.0, 2.0)
        for ahead in (0.0, 900.0, 3600.0, DAY):
            asked.usual(t + ahead)
        first = other.deviation(t, 60.0)
        for each in (asked, other):
            each.learn(t, x)
        if n > 4 * 96:
            assert other.deviation(t, 60.0) == first

    assert asked.to_dict() == other.to_dict()


def test_a_pause_of_many_years_forgets_and_breaks_nothing() -> None:
    """After decades the past counts next to nothing; all stays finite, and a new past is learnt."""
    seasons = profile()
    for years in range(0, 2000, 40):
        start = START + years * 365.25 * DAY
        level = float(years)
        for n in range(4 * 96):
            seasons.learn(start + n * 900.0, level + n % 2)
        mean, spread = seasons.usual(start + 3 * DAY + 3600.0)
        assert mean == pytest.approx(level + 0.5)
        assert 0.49 < spread < 200.0
    assert json.loads(json.dumps(seasons.to_dict(), allow_nan=False)) == seasons.to_dict()


def test_weights_stay_bounded() -> None:
    """Of a short memory, years are many: what is saved stays finite, and goes on equally."""
    seasons = SeasonalProfile("UTC", 1, 3600.0, 5.0)
    for n in range(3000):
        seasons.learn(START + n * 3600.0, float(n % 7))
    data = seasons.to_dict()
    other = SeasonalProfile("UTC", 1, 3600.0, 5.0)
    other.load(json.loads(json.dumps(data, allow_nan=False)))

    assert max(data["weights"]) < math.exp(201.0) * 4.0
    for each in (seasons, other):
        each.learn(START + 3001 * 3600.0, 3.0)
        each.enter(START + 3002 * 3600.0)
    assert seasons.to_dict() == other.to_dict()


def test_the_first_day_of_all_counts_as_one() -> None:
    """Of the three days from 1970-01-01, two are weekdays and one is a day of a weekend."""
    seasons = profile()
    for n in range(int(3 * DAY / 900.0) + 1):
        seasons.learn(n * 900.0, 0.0)

    assert (set(seasons.visits[::2]), set(seasons.visits[1::2])) == ({2}, {1})
