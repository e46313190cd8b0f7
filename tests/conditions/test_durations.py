"""Tests of durations: what is read, what is refused, and the way back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.conditions import format_duration, parse_duration
from selfheal.errors import ConfigError


@pytest.mark.parametrize(
    ("given_as", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("7d", 604_800.0),
        ("0s", 0.0),
        (90, 90.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_what_is_read(given_as: Any, seconds: float) -> None:
    """Numbers are seconds; text has numbers with units, largest first."""
    assert parse_duration(given_as) == seconds


REFUSED = [
    "",
    "5",
    "m",
    "5 m",
    " 5m",
    "5m ",
    "5m\n",
    "-5m",
    "+5m",
    "1e3s",
    "5M",
    "30m1h",
    "5m5m",
    "5µs",
    "\u0665m",
    "\uff15m",
    "8d",
    "0.1.2s",
    "1_0s",
    "5m\0",
    "9" * 1_000_000 + "s",
    -1,
    -0.5,
    604_800.1,
    math.nan,
    math.inf,
    10**400,
    True,
    False,
    None,
    [5],
    {"s": 5},
    b"5m",
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: repr(value)[:20])
def test_what_is_refused(value: Any) -> None:
    """Anything else is refused, naming the place and what is accepted."""
    with pytest.raises(ConfigError, match=r"^grace must be a number of seconds or text such as '30s'") as caught:
        parse_duration(value, "grace")
    assert caught.value.where == "grace"
    assert len(str(caught.value)) < 300


@given(st.floats(0.0, 604_800.0) | st.integers(0, 604_800))
def test_text_of_a_duration_is_read_as_the_same(seconds: float) -> None:
    """What format_duration() writes, parse_duration() reads as the same number."""
    kept = parse_duration(seconds)

    assert parse_duration(format_duration(kept)) == kept
    assert abs(kept - seconds) <= 0.000_000_51


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.5, "500ms"), (0.000001, "0.001ms"), (60.0, "1m"), (3600.0, "1h"), (93_784.005, "1d2h3m4.005s")],
)
def test_text_is_short(seconds: float, text: str) -> None:
    """Units that are not needed are left out."""
    assert format_duration(seconds) == text
