"""The shape of the day that memory has goes by the clocks of a zone, also when they are moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from selfheal.detection.leak import LeakConfig, LeakDetector
from selfheal.detection.leak_past import Blocks, local, past_of
from selfheal.errors import ConfigError

HOUR, DAY = 3600.0, 86_400.0
BERLIN = "Europe/Berlin"
MOVED = {
    "forward": datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp(),
    "back": datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp(),
}
WINDOWS = [6.0, 24.0, 48.0]
HALVES = Blocks(1800.0, BERLIN)


def at(zone: str, text: str) -> int:
    """The block of half an hour that begins at a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() // 1800.0)


def lows(first: float, last: float, leaks_from: float = math.inf) -> Iterator[tuple[float, float]]:
    """Memory every ten minutes: by day up and by night down by the clocks of Berlin, and 1 % an hour of a leak."""
    t, zone = first, ZoneInfo(BERLIN)
    while t < last:
        clock = datetime.fromtimestamp(t, zone)
        turn = (clock.hour + clock.minute / 60.0) / 24.0 * 2.0 * math.pi
        noise = 0.4 * math.sin(t / 7_001.0) + 0.4 * math.sin(t / 19_997.0)
        yield t, 35.0 + 10.0 * math.sin(turn) + noise + max(t - leaks_from, 0.0) / HOUR
        t += 600.0


def told_at(detector: LeakDetector, moved: float, days: float, leaks_from: float = math.inf) -> float:
    """When a leak is told first, looked at from a day before clocks are moved on; infinite if never."""
    for t, value in lows(moved - 5 * DAY, moved + days * DAY, leaks_from):
        detector.observe(t, value)
        if detector.leak is not None and t >= moved - DAY:
            return t
    return math.inf


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("window", WINDOWS)
def test_clocks_that_are_moved_are_no_leak(moved: str, window: float) -> None:
    """A strong shape of the day that comes an hour earlier or later in UTC from now on is told as no leak."""
    detector = LeakDetector(100.0, LeakConfig(window=window * HOUR, zone=BERLIN))

    assert told_at(detector, MOVED[moved], 4.0) == math.inf


@pytest.mark.parametrize("moved", MOVED)
def test_by_the_clocks_of_another_zone_they_are(moved: str) -> None:
    """The same days, taken for days of UTC, look like a leak of two days: it is the zone that tells."""
    detector = LeakDetector(100.0, LeakConfig(window=48 * HOUR))

    assert told_at(detector, MOVED[moved], 4.0) < math.inf


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("begun", [-12.0, -3.0, 6.0])
def test_a_leak_is_found_when_clocks_are_moved(moved: str, window: float, begun: float) -> None:
    """One that begins around that hour is told within eleven hours, as on any other day, and not before it began."""
    detector = LeakDetector(100.0, LeakConfig(window=window * HOUR, zone=BERLIN))
    since = MOVED[moved] + begun * HOUR

    assert 0.0 < (told_at(detector, MOVED[moved], 2.0, since) - since) / HOUR <= 11.0


@pytest.mark.parametrize("moved", MOVED)
def test_the_trend_of_the_days_before_is_no_shape(moved: str) -> None:
    """A saw by local time, and a leak below it, over clocks that are moved: the shape is that of the saw alone."""
    first = int(MOVED[moved] // 1800.0) - 72
    days = {n: 20.0 * (local(HALVES, n)[1] / 48.0) + 0.01 * (n - first) for n in range(first, first + 4 * 48)}
    past = past_of(days, range(first + 4 * 48, first + 5 * 48), HALVES)

    assert past.known
    assert past.highest == pytest.approx(20.0 * 0.5 + 0.01 * 4 * 48, abs=0.6)
    times = [at(BERLIN, f"2026-06-01T{text}") for text in ("01:00", "07:00", "23:00")]
    assert past.above(times[1]) - past.above(times[0]) == pytest.approx(5.0, abs=0.1)
    assert past.above(times[2]) - past.above(times[0]) == pytest.approx(20.0 * 44 / 48, abs=0.1)


def test_two_days_are_needed_most_of_them_measured() -> None:
    """Less than two days, or half of the blocks of two, tell nothing of the time of day."""
    days, plain = {n: n % 48 / 48.0 for n in range(96)}, Blocks(1800.0, "UTC")

    assert past_of(days, [96], plain).known
    for fewer in (range(94), range(0, 96, 2), ()):
        assert past_of({n: days[n] for n in fewer}, [96], plain) == (plain, {}, -math.inf, False)


def test_a_shape_tells_one_day_from_the_others_or_is_none() -> None:
    """Days that have nothing in common have no shape, nor have days without the times that are looked at."""
    plain = Blocks(1800.0, "UTC")
    odd = {n: float(n * n * 7919 % 101) for n in range(192)}
    gap = {n: n % 48 / 48.0 for n in range(192) if n % 48 != 5}

    assert past_of(odd, [200], plain).shape == {}
    assert past_of(gap, [197], plain).shape == {}
    assert past_of(gap, [198], plain).above(198) != 0.0


@pytest.mark.parametrize(
    ("zone", "before", "after", "part"),
    [
        (BERLIN, "2026-03-28T09:00", "2026-03-29T09:00", 18),
        (BERLIN, "2026-10-24T09:30", "2026-10-25T09:30", 19),
        ("Australia/Lord_Howe", "2026-04-04T09:00", "2026-04-05T09:00", 18),
        ("Asia/Kathmandu", "2026-03-28T00:15", "2026-03-29T00:15", 0),
        ("UTC", "2026-03-28T23:30", "2026-03-29T23:30", 47),
    ],
)
def test_a_time_of_day_stays_the_same_block(zone: str, before: str, after: str, part: int) -> None:
    """Whether clocks are moved by an hour, by half an hour or not, and whatever the zone is off by."""
    one, other = (local(Blocks(1800.0, zone), at(zone, text)) for text in (before, after))

    assert one[1] == other[1] == part
    assert other[0] - one[0] == 1


def test_days_on_which_clocks_are_moved_have_fewer_blocks_or_some_twice() -> None:
    """The hour left out has no blocks, the one that comes again has the same ones."""
    for text, blocks, parts in (("2026-03-29", 46, 46), ("2026-10-25", 50, 48), ("2026-10-26", 48, 48)):
        first = at(BERLIN, text)
        date = local(HALVES, first)[0]
        of_it = [local(HALVES, n)[1] for n in range(first - 60, first + 60) if local(HALVES, n)[0] == date]
        assert (len(of_it), len(set(of_it))) == (blocks, parts)


def test_blocks_that_fit_into_no_day_keep_their_time_of_day() -> None:
    """Of 50 minutes, the first of each day begins within 50 minutes of midnight, on the hundredth day too."""
    blocks = Blocks(3000.0, "UTC")
    first = [n for n in range(2880) if local(blocks, n)[1] == 0]

    assert len(first) == 100
    assert all(n * 3000.0 % DAY < 3000.0 for n in first)


def test_times_that_no_calendar_has_are_left_out() -> None:
    """Milliseconds in place of seconds, and the like, are not taken, in any zone."""
    detector = LeakDetector(100.0, LeakConfig(zone=BERLIN))
    for t in (1e300, 1.7e12, -1e12, math.nan, math.inf):
        detector.observe(t, 50.0)

    assert told_at(detector, MOVED["back"], 0.0) == math.inf
    assert len(detector.floors) == 5 * 48 - 1


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", None, 1])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    """The zone is the name of one that this machine knows."""
    with pytest.raises(ConfigError, match=r"LeakConfig\.zone must be the name of a time zone"):
        LeakConfig(zone=zone)
