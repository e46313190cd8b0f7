"""The names of backups: the time at which each was begun, in UTC, and a number where two begin in one second."""

from __future__ import annotations

import datetime
import re

_ID = re.compile(r"(\d{8}T\d{6})Z(?:-([1-9]\d{0,5}))?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FORMAT = "%Y%m%dT%H%M%S"


def id_at(wall: float, number: int = 1) -> str:
    """The name of the backup begun at a time.

    >>> id_at(1_795_231_800.0), id_at(1_795_231_800.0, 2)
    ('20261121T033000Z', '20261121T033000Z-2')
    """
    moment = datetime.datetime.fromtimestamp(int(wall), datetime.UTC)
    return f"{moment:{_FORMAT}}Z" + ("" if number == 1 else f"-{number}")


def order_of(name: str) -> tuple[str, int] | None:
    """What names are sorted by, oldest first; ``None`` for what is no name of a backup."""
    match = _ID.fullmatch(name)
    return None if match is None else (match[1], int(match[2] or 1))


def time_of(name: str) -> float | None:
    """Wall seconds at which the backup of this name was begun; ``None`` for what is no name of one."""
    order = order_of(name)
    try:
        moment = None if order is None else datetime.datetime.strptime(f"{order[0]}Z", f"{_FORMAT}%z")
    except ValueError:
        return None
    return None if moment is None else moment.timestamp()


def moment_of(which: str | datetime.date) -> float | None:
    """The last wall second that a date or a time means; ``None`` for a text that is neither.

    A date is all of that day, in UTC; a time without a zone is in UTC.
    """
    if isinstance(which, str):
        try:
            whole_day = _DAY.fullmatch(which) is not None
            which = datetime.date.fromisoformat(which) if whole_day else datetime.datetime.fromisoformat(which)
        except ValueError:
            return None
    if not isinstance(which, datetime.datetime):
        which = datetime.datetime.combine(which, datetime.time(23, 59, 59, 999_999))
    return (which if which.tzinfo is not None else which.replace(tzinfo=datetime.UTC)).timestamp()
