"""Durations as people write them: ``5m``, ``1h30m``, ``500ms``."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from selfheal.conditions.showing import shown
from selfheal.errors import ConfigError

MAX_SECONDS = 604_800.0
"""Longest duration: seven days."""

ACCEPTED = "a number of seconds or text such as '30s', '5m', '1h30m', at most 7d"
"""What :func:`parse_duration` takes, in words."""

_UNITS = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_SECONDS = {unit: int(seconds) for unit, seconds in _UNITS.items()}
_SIMPLE = re.compile("([0-9]{1,12})([dhms])")
_MAX_TEXT = 60
_PART = r"(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)%s)?"
_WHOLE = re.compile("".join(_PART % unit for unit in _UNITS))


def parse_duration(value: object, where: str = "duration") -> float:
    """Seconds that a number of seconds or a text stands for.

    A text has numbers with units, largest unit first, each at most once: ``d``, ``h``, ``m``, ``s``, ``ms``. A
    number alone is not accepted as text: nobody could tell its unit.

    Args:
        value: a number, or text such as ``"5m"``.
        where: the setting, for the message.

    Returns:
        Seconds, rounded to microseconds.

    Raises:
        ConfigError: if it is something else, negative, not finite, or longer than seven days.

    >>> parse_duration("1h30m"), parse_duration("500ms"), parse_duration(5)
    (5400.0, 0.5, 5.0)
    """
    if type(value) is float and 0.0 < value <= MAX_SECONDS:
        return round(value, 6)
    seconds = _of_text(value) if isinstance(value, str) else _of_number(value)
    if seconds is None or not 0.0 <= seconds <= MAX_SECONDS:
        raise ConfigError(where, shown(value), ACCEPTED)
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that :func:`parse_duration` reads as the same number of seconds.

    >>> format_duration(5400.0), format_duration(0.25), format_duration(90.5)
    ('1h30m', '250ms', '1m30.5s')
    """
    left = Decimal(repr(seconds))
    text = ""
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _UNITS[unit])
        text += f"{count:f}{unit}" if count else ""
    if not text and 0 < left < 1:
        return f"{_plain(left * 1000)}ms"
    return f"{text}{_plain(left)}s" if left or not text else text


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _of_text(text: str) -> float | None:
    if (simple := _SIMPLE.fullmatch(text)) is not None:
        return float(int(simple[1]) * _SECONDS[simple[2]])
    found = _WHOLE.fullmatch(text) if 0 < len(text) <= _MAX_TEXT else None
    if found is None:
        return None
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return round(float(sum(Decimal(number) * unit for number, unit in parts if number)), 6)


def _of_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and value.bit_length() > 64:
        return None
    return round(float(value), 6) if math.isfinite(value) else None
