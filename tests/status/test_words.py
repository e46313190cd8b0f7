"""Moments and durations in words."""

from __future__ import annotations

import math

import pytest

from selfheal.status.words import iso, ms, spoken


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, None), (0.0, 0), (0.0004, 0), (1.2345, 1234), (600.0, 600_000), (math.inf, None)]
)
def test_milliseconds_are_whole(seconds: float | None, expected: int | None) -> None:
    """A duration becomes an int of milliseconds, and what is not finite becomes null."""
    found = ms(seconds)

    assert found == expected
    assert found is None or type(found) is int


@pytest.mark.parametrize("wall", [None, math.nan, math.inf, 1e300, -1e300])
def test_a_moment_that_is_none_is_null(wall: float | None) -> None:
    """A moment that does not exist, or lies beyond the calendar, is null instead of an error."""
    assert iso(wall) is None


def test_a_moment_is_iso_8601_in_utc() -> None:
    """A moment carries its milliseconds and its zone."""
    assert iso(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (0.0, "0 s"),
        (-3.0, "0 s"),
        (0.25, "0.25 s"),
        (9.99, "9.99 s"),
        (12.4, "12 s"),
        (60.0, "1 min"),
        (320.0, "5 min 20 s"),
        (11_100.0, "3 h 5 min"),
        (187_200.0, "2 d 4 h"),
    ],
)
def test_a_duration_is_told_in_two_units_at_most(seconds: float | None, expected: str) -> None:
    """A duration reads as a person would say it."""
    assert spoken(seconds) == expected
