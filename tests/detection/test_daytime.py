"""Where a moment lies in the days of a zone, beside what the calendar says."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.detection.daytime import DAY, HALF, QUARTER, DayTime, day_time

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"]
MOVED = {
    "Europe/Berlin": 1_711_846_800.0,
    "Pacific/Chatham": 1_712_412_000.0,
    "Australia/Lord_Howe": 1_712_415_600.0,
    "America/St_Johns": 1_710_048_600.0,
    "Pacific/Apia": 1_325_239_200.0,
}
"""Zone → when its clocks were moved: by an hour, half an hour, a day; not always at a full hour of either."""


def check(times: DayTime, t: float) -> None:
    """What it says of a time is what the calendar says, and holds from the start to the end of the cell."""
    place, day, start, end = times.cell(t)
    assert start <= t < end <= start + HALF
    assert start % QUARTER == end % QUARTER == 0.0
    for inside in (start, t, (start + end) / 2.0, end - 1e-3):
        local = datetime.datetime.fromtimestamp(inside, times.zone)
        seconds = local.hour * 3600 + local.minute * 60 + local.second
        assert place == 2 * (seconds * times.buckets // 86_400) + (local.weekday() > 4)
        assert day == local.toordinal()


@settings(max_examples=300)
@given(st.sampled_from(ZONES), st.sampled_from([1, 4, 24, 32, 48, 96]), st.floats(2e8, 4e9))
def test_it_says_what_the_calendar_says(zone: str, buckets: int, t: float) -> None:
    """At any time, in zones of whole hours and others, and at the times after it."""
    times = DayTime(zone, buckets)
    for later in (0.0, 60.0, 1800.0, 40_000.0, DAY, -DAY):
        check(times, t + later)


@pytest.mark.parametrize("zone", MOVED)
@pytest.mark.parametrize("buckets", [24, 32, 48, 96])
def test_where_clocks_are_moved_each_cell_is_of_one_time_of_day(zone: str, buckets: int) -> None:
    """From two days before to two days after, cell by cell: none left out and none twice."""
    times = DayTime(zone, buckets)
    offsets = [datetime.datetime.fromtimestamp(MOVED[zone] + d, ZoneInfo(zone)).utcoffset() for d in (-1.0, 0.0)]
    assert offsets[0] != offsets[1]
    start = times.cell(MOVED[zone] - 2 * DAY)[2]
    while start < MOVED[zone] + 2 * DAY:
        for inside in (0.0, 450.0, 899.0):
            check(times, start + inside)
            assert times.cell(start + inside)[2] == start
        start = times.cell(start)[3]


def test_days_of_one_offset_have_half_hours() -> None:
    """Where clocks stay and buckets are of half hours, a day has 48 cells; else, or with short buckets, quarters."""

    def cells(zone: str, buckets: int, start: float) -> int:
        times = DayTime(zone, buckets)
        return len({times.cell(start + 300.0 * n)[2] for n in range(288)})

    berlin = MOVED["Europe/Berlin"] - 3600.0
    assert [cells("UTC", n, 0.0) for n in (1, 24, 32, 48, 96)] == [48, 48, 96, 48, 96]
    assert [cells("Europe/Berlin", 48, berlin + days * DAY) for days in (-1, 0, 1)] == [48, 96, 48]


def test_who_asks_for_the_same_gets_the_same() -> None:
    """What is shared is right for each of several who ask about times far apart, in turns."""
    assert day_time("UTC", 48) is day_time("UTC", 48)
    assert day_time("Europe/Berlin", 48) is not day_time("UTC", 48) is not day_time("UTC", 24)
    shared = day_time("Europe/Berlin", 48)
    for n in range(200):
        for asker in range(3):
            check(shared, 1_709_251_200.0 + asker * 9e7 + n * 7000.0)
