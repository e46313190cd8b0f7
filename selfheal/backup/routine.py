"""What is done about backups every night, and looked at in between: made, proven at once, copied, thinned out, told."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from selfheal.backup.damages import Verification
from selfheal.backup.pruning import Pruned, proven, prune
from selfheal.backup.records import BackupRecord
from selfheal.backup.retention import Retention
from selfheal.backup.store import BackupStore
from selfheal.backup.verifying import verify
from selfheal.backup.watching import BackupLimits, Standing, alerts_of
from selfheal.errors import SelfhealError
from selfheal.events import Alert, AlertCleared
from selfheal.forking import track

logger = logging.getLogger("selfheal.backup")


class DailyRegistry(Protocol):
    """What :meth:`BackupRoutine.register` needs of a task registry."""

    def register_daily(
        self,
        id: str,
        fn: Callable[[], object],
        at: str,
        *,
        tz: datetime.tzinfo | None,
        last_run: datetime.date | None,
        owner: str | None,
    ) -> object:
        """Have ``fn`` called each day at a time of day."""

    def register_interval(self, id: str, fn: Callable[[], Any], every: float, /, *, owner: str | None) -> object:
        """Have ``fn`` called every so many seconds."""


class Place(Protocol):
    """Somewhere else that copies of backups are kept: a :class:`~selfheal.backup.replicating.Replica`."""

    @property
    def name(self) -> str:
        """What people know it by; no secrets in it."""

    def send(self, store: BackupStore, id: str) -> object:
        """Copy a backup there and read it back; nothing is done about what is there already."""

    def last_copied(self) -> float | None:
        """When the newest backup of which there is a complete copy was made, in wall seconds. May take a moment."""


@attrs.frozen(kw_only=True)
class Round:
    """What one night brought.

    Args:
        backup: what was made; ``None`` if nothing was.
        verification: what was found of it, or of the newest there is.
        pruned: what was removed; ``None`` if nothing was looked at, because nothing new is proven.
        copied: places at which there is a copy now.
        errors: what went wrong, in words.
    """

    backup: BackupRecord | None
    verification: Verification | None
    pruned: Pruned | None
    copied: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of it was done and nothing found wrong."""
        return not self.errors and self.verification is not None and self.verification.ok


class BackupRoutine:
    """Makes a backup, verifies it right after, copies it elsewhere, and removes what is kept no longer.

    Only what was found right is copied, and only once there is such a one are older ones removed. What is wrong is told
    as alerts on the bus of the store, each for as long as it lasts: ``backup_failed``, ``backup_overdue``,
    ``backup_damaged``, ``verification_overdue``, ``replication_failed``, ``replication_overdue``.

    Args:
        store: with its sections.
        retention: how many are kept; by default 7 days, 4 weeks and 6 months.
        places: where copies are kept.
        limits: how old things may become.
        kind: of the verification: ``"deep"`` reads every byte.
        reports: directory of the report of the verification; by default that of the store.

    Raises:
        ConfigError: if a value is not accepted.
    """

    def __init__(
        self,
        store: BackupStore,
        *,
        retention: Retention | None = None,
        places: Sequence[Place] = (),
        limits: BackupLimits | None = None,
        kind: str = "deep",
        reports: Path | str | None = None,
    ) -> None:
        self.store = store
        self.retention = retention or Retention()
        self.places = tuple(places)
        self.limits = limits or BackupLimits()
        self._kind = kind
        self._reports = reports
        self._since = store.clock.wall()
        self._failed = ""
        self._copy_failed: dict[str, str] = {}
        self._copied: dict[str, float | None] = {place.name: None for place in self.places}
        self._unasked = list(self.places)
        self._open: dict[str, Alert] = {}
        self._lock = threading.Lock()
        track(self, BackupRoutine._in_child)

    def run(self) -> Round:
        """Do all of it once. What fails is told in the result and as an alert; the rest is tried all the same."""
        errors: list[str] = []
        backup = self._create(errors)
        verification = self._verify(errors)
        sound = verification is not None and verification.ok
        pruned = self._prune(errors) if sound and backup is not None else None
        copied = self._copy(verification.id, errors) if verification is not None and sound else ()
        self.check()
        return Round(
            backup=backup, verification=verification, pruned=pruned, copied=tuple(copied), errors=tuple(errors)
        )

    def check(self) -> tuple[Alert, ...]:
        """Look at how things stand; raise what is wrong, clear what is gone. Returns everything that is wrong."""
        self._ask_places()
        found = alerts_of(self.standing(), self.limits, self.store.clock.wall(), self._since)
        with self._lock:
            before, self._open = self._open, found
        for fingerprint in before.keys() - found.keys():
            self.store.events.publish(AlertCleared(at=self.store.clock.wall(), fingerprint=fingerprint))
        for fingerprint, alert in found.items():
            if fingerprint not in before:
                logger.error("%s", alert.message)
            self.store.events.publish(alert)
        return tuple(found.values())

    def standing(self) -> Standing:
        """How things stand. Reads the names and records of the store, and no backup."""
        store = str(self.store.directory)
        try:
            there, records = self.store.list() if self.store.directory.exists() else (), self.store.records
        except SelfhealError as error:
            return Standing(store=store, unreadable=str(error))
        last = records[-1] if records else None
        found = ", ".join(f"{count} {kind}" for kind, count in last.damages.items()) if last else ""
        with self._lock:
            return Standing(
                store=store,
                newest=max((one.created for one in there), default=None),
                failed=self._failed,
                proven=max(proven(records).values(), default=None),
                damaged="" if last is None or last.ok else f"backup {last.id} is damaged: {found}",
                copied=dict(self._copied),
                copy_failed=dict(self._copy_failed),
            )

    def section(self) -> dict[str, Any]:
        """A section for :class:`~selfheal.status.StatusReport`: what is to be seen, durations in milliseconds."""
        standing, now = self.standing(), self.store.clock.wall()

        def age(at: float | None) -> int | None:
            return None if at is None else round((now - at) * 1000)

        with self._lock:
            problems = [alert.message for alert in self._open.values()]
        return {
            "store": standing.store,
            "newestAge": age(standing.newest),
            "provenAge": age(standing.proven),
            "copies": {place: age(at) for place, at in standing.copied.items()},
            "problems": problems,
            "limits": {
                "backupWithin": round(self.limits.backup_within * 1000),
                "verifiedWithin": round(self.limits.verified_within * 1000),
                "copiedWithin": round(self.limits.copied_within * 1000),
            },
        }

    def register(
        self,
        registry: DailyRegistry,
        *,
        at: str = "03:30",
        zone: datetime.tzinfo | None = None,
        check_every: float = 120.0,
        owner: str | None = None,
    ) -> tuple[str, ...]:
        """Have it run each night, and looked at in between. A night that was missed is made up for at once, by one run.

        So is the first backup of all: a host without one is not left so until the night.

        Args:
            registry: a :class:`~selfheal.tasks.TaskRegistry`.
            at: the time of day.
            zone: whose time of day; by default that of this machine.
            check_every: seconds between two looks.
            owner: handed to the registry.

        Returns:
            The ids of the tasks: ``backup`` and ``backup-check``.
        """
        registry.register_daily("backup", self.run, at, tz=zone, last_run=self._last_night(at, zone), owner=owner)
        registry.register_interval("backup-check", self.check, check_every, owner=owner)
        return ("backup", "backup-check")

    def _last_night(self, at: str, zone: datetime.tzinfo | None) -> datetime.date:
        """The date for which the newest backup counts: one made before the time of day is that of the day before."""
        newest = self.standing().newest
        if newest is None:
            return datetime.date(1970, 1, 1)
        made = datetime.datetime.fromtimestamp(newest, zone)
        early = made.strftime("%H:%M") < at.zfill(5)
        return made.date() - datetime.timedelta(days=1) if early else made.date()

    def _create(self, errors: list[str]) -> BackupRecord | None:
        try:
            made = self.store.create()
        except Exception as error:  # hooks of the host too: the newest there is still gets verified
            self._failed = str(error)
            errors.append(f"no backup was made: {error}")
            logger.exception("no backup was made in %s", self.store.directory)
            return None
        self._failed = ""
        return made

    def _verify(self, errors: list[str]) -> Verification | None:
        try:
            found = verify(self.store, kind=self._kind, reports=self._reports)
        except SelfhealError as error:
            errors.append(f"no backup was verified: {error}")
            logger.error("no backup was verified in %s: %s", self.store.directory, error)
            return None
        if not found.ok:
            errors.append(f"backup {found.id} is damaged: {len(found.damages)} things are not as they were")
        return found

    def _prune(self, errors: list[str]) -> Pruned | None:
        try:
            pruned = prune(self.store, self.retention)
        except SelfhealError as error:
            errors.append(f"nothing was removed: {error}")
            return None
        errors += [f"{id} could not be removed: {why}" for id, why in pruned.problems.items()]
        return pruned

    def _copy(self, id: str, errors: list[str]) -> list[str]:
        copied = []
        for place in self.places:
            try:
                place.send(self.store, id)
                at = place.last_copied()
            except Exception as error:  # each place is one of many libraries, with errors of its own
                errors.append(f"no copy at {place.name}: {error}")
                logger.error("backup %s was not copied to %s: %s", id, place.name, error)
                with self._lock:
                    self._copy_failed[place.name] = str(error)
                continue
            copied.append(place.name)
            with self._lock:
                self._copy_failed.pop(place.name, None)
                self._copied[place.name] = at
        return copied

    def _ask_places(self) -> None:
        """Ask each place once what it has from before this process."""
        while self._unasked:
            place = self._unasked.pop()
            try:
                at = place.last_copied()
            except Exception as error:
                with self._lock:
                    self._copy_failed[place.name] = str(error)
            else:
                with self._lock:
                    self._copied[place.name] = at

    def _in_child(self) -> None:
        self._lock = threading.Lock()
