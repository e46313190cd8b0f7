"""``selfheal backup list``: which backups there are, how old, and what was proven of each."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selfheal.backup.pruning import proven
from selfheal.backup.records import BackupRecord, VerificationRecord
from selfheal.backup.restoring.words import amount
from selfheal.cli.backup.opening import opened
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DONE

_HEAD = ("ID", "AGE", "FILES", "SIZE", "VERIFIED", "DAMAGE")
_STEPS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def list_backups(chosen: argparse.Namespace, page: Page) -> int:
    """List the backups."""
    store = opened(chosen).store
    now = store.clock.wall()
    records, there = store.records, store.list()
    sound = proven(records)
    latest = {one.id: telling(one.id, records, sound) for one in there}
    page.data |= {
        "store": str(store.directory),
        "backups": [_data(one, latest[one.id], sound, now) for one in there],
    }
    if there:
        page.table(_HEAD, [_row(one, latest[one.id], now) for one in there])
    else:
        page.say(f"there are no backups in {store.directory}")
    return DONE


def telling(id: str, records: Sequence[VerificationRecord], sound: Mapping[str, float]) -> VerificationRecord | None:
    """The verification that tells most of a backup: that which proved it; else what was found wrong; else the last.

    Args:
        id: of the backup.
        records: of the store, oldest first.
        sound: what is proven, with when that was.
    """
    mine = [record for record in records if record.id == id]
    if id in sound:
        return next(record for record in reversed(mine) if record.at == sound[id] and record.ok)
    wrong = [record for record in mine if not record.ok]
    fitting = wrong or mine
    return fitting[-1] if fitting else None


def ago(seconds: float) -> str:
    """A time in the past, in the largest unit that fits.

    >>> ago(42), ago(7_300), ago(200_000), ago(-5)
    ('42 s', '2 h', '2 d', '0 s')
    """
    for length, unit in _STEPS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def _row(one: BackupRecord, record: VerificationRecord | None, now: float) -> tuple[str, ...]:
    known = ("?", "?") if one.damage else (f"{one.files:,}", amount(one.size))
    verified = "never" if record is None else f"{record.kind}, {ago(now - record.at)} ago"
    return one.id, ago(now - one.created), *known, verified, _damage(one, record) or "-"


def _damage(one: BackupRecord, record: VerificationRecord | None) -> str:
    if one.damage:
        return one.damage
    if record is None or record.ok:
        return ""
    return ", ".join(f"{number:,} {kind}" for kind, number in record.damages.items())


def _data(
    one: BackupRecord, record: VerificationRecord | None, sound: Mapping[str, float], now: float
) -> dict[str, Any]:
    return {
        "id": one.id,
        "created": one.created,
        "age": now - one.created,
        "path": str(one.path),
        "files": one.files,
        "bytes": one.size,
        "skipped": one.skipped,
        "unstable": one.unstable,
        "damage": _damage(one, record),
        "verified": None if record is None else attrs.asdict(record) | {"age": now - record.at},
        "proven": sound.get(one.id),
    }
