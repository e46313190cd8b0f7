"""Maintenance windows: times in which people work on something and automation keeps off it. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

import attrs

from selfheal.errors import ConfigError
from selfheal.policies.matching import AlertMatch
from selfheal.validators import a_zone, between
from selfheal.validators import name as a_name
from selfheal.zones import zone_of

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_LATEST = 32_503_680_000.0
"""The year 3000, in seconds since 1970: what lies beyond is a mistake, such as milliseconds."""
_MOMENT = "seconds since 1970, or an ISO-8601 time with its offset ('2030-01-31T22:00:00+00:00')"


def moment_of(value: object) -> float | None:
    """Seconds since 1970 of a moment given as such a number, or as ISO-8601 text with an offset.

    Returns:
        ``None`` if it is neither, or beyond the years 1970 to 3000.
    """
    if isinstance(value, str) and len(value) <= 64:
        try:
            made = datetime.fromisoformat(value)
        except ValueError:
            return None
        if made.tzinfo is None:
            return None
        value = (made - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LATEST else None


def _moment(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if moment_of(value) is None and not (value is None and field.default is None):
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, _MOMENT)


def _clock(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or _CLOCK.fullmatch(value) is None:
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, "a time from '00:00' to '23:59', as HH:MM")


@attrs.frozen(kw_only=True)
class OnceWindow:
    """A maintenance window with a beginning and an end.

    Args:
        name: what people call it.
        start: when it begins; seconds since 1970, or ISO-8601 text with an offset.
        end: when it is over, after ``start``; likewise.
        reason: what is done then.
        by: who says so.
        match: what it is about; by default any alert.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "once"
    name: str = attrs.field(validator=a_name)
    start: float | str = attrs.field(validator=_moment)
    end: float | str = attrs.field(validator=_moment)
    reason: str = attrs.field(validator=a_name)
    by: str = attrs.field(validator=a_name)
    match: AlertMatch = attrs.field(factory=AlertMatch, validator=attrs.validators.instance_of(AlertMatch))

    def __attrs_post_init__(self) -> None:
        if self.longest <= 0:
            raise ConfigError("OnceWindow.end", self.end, f"after start ({self.start})")

    @property
    def longest(self) -> float:
        """Seconds that it lasts."""
        return (moment_of(self.end) or 0.0) - (moment_of(self.start) or 0.0)

    def current(self, wall: float) -> tuple[float, float] | None:
        """When the window that is open at ``wall`` began and ends; ``None`` if it is not open."""
        start, end = moment_of(self.start) or 0.0, moment_of(self.end) or 0.0
        return (start, end) if start <= wall < end else None


@attrs.frozen(kw_only=True)
class DailyWindow:
    """A maintenance window that opens every day.

    It lasts ``duration`` real seconds. Where clocks are set forward over ``at``, it opens that much later; where
    they show ``at`` twice, it opens at the first.

    Args:
        name: what people call it.
        at: when it opens, ``"00:00"`` to ``"23:59"``.
        duration: seconds that it lasts; up to 79200, so that each day has an hour without, also one of 23 hours.
        zone: whose clocks ``at`` is read on; an IANA name.
        reason: what is done then.
        by: who says so.
        match: what it is about; by default any alert.
        until: when the last of them is over; ``None``: as long as it is configured.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "daily"
    name: str = attrs.field(validator=a_name)
    at: str = attrs.field(validator=_clock)
    duration: float = attrs.field(validator=between(1.0, 79_200.0, "s"))
    zone: str = attrs.field(default="UTC", validator=a_zone)
    reason: str = attrs.field(validator=a_name)
    by: str = attrs.field(validator=a_name)
    match: AlertMatch = attrs.field(factory=AlertMatch, validator=attrs.validators.instance_of(AlertMatch))
    until: float | str | None = attrs.field(default=None, validator=_moment)

    @property
    def longest(self) -> float:
        """Seconds that each of them lasts at most."""
        return self.duration

    def current(self, wall: float) -> tuple[float, float] | None:
        """When the window that is open at ``wall`` began and ends; ``None`` if none is open."""
        zone = zone_of(self.zone)
        last = math.inf if self.until is None else moment_of(self.until) or 0.0
        today = datetime.fromtimestamp(wall, zone).date()
        for day in (today, today - timedelta(days=1)):
            opens = datetime.combine(day, time.fromisoformat(self.at), zone).timestamp()
            end = min(opens + self.duration, last)
            if opens <= wall < end:
                return opens, end
        return None


MaintenanceWindow = OnceWindow | DailyWindow
"""A window of either kind; in a file, ``type`` is ``"once"`` or ``"daily"``."""
