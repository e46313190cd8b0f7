"""Maintenance windows: open when their zone's clocks say so, and never for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError
from selfheal.policies.matching import AlertMatch
from selfheal.policies.windows import DailyWindow, OnceWindow, moment_of


def at(text: str) -> float:
    """Seconds since 1970 of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def daily(**more: Any) -> DailyWindow:
    """A nightly window of two hours."""
    return DailyWindow(**{"name": "n", "at": "23:00", "duration": 7200.0, "reason": "backup", "by": "ops", **more})


def once(**more: Any) -> OnceWindow:
    """A window of an hour."""
    given = {"name": "n", "start": 1000.0, "end": "1970-01-01T01:16:40+00:00", "reason": "disk", "by": "ops", **more}
    return OnceWindow(**given)


def test_a_window_has_its_first_second_and_not_its_last() -> None:
    """It is open from its start until just before its end, however the two are written."""
    window = once()

    assert window.longest == 3600.0
    assert [window.current(wall) for wall in (999.9, 1000.0, 4599.9, 4600.0)] == [
        None,
        (1000.0, 4600.0),
        (1000.0, 4600.0),
        None,
    ]


def test_a_daily_window_reaches_over_midnight() -> None:
    """The window that opened yesterday is open until its two hours are over, and opens again tonight."""
    window = daily()

    assert window.current(at("2030-05-04T00:59:59")) == (at("2030-05-03T23:00:00"), at("2030-05-04T01:00:00"))
    assert window.current(at("2030-05-04T01:00:00")) is None
    assert window.current(at("2030-05-04T22:59:59")) is None
    assert window.current(at("2030-05-04T23:00:00")) == (at("2030-05-04T23:00:00"), at("2030-05-05T01:00:00"))


def test_a_daily_window_goes_by_the_clocks_of_its_zone() -> None:
    """At 02:30 in Berlin: an hour earlier in UTC in winter than in summer it is not, but the other way round."""
    window = daily(at="02:30", zone="Europe/Berlin", duration=600.0)

    assert window.current(at("2030-01-10T01:30:00")) is not None
    assert window.current(at("2030-07-10T00:30:00")) is not None
    assert window.current(at("2030-07-10T01:30:00")) is None


def test_when_clocks_change_it_opens_once_and_lasts_as_long() -> None:
    """Skipped, it opens that much later; shown twice, at the first; always for its real seconds."""
    window = daily(at="02:30", zone="Europe/Berlin", duration=600.0)
    spring, autumn = at("2030-03-31T01:30:00"), at("2030-10-27T00:30:00")

    assert window.current(spring) == (spring, spring + 600)
    assert window.current(spring - 3600) is None
    assert window.current(autumn) == (autumn, autumn + 600)
    assert window.current(autumn + 3600) is None


def test_until_ends_the_last_one() -> None:
    """A daily window with an end is cut there and does not open again."""
    window = daily(until="2030-05-04T00:30:00+00:00")

    assert window.current(at("2030-05-03T23:00:00")) == (at("2030-05-03T23:00:00"), at("2030-05-04T00:30:00"))
    assert window.current(at("2030-05-04T00:30:00")) is None
    assert window.current(at("2030-05-04T23:10:00")) is None


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"start": "2030-01-01T00:00:00"}, r"OnceWindow\.start"),
        ({"end": 1000.0}, r"OnceWindow\.end must be after start"),
        ({"start": float("nan")}, r"OnceWindow\.start"),
        ({"start": 1_700_000_000_000.0}, r"OnceWindow\.start"),
        ({"reason": " "}, r"OnceWindow\.reason"),
        ({"by": ""}, r"OnceWindow\.by"),
        ({"name": ""}, r"OnceWindow\.name"),
    ],
)
def test_a_wrong_window_is_refused(data: dict[str, Any], where: str) -> None:
    """Times without an offset, ends before starts, milliseconds, and blanks are told."""
    with pytest.raises(ConfigError, match=where):
        once(**data)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"at": "24:00"}, r"DailyWindow\.at"),
        ({"at": "\u0660\u0663:\u0660\u0660"}, r"DailyWindow\.at"),
        ({"duration": 86_400.0}, r"DailyWindow\.duration must be between 1.0 and 79200.0 s"),
        ({"zone": "Europe/Atlantis"}, r"DailyWindow\.zone"),
        ({"zone": "../../etc/passwd"}, r"DailyWindow\.zone"),
        ({"until": "soon"}, r"DailyWindow\.until"),
    ],
)
def test_a_wrong_daily_window_is_refused(data: dict[str, Any], where: str) -> None:
    """Times that do not exist, windows without a gap, and unknown zones are told."""
    with pytest.raises(ConfigError, match=where):
        daily(**data)


def test_both_kinds_come_from_a_file() -> None:
    """In plain data the type says which kind it is."""
    data = {"type": "daily", "name": "n", "at": "03:00", "duration": 60, "reason": "r", "by": "b"}
    made = structure({**data, "match": {"target": ["a"]}}, OnceWindow | DailyWindow)  # type: ignore[arg-type]

    assert made == daily(at="03:00", duration=60.0, reason="r", by="b", match=AlertMatch(target=("a",)))


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
        (10, 10.0),
        (0, 0.0),
        (32_503_680_000, 32_503_680_000.0),
        (32_503_680_001, None),
        (True, None),
        ("10", None),
        (-1.0, None),
        (float("inf"), None),
        (10**400, None),
        (None, None),
        ("1970-01-01T00:00:10Z" + " " * 100, None),
    ],
)
def test_moments_are_seconds_or_text_with_an_offset(value: object, moment: float | None) -> None:
    """Whatever else is given is no moment, and nothing raises."""
    assert moment_of(value) == moment


@example(wall=199_252_800, zone="America/New_York")  # the eve of a day of 23 hours
@given(st.integers(0, 2_000_000_000), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
def test_a_daily_window_leaves_an_hour_of_each_day(wall: int, zone: str) -> None:
    """Even the longest window is closed at some time in any 25 hours, and never longer open than it lasts."""
    window = daily(duration=79_200.0, zone=zone)
    looks = [window.current(wall + 900 * step) for step in range(101)]

    assert None in looks
    assert all(span is None or span[1] - span[0] == 79_200.0 for span in looks)
