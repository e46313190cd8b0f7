"""Which backups are kept. Pure: it looks at times and verifications, and removes nothing itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable

import attrs

from selfheal.validators import between


@attrs.frozen(kw_only=True)
class Kept:
    """A backup as retention sees it.

    Args:
        id: of the backup.
        created: wall seconds.
        verified: whether its latest verification that read every byte found nothing wrong.
    """

    id: str
    created: float
    verified: bool = False


@attrs.frozen(kw_only=True)
class RetentionPlan:
    """What stays and what goes.

    Args:
        keep: id to the reasons for which it stays, newest first.
        remove: ids that no reason keeps, oldest first.
    """

    keep: dict[str, tuple[str, ...]]
    remove: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Retention:
    """How many backups are kept, by day, by week and by month: of each the newest.

    Counted are days, weeks and months that have a backup, not those that have passed: a service that stood still for
    a year, or a clock that was wrong, costs none. Always kept: the newest backup, and the newest that is verified. At
    most ``daily + weekly + monthly + 2`` are left, and those that are pinned.

    Args:
        daily: days; default 7.
        weekly: ISO weeks; default 4.
        monthly: months; default 6.
        zone: in which days begin; default UTC.

    Raises:
        ConfigError: if a number is out of range.

    >>> day = 86_400.0
    >>> backups = [Kept(id=str(n), created=n * day, verified=n < 3) for n in range(5)]
    >>> Retention(daily=2, weekly=0, monthly=0).plan(backups)
    RetentionPlan(keep={'4': ('newest', 'daily'), '3': ('daily',), '2': ('last verified',)}, remove=('0', '1'))
    """

    daily: int = attrs.field(default=7, validator=between(0, 10_000))
    weekly: int = attrs.field(default=4, validator=between(0, 10_000))
    monthly: int = attrs.field(default=6, validator=between(0, 10_000))
    zone: datetime.tzinfo = datetime.UTC

    def plan(self, backups: Iterable[Kept], pinned: Collection[str] = ()) -> RetentionPlan:
        """Decide.

        Args:
            backups: all there are.
            pinned: ids that stay whatever their age.
        """
        ordered = sorted(backups, key=lambda one: (one.created, one.id), reverse=True)
        reasons: dict[str, list[str]] = {one.id: [] for one in ordered}
        if ordered:
            reasons[ordered[0].id].append("newest")
        proven = [one for one in ordered if one.verified]
        if proven:
            reasons[proven[0].id].append("last verified")
        for name, count, period in (
            ("daily", self.daily, self._day),
            ("weekly", self.weekly, self._week),
            ("monthly", self.monthly, self._month),
        ):
            for one in _newest_of_each(ordered, count, period):
                reasons[one.id].append(name)
        for one in ordered:
            if one.id in pinned:
                reasons[one.id].append("pinned")
        keep = {id: tuple(why) for id, why in reasons.items() if why}
        return RetentionPlan(keep=keep, remove=tuple(one.id for one in reversed(ordered) if one.id not in keep))

    def _day(self, at: float) -> object:
        return datetime.datetime.fromtimestamp(at, self.zone).date()

    def _week(self, at: float) -> object:
        return datetime.datetime.fromtimestamp(at, self.zone).isocalendar()[:2]

    def _month(self, at: float) -> object:
        moment = datetime.datetime.fromtimestamp(at, self.zone)
        return moment.year, moment.month


def _newest_of_each(ordered: list[Kept], count: int, period: Callable[[float], object]) -> list[Kept]:
    """Of each of the latest ``count`` periods the newest; ``ordered`` is newest first."""
    found: dict[object, Kept] = {}
    for one in ordered:
        found.setdefault(period(one.created), one)
    return list(found.values())[:count]
