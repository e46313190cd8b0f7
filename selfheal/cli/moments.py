"""Points in time as a person writes them."""

from __future__ import annotations

import argparse
import datetime
import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGO = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
_STEP = re.compile(r"([\d.]+)([smhdw])", re.ASCII)


def moment(text: str, now: float) -> float:
    """Wall seconds of a point in time: so long ago (``90s``, ``1h30m``, ``2d``), or a date in ISO 8601.

    Args:
        text: what was written. A date without a zone is in UTC, as the journal is.
        now: wall seconds.

    Raises:
        argparse.ArgumentTypeError: if it is neither.
    """
    if _AGO.fullmatch(text):
        return now - sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(text))
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        accepted = "so long ago (90s, 1h30m, 2d) or a date (2026-01-31, 2026-01-31T12:00)"
        raise argparse.ArgumentTypeError(f"must be {accepted}, got {text!r}") from error
    return (date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)).timestamp()
