"""Figures as people read them."""

from __future__ import annotations

import datetime
import math

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def amount(size: float) -> str:
    """Bytes with a unit.

    >>> amount(812), amount(1536), amount(5 * 1024**3)
    ('812 bytes', '1.5 KiB', '5.0 GiB')
    """
    if size < 1024:
        return f"{size:.0f} byte{'' if size == 1 else 's'}"
    power = min(int(math.log(size, 1024)), len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"


def one_line(text: str) -> str:
    r"""A text that stays one line, and that no terminal obeys: what is not printable as its escape.

    >>> one_line("red\x1b[31m")
    'red\\x1b[31m'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def count(number: int, word: str) -> str:
    """A number with its word.

    >>> count(1, "file"), count(12000, "file")
    ('1 file', '12,000 files')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def moment(wall: float) -> str:
    """Wall seconds as date and time in UTC.

    >>> moment(1_700_000_000.0)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
