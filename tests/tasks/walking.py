"""What a daily time means, worked out the slow way: a walk through the night, minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Etc/GMT-14",
    "Etc/GMT+12",
)


@cache
def walked(zone: str, at: str, day: date) -> int | None:
    """The instant of ``at`` on ``day``, seconds since 1970 UTC; ``None`` if the zone leaves the day out."""
    wanted = datetime.fromisoformat(f"{day} {at}")
    moment = datetime.combine(day, datetime.min.time(), UTC) - timedelta(days=1)
    first, seen = None, False
    for _ in range(3 * 24 * 60):
        shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        seen = seen or shown.date() == day
        if first is None and shown >= wanted:
            first = int(moment.timestamp())
        moment += timedelta(minutes=1)
    return first if seen else None
