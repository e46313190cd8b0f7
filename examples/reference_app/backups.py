"""The app's backups: what is in them, when they are made, and what stops and goes on when one is made or put back."""

from __future__ import annotations

import functools
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from examples.reference_app.losses import CONFIG, DATA, JOURNAL, STATE, Losses, check_database
from examples.reference_app.places import Places
from examples.reference_app.request_log import RequestLog, look_into
from selfheal.backup import BackupStore, Restorer, RestoreReport, Section
from selfheal.backup.control import BackupControl
from selfheal.backup.naming import time_of
from selfheal.backup.routine import BackupRoutine, Round
from selfheal.errors import NotFoundError, RestoreStuckError, StateError
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.policies.dormancy import KEY
from selfheal.state import SQLiteStore
from selfheal.tasks import TaskRegistry

logger = logging.getLogger("reference_app.backups")

LIVE = (CONFIG, DATA, STATE)
"""What is put back while the service runs. Not the journal: the engine writes it, and an older one knows less."""
_PATIENCE = 60.0


class BusyError(Exception):
    """A backup or a restore holds the files, and has not let go of them in time."""


def _nothing(step: str) -> None:
    """No fault here."""


def _nothing_more() -> None:
    """The files are back, and nobody else has to know."""


def settings_probe(places: Places) -> Mapping[str, Any]:
    """What a backup notes of the settings: how many lines say something. Not what: there are keys in it."""
    lines = places.settings.read_text(encoding="utf-8").splitlines()
    return {"settings": sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#"))}


def state_probe(places: Places) -> Mapping[str, Any]:
    """What a backup notes of the state: whether healing was dormant, and how many files there were."""
    kept = SQLiteStore(places.dormancy).get(KEY) or {}
    snapshots = places.state / "snapshots"
    return {
        "dormancy": sorted(kept),
        "notifications": (places.state / "notifications.jsonl").exists(),
        "snapshots": len(list(snapshots.iterdir())) if snapshots.exists() else 0,
    }


def sections_of(places: Places) -> tuple[Section, ...]:
    """What is in a backup, in the order in which it is restored."""
    return (
        Section(CONFIG, places.settings, probe=lambda: settings_probe(places)),
        Section(DATA, places.data, probe=lambda: look_into(places.requests)),
        Section(STATE, places.state, probe=lambda: state_probe(places)),
        Section(JOURNAL, places.journal),
    )


def open_store(places: Places, directory: Path | None = None, *, events: EventBus = DEFAULT_BUS) -> BackupStore:
    """The backups, with their sections, for whoever has the service stopped.

    Args:
        places: where things are.
        directory: of the backups; by default below the state directory.
        events: where is told what happens.
    """
    return BackupStore(directory or places.backups, sections_of(places), events=events)


def chosen(store: BackupStore, which: str) -> str:
    """Id of a backup: the newest, that of an id, or the newest of a date or before.

    Raises:
        NotFoundError: if there is none; also for the id of one that is gone, which is no date here.
    """
    found = store.get(which).id
    if found != which and time_of(which) is not None:
        raise NotFoundError("backup", which, store.names())
    return found


def whole(places: Places) -> bool:
    """Whether the databases can be read: what a restore has to end in.

    Raises:
        sqlite3.Error: if not.
    """
    look_into(places.requests)
    if places.dormancy.exists():
        check_database(places.dormancy)
    return True


def open_restorer(
    places: Places, store: BackupStore, *, events: EventBus = DEFAULT_BUS, step: Callable[[str], object] = _nothing
) -> Restorer:
    """Restores, for whoever has the service stopped: nothing has to be paused, and what was before is not kept.

    Args:
        places: where things are.
        store: the backups.
        events: where is told what happens.
        step: for tests of crashes.
    """
    return Restorer(store, places.restores, probe=lambda: whole(places), events=events, step=step)


def recover(places: Places, directory: Path | None = None) -> RestoreReport | None:
    """Take back a restore that a crash cut off. To be called before anything opens what may be restored.

    Returns:
        What came of it; ``None`` where there was none.

    Raises:
        RestoreError: if it can go neither way: the service must not start.
    """
    report = open_restorer(places, open_store(places, directory)).recover()
    if report is not None:
        logger.warning("a restore of %s had been cut off: %s; see %s", report.backup, report.outcome, places.restores)
    return report


def _said(section: Section) -> Any:
    try:
        return None if section.probe is None else section.probe()
    except (OSError, ValueError, sqlite3.Error, StateError) as error:
        return f"no answer: {error}"


class Backups:
    """Backups of the running service: made each night and proven, put back when a person approves.

    They have a task registry of their own: a backup may take minutes, and no task of the service waits for it.

    While the request log is copied or exchanged its file is closed, and requests wait for a moment. A backup needs it,
    too: whoever opens and closes the file of a database in a process that has it open loses it the locks of SQLite.

    Args:
        places: where things are.
        requests: the request log.
        directory: of the backups; by default below the state directory.
        at: the time of day, of this machine, at which they are made.
        check_every: seconds between two looks at how they stand.
        on_restored: called when the files are back and whole; a person has approved that.
        events: where alerts go.

    Attributes:
        store: the backups.
        routine: what is done each night.
        restorer: puts them back, and keeps what was there until a person says that it may go.
        control: the lever.
        losses: looks whether something is lost.
        tasks: the registry.
    """

    def __init__(
        self,
        places: Places,
        requests: RequestLog,
        *,
        directory: Path | None = None,
        at: str = "03:30",
        check_every: float = 120.0,
        on_restored: Callable[[], object] = _nothing_more,
        events: EventBus = DEFAULT_BUS,
    ) -> None:
        self._places = places
        self._requests = requests
        self._at = at
        self._check_every = check_every
        self._on_restored = on_restored
        self._held = threading.Lock()
        self._paused_by: int | None = None
        self._as_it_is = False
        self._as_restored: dict[str, Any] = {}
        self.store = BackupStore(directory or places.backups, self._sections(), events=events)
        self.losses = Losses(places, self.store, events, requests.distrust)
        self.routine = BackupRoutine(self.store)
        self.restorer = Restorer(
            self.store,
            places.restores,
            pause=self.pause,
            resume=self._go_on,
            probe=self._works,
            states={section.name: functools.partial(self._state, section) for section in self.store.sections},
            keep_previous=True,
            events=events,
        )
        self.control = BackupControl(self.store, self.restorer)
        self.tasks = TaskRegistry(events=events)

    def register(self, owner: str) -> None:
        """Have backups made each night, and the first one now if there is none."""
        self.routine.register(self.tasks, at=self._at, check_every=self._check_every, owner=owner)

    def now(self, *, as_it_is: bool = False) -> Round:
        """Do now what is done each night.

        Args:
            as_it_is: also where something of the newest backup is gone, because a person let go of it.
        """
        self._as_it_is = as_it_is
        try:
            done = self.routine.run()
        finally:
            self._as_it_is = False
        self.losses.look()
        return done

    def put_back(self, which: str = "latest") -> RestoreReport:
        """Put config, data and state back, at once: for a person, who has decided. What was there is kept.

        Args:
            which: backup; an id, a date, or ``latest``.

        Raises:
            NotFoundError: if there is none.
            RestoreError: if it is refused or fails; then all is as it was, unless it says otherwise.
        """
        id = chosen(self.store, which)
        names = {section.name for section in self.store.manifest(id).sections}
        return self.restorer.restore(self.restorer.plan(id, sections=[name for name in LIVE if name in names]))

    def pause(self) -> None:
        """Close the request log, and have requests wait.

        Raises:
            BusyError: if a backup or a restore does not let go of it within a minute.
        """
        if not self._held.acquire(timeout=_PATIENCE):
            raise BusyError("another backup or restore holds the request log")
        self._paused_by = threading.get_ident()
        self._as_restored.clear()
        self._requests.pause()

    def resume(self) -> None:
        """Open the request log that is there now. Does nothing where this thread has not paused it."""
        if self._paused_by != threading.get_ident():
            return
        self._paused_by = None
        try:
            self._requests.resume()
        finally:
            self._held.release()

    def section(self) -> dict[str, Any]:
        """How the backups stand, for the status."""
        return {
            **self.routine.section(),
            "lost": self.losses.open,
            "restore": self._standing(),
            "tasks": {one.id: one.execution_count for one in self.tasks.snapshot().tasks},
        }

    def _go_on(self) -> None:
        """Note what is there now, before requests add to it; then go on."""
        self._as_restored = {section.name: _said(section) for section in self.store.sections}
        self.resume()

    def _state(self, section: Section) -> Any:
        """What a section says of itself: after a restore, what it said before requests went on."""
        if section.name in self._as_restored:
            return self._as_restored.pop(section.name)
        return _said(section)

    def _standing(self) -> dict[str, str]:
        try:
            name, backup = self.control.standing()
        except RestoreStuckError as error:
            return {"run": "", "backup": "", "problem": str(error)}
        return {"run": name, "backup": backup}

    def _sections(self) -> tuple[Section, ...]:
        """With hooks; and where the keys come from the environment alone, without settings."""

        def prepared(section: Section) -> Section:
            if section.name == DATA:
                return attrs.evolve(section, before=self._before_data, after=self.resume)
            if section.name == STATE:
                return attrs.evolve(section, before=lambda: self._refuse(STATE))
            return section

        there = (one for one in sections_of(self._places) if one.name != CONFIG or one.path.exists())
        return tuple(map(prepared, there))

    def _before_data(self) -> None:
        self._refuse(DATA)
        self.pause()

    def _refuse(self, section: str) -> None:
        if not self._as_it_is:
            self.losses.refuse(section)

    def _works(self) -> bool:
        """What the restorer asks after a restore: the files are whole, and the service can use them."""
        self._requests.tally()
        works = whole(self._places)
        self._on_restored()
        return works
