"""What stands wrong with the backups of a store, told from what is there and what was done last. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import attrs

from selfheal.conditions import parse_duration
from selfheal.configuring import StructuredBy
from selfheal.events import Alert, Severity
from selfheal.validators import between

_HOUR = 3600.0
Seconds = Annotated[float, StructuredBy(parse_duration)]
"""Seconds; in a file also text such as ``26h``."""


@attrs.frozen(kw_only=True)
class BackupLimits:
    """How old things may become before somebody is told.

    Args:
        backup_within: seconds that the newest backup may be old; default 26 hours: a night was missed.
        verified_within: seconds since the last time that every byte of a backup was read and found right; default 50
            hours.
        copied_within: seconds since the last complete copy elsewhere, for each place; default 50 hours.

    Raises:
        ConfigError: if a value is out of range.
    """

    backup_within: Seconds = attrs.field(default=26 * _HOUR, validator=between(60.0, 366 * 86_400.0, "s"))
    verified_within: Seconds = attrs.field(default=50 * _HOUR, validator=between(60.0, 366 * 86_400.0, "s"))
    copied_within: Seconds = attrs.field(default=50 * _HOUR, validator=between(60.0, 366 * 86_400.0, "s"))


@attrs.frozen(kw_only=True)
class Standing:
    """What is known of the backups of a store. Times are wall seconds, ``None``: never.

    Args:
        store: its directory.
        newest: when the newest backup was begun.
        failed: why the last attempt at a backup made none; empty if it made one.
        proven: when every byte of a backup was last read and found right.
        damaged: what the last verification found, in words; empty if nothing.
        copied: for each place elsewhere, when a complete copy was made last.
        copy_failed: for each place elsewhere, why the last copy was not made, where it was not.
        unreadable: why the store cannot be read; empty if it can.
    """

    store: str
    newest: float | None = None
    failed: str = ""
    proven: float | None = None
    damaged: str = ""
    copied: Mapping[str, float | None] = attrs.field(factory=dict)
    copy_failed: Mapping[str, str] = attrs.field(factory=dict)
    unreadable: str = ""


def alerts_of(standing: Standing, limits: BackupLimits, now: float, since: float) -> dict[str, Alert]:
    """Everything that is wrong now, by fingerprint.

    Args:
        standing: what is known.
        limits: how old things may be.
        now: wall seconds.
        since: wall seconds from which the age of what never was counts: when this process began to look.
    """
    found: list[Alert] = []

    def tell(kind: str, message: str, value: float = math.nan, place: str = "") -> None:
        labels = {"store": standing.store} | ({"place": place} if place else {})
        found.append(
            Alert(
                at=now,
                kind=kind,
                target=place or standing.store,
                metric="" if math.isnan(value) else "age_seconds",
                value=value,
                severity=Severity.CRITICAL,
                message=message,
                labels=labels,
            )
        )

    def overdue(kind: str, what: str, last: float | None, within: float, place: str = "") -> None:
        age = now - (since if last is None else last)
        if age > within:
            ago = "never" if last is None else f"{age / _HOUR:.1f} hours ago"
            tell(kind, f"{what} {ago}; it must be within {within / _HOUR:g} hours", age, place)

    if standing.unreadable:
        tell("backup_failed", f"the store cannot be read: {standing.unreadable}")
        return {one.fingerprint: one for one in found}
    if standing.failed:
        tell("backup_failed", f"no backup was made: {standing.failed}")
    overdue("backup_overdue", "the newest backup was made", standing.newest, limits.backup_within)
    if standing.damaged:
        tell("backup_damaged", standing.damaged)
    overdue("verification_overdue", "a backup was proven last", standing.proven, limits.verified_within)
    for place, last in standing.copied.items():
        if place in standing.copy_failed:
            tell("replication_failed", f"no copy was made at {place}: {standing.copy_failed[place]}", place=place)
        overdue("replication_overdue", f"a copy was made at {place}", last, limits.copied_within, place)
    return {one.fingerprint: one for one in found}
