"""From a date to an instant: named changes of the clocks, and any date of many zones beside a walk by minutes."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfheal.errors import ConfigError
from selfheal.tasks.daytime import DailyTime
from tests.tasks.walking import ZONES, walked

# Until 1972 there were offsets with seconds in them, which a walk by minutes steps over.
DATES = st.dates(date(1973, 1, 1), date(2090, 12, 31))
TIMES = st.times().map(lambda time: f"{time:%H:%M}")


def comes(zone: str | tzinfo, at: str, year: int, month: int, day: int) -> str | None:
    """When ``at`` comes on a date, as the clocks of the zone show it."""
    time = DailyTime(at=at, tz=zone)
    moment = time.instant(date(year, month, day).toordinal())
    return None if moment is None else datetime.fromtimestamp(moment, time.tz).isoformat()


@pytest.mark.parametrize(
    ("zone", "at", "day", "told"),
    [
        ("Europe/Berlin", "02:30", (2026, 3, 29), "2026-03-29T03:00:00+02:00"),  # jumped over
        ("Europe/Berlin", "02:00", (2026, 3, 29), "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "03:00", (2026, 3, 29), "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "01:59", (2026, 3, 29), "2026-03-29T01:59:00+01:00"),
        ("Europe/Berlin", "02:30", (2026, 10, 25), "2026-10-25T02:30:00+02:00"),  # shown twice
        ("Europe/Berlin", "03:00", (2026, 10, 25), "2026-10-25T03:00:00+01:00"),
        ("America/New_York", "02:30", (2026, 3, 8), "2026-03-08T03:00:00-04:00"),
        ("America/New_York", "01:30", (2026, 11, 1), "2026-11-01T01:30:00-04:00"),
        ("Australia/Lord_Howe", "02:15", (2026, 10, 4), "2026-10-04T02:30:00+11:00"),  # by half an hour
        ("Australia/Lord_Howe", "01:45", (2026, 4, 5), "2026-04-05T01:45:00+11:00"),
        ("America/Havana", "00:30", (2026, 3, 8), "2026-03-08T01:00:00-04:00"),  # the day begins at 01:00
        ("America/Sao_Paulo", "23:30", (2018, 2, 17), "2018-02-17T23:30:00-02:00"),  # back over midnight
        ("America/Toronto", "23:45", (1919, 3, 30), "1919-03-31T00:30:00-04:00"),  # forward over midnight
        ("Pacific/Apia", "03:30", (2011, 12, 29), "2011-12-29T03:30:00-10:00"),
        ("Pacific/Apia", "03:30", (2011, 12, 30), None),  # went from the 29th to the 31st
        ("Pacific/Apia", "03:30", (2011, 12, 31), "2011-12-31T03:30:00+14:00"),
        ("Pacific/Kwajalein", "12:00", (1993, 8, 21), None),
        ("America/Metlakatla", "03:30", (2024, 2, 29), "2024-02-29T03:30:00-09:00"),  # a leap day
        ("Etc/GMT-14", "00:00", (2028, 2, 29), "2028-02-29T00:00:00+14:00"),
        ("Etc/GMT+12", "23:59", (2028, 2, 29), "2028-02-29T23:59:00-12:00"),
        ("Europe/Berlin", "02:30", (2080, 3, 31), "2080-03-31T03:00:00+02:00"),  # beyond what is listed, by rule
    ],
)
def test_a_time_comes_once_on_each_date(zone: str, at: str, day: tuple[int, int, int], told: str | None) -> None:
    """Jumped over: the first instant after the jump. Shown twice: the first time. Day left out: not at all."""
    assert comes(zone, at, *day) == told


@given(st.sampled_from(ZONES), TIMES, DATES)
@example("Pacific/Apia", "03:30", date(2011, 12, 30))
@example("America/Sao_Paulo", "00:00", date(2018, 2, 18))
@example("Africa/Casablanca", "02:30", date(2026, 2, 15))
def test_any_date_of_any_zone_is_as_a_walk_through_the_night_finds_it(zone: str, at: str, day: date) -> None:
    """The search finds the minute at which somebody who watches the clock would start."""
    assert DailyTime(at=at, tz=zone).instant(day.toordinal()) == walked(zone, at, day)


@given(st.sampled_from(ZONES), st.integers(2000, 2037), st.sampled_from(["00:00", "00:30", "02:15", "23:45"]))
def test_dates_around_each_change_of_the_clocks_are_too(zone: str, year: int, at: str) -> None:
    """Where dates at random would rarely fall: on the days on which an offset changes."""
    time, day = DailyTime(at=at, tz=zone), date(year, 1, 1)
    changed = [
        day + timedelta(days=number)
        for number in range(365)
        if time._offset((day.toordinal() + number - 719_163) * 86_400)
        != time._offset((day.toordinal() + number - 719_162) * 86_400)
    ]
    for found in changed[:3]:
        assert time.instant(found.toordinal()) == walked(zone, at, found)


@given(st.timedeltas(timedelta(hours=-14), timedelta(hours=14)), TIMES, DATES)
def test_a_fixed_offset_is_subtracted(ahead: timedelta, at: str, day: date) -> None:
    """Where clocks are never set, an instant is a sum; seconds of an offset included."""
    ahead = timedelta(seconds=ahead // timedelta(seconds=1))
    moment = DailyTime(at=at, tz=timezone(ahead)).instant(day.toordinal())
    told = datetime.fromisoformat(f"{day}T{at}:00+00:00") - ahead

    assert moment == told.timestamp()


@given(st.sampled_from(ZONES), TIMES, st.integers(0, 3_700_000_000))
def test_the_day_that_passed_last_is_found(zone: str, at: str, wall: int) -> None:
    """At any second the day before it has come and the next one has not."""
    time = DailyTime(at=at, tz=zone)
    day = time.passed(wall)
    later = [moment for ahead in (1, 2) if (moment := time.instant(day + ahead)) is not None]

    assert (time.instant(day) or wall) <= wall
    assert min(later) > wall


def test_a_day_left_out_is_not_counted() -> None:
    """From the 28th to the 31st there were three days in Apia."""
    first, last = date(2011, 12, 28).toordinal(), date(2011, 12, 31).toordinal()

    assert DailyTime(tz="Pacific/Apia").count(first, last) == 3
    assert DailyTime(tz="Europe/Berlin").count(first, last) == 4
    assert DailyTime(tz="Europe/Berlin").count(first, first) == 1


@pytest.mark.parametrize("at", ["00:00", "03:30", "12:00", "23:59"])
def test_a_day_left_out_is_no_day_wherever_the_count_begins(at: str) -> None:
    """Also right after it, right before it, or with it: as if the days were looked at one by one."""
    time, days = (
        DailyTime(at=at, tz="Pacific/Apia"),
        range(date(2011, 12, 27).toordinal(), date(2012, 1, 4).toordinal()),
    )
    for first in days:
        for last in days[days.index(first) :]:
            there = [day for day in range(first, last + 1) if time.instant(day) is not None]
            assert time.count(first, last) == len(there)


def test_without_a_zone_it_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the C library holds for local time decides, changes of the clocks included."""
    import time

    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        told = [DailyTime(at="02:30").instant(date(2026, month, day).toordinal()) for month, day in ((3, 29), (10, 25))]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == [walked("Europe/Berlin", "02:30", day) for day in (date(2026, 3, 29), date(2026, 10, 25))]


class Broken(tzinfo):
    """A zone of somebody's own that does not work."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise ZeroDivisionError

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "broken"


@pytest.mark.parametrize(
    "at", ["25:00", "24:00", "3:30", "3:30pm", "03:30:00", " 03:30", "", "٠٣:٣٠", "03:60", 330, None]
)
def test_a_wrong_time_is_refused_with_what_is_accepted(at: object) -> None:
    """Whoever writes a time in another way is told how to write it."""
    with pytest.raises(ConfigError, match=r"^DailyTime.at must be a time from '00:00' to '23:59', as HH:MM, got "):
        DailyTime(at=at)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe", "../etc/passwd", "/etc/localtime", "a\0b", 5, Broken()])
def test_a_wrong_zone_is_refused_with_what_is_accepted(zone: object) -> None:
    """However a name is wrong, it is one kind of error."""
    with pytest.raises(ConfigError, match=r"^DailyTime.tz must be an IANA zone name such as 'Europe/Berlin', a tzinfo"):
        DailyTime(tz=zone)


@pytest.mark.parametrize("day", ["2026-11-21", datetime(2026, 11, 21), date(1969, 12, 31), date.max, 20])  # noqa: DTZ001
def test_a_wrong_last_run_is_refused(day: object) -> None:
    """A moment is no date: which one it is depends on a zone."""
    with pytest.raises(ConfigError, match=r"^DailyTime.last_run must be a date \(not a datetime\) from 1970-01-01"):
        DailyTime(last_run=day)  # type: ignore[arg-type]


def test_a_machine_without_zone_data_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no name at all is known, the name is not what is wrong."""

    def nothing(name: str) -> ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ConfigError, match="no time zone data, so no name is known: install tzdata with apt or pip"):
        DailyTime(tz="Europe/Berlin")
