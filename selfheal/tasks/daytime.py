"""A time of day in a zone: which instant it is on which date. Pure, whatever the zone does.

Only the way from an instant to the wall clock is asked of a zone, since that one is never ambiguous. The way
back is searched: the instant of a time is the first at which the clocks of the zone show it or, where they
jump over it, the first at which they show something later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import boolean
from selfheal.zones import zone_of

DAY = 86_400
"""Seconds of a day on which nobody sets a clock."""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime.fromordinal(_EPOCH_DAY)  # without a zone, as what clocks on a wall show
_SECOND = timedelta(seconds=1)
_STEP = DAY // 2
"""Seconds within which no zone changes its offset to and fro."""
_AT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_EARLIEST, _LATEST = date(1970, 1, 1), date(9990, 12, 31)
_ZONES = "an IANA zone name such as 'Europe/Berlin', a tzinfo, or None for the zone of this machine"
_NO_DATA = "; this machine has no time zone data, so no name is known: install tzdata with apt or pip"


def _a_time(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or _AT.fullmatch(value) is None:
        raise ConfigError("DailyTime.at", value, "a time from '00:00' to '23:59', as HH:MM", repr(field.default))


def _a_date(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    good = isinstance(value, date) and not isinstance(value, datetime) and _EARLIEST <= value <= _LATEST
    if value is not None and not good:
        accepted = f"a date (not a datetime) from {_EARLIEST} to {_LATEST} or None"
        raise ConfigError("DailyTime.last_run", value, accepted, "None")


def _a_zone(value: object) -> tzinfo | None:
    """Read a zone; a name is looked up on the machine, then in the package tzdata."""
    if value is None:
        return None
    if isinstance(value, str):
        return _named(value)
    if isinstance(value, tzinfo):
        try:
            datetime.fromtimestamp(0, value)
        except Exception as error:  # whatever its own code raises
            raise ConfigError("DailyTime.tz", value, f"{_ZONES}; this one does not work", "None") from error
        return value
    raise ConfigError("DailyTime.tz", value, _ZONES, "None")


def _named(name: str) -> tzinfo:
    try:
        return zone_of(name)
    except ValueError as error:
        import zoneinfo  # only who names a zone pays

        known = zoneinfo.available_timezones()
        raise ConfigError("DailyTime.tz", name, _ZONES if known else _ZONES + _NO_DATA, "None") from error


@attrs.frozen(kw_only=True)
class DailyTime:
    """When a daily task runs.

    Args:
        at: the time of day, ``"00:00"`` to ``"23:59"``.
        tz: the zone: an IANA name, a ``tzinfo``, or ``None`` for the zone of this machine.
        catch_up: run once at registration if a day after ``last_run`` has passed without a run.
        last_run: the day of the last run in an earlier life of the process; ``None`` if it is not known.

    Raises:
        ConfigError: if a value is not accepted.

    >>> from datetime import date, timezone
    >>> DailyTime(at="03:30", tz=timezone.utc).instant(date(1970, 1, 2).toordinal())
    99000
    """

    at: str = attrs.field(default="03:30", validator=_a_time)
    tz: tzinfo | None = attrs.field(default=None, converter=_a_zone)
    catch_up: bool = attrs.field(default=True, validator=boolean)
    last_run: date | None = attrs.field(default=None, validator=_a_date)

    def instant(self, day: int) -> int | None:
        """When the time comes on a day, in seconds since 1970 UTC.

        Args:
            day: the ordinal number of the date.

        Returns:
            The first instant at which the clocks of the zone show the time on that date; if they jump over
            it, the first after the jump. ``None`` if they jump over the whole day.
        """
        midnight = (day - _EPOCH_DAY) * DAY
        wanted = midnight + 3_600 * int(self.at[:2]) + 60 * int(self.at[3:])
        seen, found = False, None
        for begin, end, offset in self._stretches(midnight - DAY, midnight + 2 * DAY):
            seen = seen or (begin + offset < midnight + DAY and end + offset > midnight)
            if found is None and (moment := max(begin, wanted - offset)) < end:
                found = moment
        return found if seen else None

    def passed(self, wall: float) -> int:
        """The last day whose time has come by ``wall`` seconds since 1970 UTC."""
        second = math.floor(wall)
        day = _EPOCH_DAY + (second + self._offset(second)) // DAY + 1  # set back over midnight: it may have been
        while (moment := self.instant(day)) is None or moment > wall:
            day -= 1
        return day

    def count(self, first: int, last: int) -> int:
        """How many days there are from ``first`` to ``last``, both included; those jumped over do not count."""
        begin = end = None
        while first <= last and (begin := self.instant(first)) is None:
            first += 1
        while first <= last and (end := self.instant(last)) is None:
            last -= 1
        if begin is None or end is None:
            return 0
        # Only a zone that changes to the other side of the date line leaves a day out.
        return last - first + 1 - max(round((self._offset(end) - self._offset(begin)) / DAY), 0)

    def _offset(self, second: int) -> int:
        """How many seconds the clocks of the zone are ahead of UTC."""
        shown = datetime.fromtimestamp(second, self.tz).replace(tzinfo=None)
        return (shown - _EPOCH) // _SECOND - second

    def _stretches(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The offsets from ``begin`` to ``end``, each with the first second it holds and the first it does not."""
        since, offset = begin, self._offset(begin)
        while begin < end:
            low, high = begin, min(begin + _STEP, end)
            if self._offset(high) == offset:
                begin = high
                continue
            while high - low > 1:
                middle = (low + high) // 2
                if self._offset(middle) == offset:
                    low = middle
                else:
                    high = middle
            yield since, high, offset
            since = begin = high
            offset = self._offset(high)
        yield since, end, offset
