"""Time zones are known by their names, or are said to be unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from selfheal.zones import zone_of


def test_utc_needs_no_data() -> None:
    """``UTC`` is the zone that Python itself has."""
    assert zone_of("UTC") is UTC


def test_a_zone_has_its_own_clocks() -> None:
    """A named zone is two hours ahead in summer and one in winter."""
    ahead = [datetime(2026, month, 1, tzinfo=zone_of("Europe/Berlin")).utcoffset() for month in (7, 1)]
    assert ahead == [timedelta(hours=2), timedelta(hours=1)]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_what_is_no_zone_is_told(name: str) -> None:
    """A name that this machine knows no zone of, or that leads elsewhere, is a ValueError with the name."""
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)
