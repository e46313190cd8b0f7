"""Time zones by their names."""

from __future__ import annotations

from datetime import UTC, tzinfo


def zone_of(name: str) -> tzinfo:
    """The zone of that name; ``"UTC"`` is one on machines without time zone data too.

    Raises:
        ValueError: if this machine knows none of that name.
    """
    if name == "UTC":
        return UTC
    import zoneinfo  # only who names a zone pays

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {name!r} is known here") from error
