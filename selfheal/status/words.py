"""Moments and durations, as JSON and as people read them."""

from __future__ import annotations

import datetime
import math


def ms(seconds: float | None) -> int | None:
    """Whole milliseconds of a duration in seconds; ``None`` stays ``None``, and so becomes what is not finite."""
    return None if seconds is None or not math.isfinite(seconds) else round(seconds * 1000)


def iso(wall: float | None) -> str | None:
    """A moment (seconds since 1970 UTC) as ISO 8601 with milliseconds; ``None`` when there is none."""
    if wall is None or not math.isfinite(wall):
        return None
    try:
        moment = datetime.datetime.fromtimestamp(wall, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spoken(seconds: float | None) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``5 min 20 s``, ``3 h 5 min``, ``2 d 4 h``; ``-`` for none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{max(seconds, 0.0):.3g} s"
    whole = round(seconds)
    for size, name, smaller, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"
