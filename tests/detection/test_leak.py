"""Leaks told from what only looks like one."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from benchmarks.bench_leak import KINDS, rates
from selfheal.detection.leak import Floor, Leak, LeakConfig, LeakDetector, find_leak
from selfheal.errors import ConfigError

HOUR = 3600.0
START = 472_222 * HOUR


def watched(hours: float, per_hour: float, level: float = 40.0, limit: float | None = 100.0) -> LeakDetector:
    detector = LeakDetector(limit)
    for minute in range(int(hours * 60) + 1):
        detector.observe(START + 60.0 * minute, level + per_hour * minute / 60.0)
    return detector


def told(detector: LeakDetector) -> Leak:
    assert detector.leak is not None
    return detector.leak


@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_on_the_first_day_are_rare(kind: str) -> None:
    """At most 5 % of leak-free days of this kind raise an alarm at any moment, from a seed."""
    false, power = rates(kind, 60)

    assert false <= 0.05
    assert power >= (0.3 if kind == "diurnal" else 0.7)


def test_a_diurnal_series_is_no_leak_and_hides_none_once_its_days_are_known() -> None:
    """With three days known, at most 5 % of diurnal days alarm, and four of five leaks are found, from a seed."""
    false, power = rates("diurnal", 25, before=72)

    assert false <= 0.05
    assert power >= 0.8


def test_a_steady_leak_is_measured() -> None:
    """Slope, growth, beginning and the time that is left are those of the line."""
    leak = told(watched(20.0, 1.0))

    assert leak.per_hour == pytest.approx(1.0)
    assert leak.exhausted_in == pytest.approx(40.0 * HOUR, rel=0.03)
    assert leak.since == START
    assert leak.span >= 18.0 * HOUR
    assert leak.p < 1e-6
    assert not leak.seasonal


def test_nothing_is_told_before_it_lasted() -> None:
    """Six hours of growth are not enough while the shape of the day is unknown and there is time."""
    assert watched(10.0, 1.0).leak is None


def test_what_runs_out_soon_is_told_after_six_hours() -> None:
    """Memory that will be gone within six hours is a leak after ``min_span``, whatever the time of day does."""
    assert watched(5.4, 5.0).leak is None
    assert told(watched(7.1, 5.0)).exhausted_in == pytest.approx(5.0 * HOUR, rel=0.1)


def test_without_a_limit_there_is_no_time_left_to_tell() -> None:
    """Growth is then measured against the level at the beginning."""
    assert told(watched(20.0, 1.0, limit=None)).exhausted_in is None
    assert watched(20.0, 0.01, limit=None).leak is None


def test_what_takes_months_is_no_leak() -> None:
    """Growth that does not run out within the horizon, or is too small, is left alone."""
    assert watched(24.0, 0.02).leak is None
    assert watched(24.0, 0.15).leak is None


def test_what_stopped_growing_is_no_leak_any_more() -> None:
    """After memory was freed, and after it stayed level, the leak is over."""
    detector = watched(20.0, 1.0)
    told(detector)
    for minute in range(20 * 60 + 1, 40 * 60):
        detector.observe(START + 60.0 * minute, 60.0)
    assert detector.leak is None


def test_missing_and_late_samples_change_nothing() -> None:
    """``nan``, infinite values and samples older than the latest are left out."""
    detector, plain = LeakDetector(100.0), watched(20.0, 1.0)
    for minute in range(20 * 60 + 1):
        t = START + 60.0 * minute
        detector.observe(t, 40.0 + minute / 60.0)
        for odd in (math.nan, math.inf, -math.inf):
            detector.observe(t, odd)
        detector.observe(t - 3600.0, 0.0)
    assert (detector.floors, detector.leak) == (plain.floors, plain.leak)


def test_a_long_gap_is_no_trend() -> None:
    """Two levels with nothing measured in between do not make a leak."""
    detector = LeakDetector(100.0)
    for minute in [*range(180), *range(1020, 1320)]:
        detector.observe(START + 60.0 * minute, 40.0 + minute / 60.0)
    assert detector.leak is None


def test_memory_of_the_detector_is_bounded() -> None:
    """No more floors are kept than fit into ``keep``."""
    detector = LeakDetector(100.0, LeakConfig(keep=10 * HOUR))
    for n in range(100):
        detector.observe(START + 1800.0 * n, 50.0)
    assert len(detector.floors) == 20


@given(st.lists(st.floats(0.0, 100.0), max_size=60), st.floats(0.1, 1000.0))
def test_the_unit_does_not_matter(lows: list[float], factor: float) -> None:
    """Measured in another unit, the same floors are a leak or not, with the same chance."""
    rounded = [round(low) for low in lows]
    floors = [Floor(n, float(low), float(low)) for n, low in enumerate(rounded)]
    power_of_two = 2.0 ** round(math.log2(factor))
    other = [Floor(n, low * power_of_two, high * power_of_two) for n, low, high in floors]
    one, two = find_leak(floors, 100.0), find_leak(other, 100.0 * power_of_two)

    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert two.p == pytest.approx(one.p)
        assert two.exhausted_in == one.exhausted_in


@given(st.lists(st.floats(0.0, 100.0), max_size=100))
def test_what_is_told_keeps_the_settings(lows: list[float]) -> None:
    """Whatever the floors, a leak that is told grows, lasts and is significant."""
    config = LeakConfig()
    leak = find_leak([Floor(n, low, low) for n, low in enumerate(sorted(lows))], 100.0, config)
    if leak is not None:
        assert leak.per_hour > 0.0
        assert leak.span >= config.min_span
        assert leak.p <= config.significance


def test_growth_since_is_the_slope_of_the_floors() -> None:
    """The slope of a process is asked for over the time of the leak; of too few floors it is 0."""
    detector = watched(20.0, 2.0)

    assert detector.growth_per_hour(START + 6 * HOUR) == pytest.approx(2.0)
    assert detector.growth_per_hour(START + 19 * HOUR) == 0.0


def test_a_limit_that_is_none_is_refused() -> None:
    """Limits are above 0."""
    with pytest.raises(ConfigError, match=r"LeakDetector\.limit must be"):
        LeakDetector(0.0)
