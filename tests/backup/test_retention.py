"""Which backups are kept."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.backup.retention import Kept, Retention
from selfheal.errors import ConfigError

DAY = 86_400.0
START = 1_700_000_000.0


def daily(count: int, *, verified: bool = True) -> list[Kept]:
    """A backup a day, the first the oldest."""
    return [Kept(id=f"b{n:04}", created=START + n * DAY, verified=verified) for n in range(count)]


def test_after_a_year_of_days_there_are_seventeen_at_most() -> None:
    """7 days, 4 weeks and 6 months, of which the newest of each are one and the same."""
    plan = Retention().plan(daily(400))
    assert 12 <= len(plan.keep) <= 17
    assert list(plan.keep)[:7] == [f"b{n:04}" for n in range(399, 392, -1)]
    assert sum("weekly" in why for why in plan.keep.values()) == 4
    assert sum("monthly" in why for why in plan.keep.values()) == 6
    assert len(plan.remove) == 400 - len(plan.keep)


def test_the_last_verified_is_kept_however_old() -> None:
    """Newer ones that nobody has proven do not push it out."""
    old, *others = daily(400, verified=False)
    plan = Retention().plan([Kept(id=old.id, created=old.created, verified=True), *others])
    assert plan.keep[old.id] == ("last verified",)


def test_what_nobody_verifies_does_not_fill_the_disk() -> None:
    """The bound holds also where none is proven."""
    assert len(Retention().plan(daily(400, verified=False)).keep) <= 18


def test_the_newest_is_kept_though_nothing_is_asked_for() -> None:
    """With all numbers at zero the newest and the newest verified stay, and what is pinned."""
    nothing = Retention(daily=0, weekly=0, monthly=0)
    plan = nothing.plan([*daily(3), Kept(id="new", created=START + 9 * DAY)], pinned={"b0000"})
    assert plan.keep == {"new": ("newest",), "b0002": ("last verified",), "b0000": ("pinned",)}
    assert nothing.plan([]).keep == {}


def test_a_pause_of_a_year_costs_none() -> None:
    """Days count that have a backup, not days that have passed."""
    before = daily(7)
    plan = Retention(weekly=0, monthly=0).plan([*before[1:], Kept(id="after", created=START + 400 * DAY)])
    assert plan.remove == ()


def test_days_begin_at_midnight_of_the_zone() -> None:
    """Two backups of one night in UTC are of two days where the night is the day before."""
    zone = ZoneInfo("America/New_York")
    moments = [datetime.datetime(2025, 6, 2, hour, tzinfo=datetime.UTC).timestamp() for hour in (3, 5)]
    pair = [Kept(id=str(n), created=at, verified=True) for n, at in enumerate(moments)]
    assert len(Retention(daily=2, weekly=0, monthly=0, zone=zone).plan(pair).keep) == 2
    assert len(Retention(daily=2, weekly=0, monthly=0).plan(pair).keep) == 1


def test_a_negative_number_is_refused() -> None:
    """The error names the field and what is accepted."""
    with pytest.raises(ConfigError, match=r"Retention.daily must be an integer between 0 and 10000"):
        Retention(daily=-1)


moments = st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=60, unique_by=lambda one: one[0])


@given(moments, st.integers(0, 9), st.integers(0, 6), st.integers(0, 6))
def test_whatever_there_is(found: list[tuple[int, bool]], days: int, weeks: int, months: int) -> None:
    """Nothing is both kept and removed, the bound holds, again changes nothing, and what is proven is never lost."""
    backups = [Kept(id=f"{n:04}", created=START + n * DAY / 3, verified=ok) for n, ok in found]
    rule = Retention(daily=days, weekly=weeks, monthly=months)
    plan = rule.plan(backups)
    assert sorted([*plan.keep, *plan.remove]) == sorted(one.id for one in backups)
    left = [one for one in backups if one.id in plan.keep]
    proven = [one for one in backups if one.verified]
    if proven:
        assert max(proven, key=lambda one: one.created) in left
    assert len(left) <= days + weeks + months + 2
    assert rule.plan(left).remove == ()
    if backups:
        assert max(backups, key=lambda one: one.created) in left
