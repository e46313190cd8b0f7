"""``selfheal backup replicate``: copies at other places: sent, verified, listed, thinned out, and fetched."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from selfheal.backup.naming import moment_of, time_of
from selfheal.backup.records import BackupRecord
from selfheal.backup.replicating import Replica
from selfheal.backup.restoring.words import amount, count
from selfheal.backup.retention import Retention
from selfheal.backup.settings import BackupSettings
from selfheal.cli.backup.listing import ago
from selfheal.cli.backup.opening import Opened, with_settings
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.pruning import tell_planned, tell_pruned
from selfheal.cli.backup.running import DONE, FAILED, CannotError, words
from selfheal.cli.backup.showing import Tell, showing
from selfheal.cli.backup.verifying import tell_verification
from selfheal.errors import NotFoundError, SelfhealError
from selfheal.integrations.remote_files import replica_at

_HEAD = ("PLACE", "ID", "AGE", "FILES", "SIZE", "DAMAGE")


def replicate(chosen: argparse.Namespace, page: Page) -> int:
    """Copy a backup elsewhere; or verify, list, thin out or fetch copies."""
    if chosen.which != "latest" and (chosen.list or chosen.fetch or chosen.prune):
        chosen.refuse("--list, --fetch and --prune take no other backup")
    if chosen.dry_run and not chosen.prune:
        chosen.refuse("--dry-run goes with --prune")
    found, settings = with_settings(chosen)
    page.data |= {"places": []}
    with showing(chosen) as tell:
        places = _places(settings, chosen.place, tell)
        if chosen.list:
            return _list(page, found, places)
        if chosen.fetch:
            return _fetch(page, found, places, chosen.fetch)
        if chosen.prune:
            return _each(page, places, lambda place: _prune(page, place, settings.retained(), chosen.dry_run))
        if chosen.verify:
            return _each(page, places, lambda place: _verify(page, place, chosen.which))
        id = found.store.get(chosen.which).id
        return _each(page, places, lambda place: _send(page, found, place, id))


def _places(settings: BackupSettings, names: Sequence[str] | None, tell: Tell | None) -> list[Replica]:
    """The places that were named, or all.

    Raises:
        CannotError: if the settings have none.
        NotFoundError: if they have none of this name.
    """
    there = {place.name: place for place in settings.places}
    if not there:
        raise CannotError("the settings have no places: add [[places]] with a name and a url to them")
    for name in names or ():
        if name not in there:
            raise NotFoundError("place", name, there)
    key = settings.key()
    wanted = dict.fromkeys(names or there)
    return [replica_at(there[name].url, name=name, key=key, progress=tell) for name in wanted]


def _each(page: Page, places: Sequence[Replica], work: Callable[[Replica], int]) -> int:
    """Do it at each place; one that cannot be reached keeps none of the others from being used, nor hides damage."""
    codes = []
    for place in places:
        try:
            codes.append(work(place))
        except (SelfhealError, OSError) as error:
            why = words(error).removeprefix(f"{place.name}: ")
            page.errors.append(f"{place.name}: {why}")
            page.data["places"].append({"name": place.name, "error": why})
            codes.append(FAILED)
    return max(codes, default=DONE)


def _send(page: Page, found: Opened, place: Replica, id: str) -> int:
    sent = place.send(found.store, id)
    page.data["places"].append({"name": place.name} | attrs.asdict(sent))
    kept = f", {sent.kept:,} were there already and are right" if sent.kept else ""
    page.say(
        f"backup {id} is at {place.name}: {count(sent.files, 'file')} written and read back, {amount(sent.bytes)},"
        f" in {sent.duration:.1f} s{kept}"
    )
    return DONE


def _verify(page: Page, place: Replica, which: str) -> int:
    verification = place.verify(_which(place, which))
    page.say(f"at {place.name}:")
    code = tell_verification(page, verification)
    page.data["places"].append({"name": place.name, "verification": page.data.pop("verification")})
    return code


def _which(place: Replica, which: str) -> str:
    """The copy that is meant: the latest, an id, or the newest of a date or before."""
    names = place.names()
    moment = None if which == "latest" else moment_of(which)
    if which in names:
        return which
    fitting = [name for name in names if which == "latest" or (moment is not None and (time_of(name) or 0.0) <= moment)]
    if not fitting:
        raise NotFoundError("copy", which, names)
    return fitting[-1]


def _prune(page: Page, place: Replica, retention: Retention, dry_run: bool) -> int:
    done = None if dry_run else place.prune(retention)
    plan = place.plan_pruning(retention) if done is None else done.plan
    page.say(f"at {place.name}:")
    code = tell_planned(page, plan) if done is None else tell_pruned(page, done)
    page.data["places"].append({"name": place.name, "pruned": page.data.pop("pruned")})
    return code


def _list(page: Page, found: Opened, places: Sequence[Replica]) -> int:
    now = found.store.clock.wall()
    rows: list[tuple[str, ...]] = []

    def look(place: Replica) -> int:
        there = place.list()
        rows.extend((place.name, *_row(one, now)) for one in there)
        page.data["places"].append({"name": place.name, "copies": [_data(one, now) for one in there]})
        if not there:
            page.say(f"there are no copies at {place.name}")
        return DONE

    code = _each(page, places, look)
    if rows:
        page.table(_HEAD, rows)
    return code


def _row(one: BackupRecord, now: float) -> tuple[str, ...]:
    known = ("?", "?") if one.damage else (f"{one.files:,}", amount(one.size))
    return one.id, ago(now - one.created), *known, one.damage or "-"


def _data(one: BackupRecord, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "created": one.created,
        "age": now - one.created,
        "files": one.files,
        "bytes": one.size,
        "damage": one.damage,
    }


def _fetch(page: Page, found: Opened, places: Sequence[Replica], which: str) -> int:
    if len(places) > 1:
        raise CannotError(f"fetch from which place? Say --place, one of: {', '.join(place.name for place in places)}")
    (place,) = places
    made = place.fetch(_which(place, which), found.store)
    page.data["places"].append({"name": place.name})
    page.data["backup"] = {"id": made.id, "path": str(made.path), "files": made.files, "bytes": made.size}
    page.say(
        f"backup {made.id} is fetched from {place.name}: {count(made.files, 'file')}, {amount(made.size)},"
        " every byte compared",
        f"it is in {made.path}",
        f"to put it back: {found.command('restore', made.id)}",
    )
    return DONE
