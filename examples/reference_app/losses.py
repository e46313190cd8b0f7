"""Finds files of the service that are gone or damaged while it runs: of those that the newest backup has."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from examples.reference_app.places import Places
from selfheal.backup import BackupStore
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import BackupError, NotFoundError
from selfheal.events import Alert, AlertCleared, EventBus, Severity

logger = logging.getLogger("reference_app.losses")

FILES_LOST = "files_lost"
"""The kind of its alert."""
FILES = "files"
"""The target of its alert."""
CONFIG, DATA, STATE, JOURNAL = "config", "data", "state", "journal"
"""The sections of a backup, in the order in which they are restored."""


class FilesLostError(Exception):
    """What a backup would be made of is not whole: it must not be taken for the newest state."""


def check_database(path: Path) -> None:
    """Have SQLite look through a database, by a connection of its own.

    Raises:
        sqlite3.Error: if it is not there, or damaged.
    """
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=5.0)
    try:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        db.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(str(verdict))


class Losses:
    """Looks whether what the newest backup has is still there and can be read.

    Gone is a section of which nothing is left, or a database that the backup has. A database that SQLite finds damaged
    and settings that are no text count as lost, too. A single notification or snapshot does not: these come and go.

    Args:
        places: where things are.
        store: the backups.
        events: where the alert goes, again at each look, and cleared at the first one that finds all well.
        distrust: called with the reason when the request log is lost, so that nothing is acknowledged any more.
        clock: for the time of the alert.
    """

    def __init__(
        self,
        places: Places,
        store: BackupStore,
        events: EventBus,
        distrust: Callable[[str], object],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._places = places
        self._store = store
        self._events = events
        self._distrust = distrust
        self._clock = clock
        self._lock = threading.Lock()
        self._open = ""
        self._known: tuple[str, dict[str, tuple[str, ...]]] = ("", {})

    @property
    def open(self) -> str:
        """What the last look found, in words; empty if nothing."""
        return self._open

    def look(self) -> str:
        """Look once; raise the alert if something is lost, clear it if nothing is any more. Returns what is lost."""
        found = self.found()
        if DATA in found:
            self._distrust(found[DATA])
        told = "; ".join(f"{section}: {why}" for section, why in found.items())
        alert = Alert(
            at=self._clock.wall(), kind=FILES_LOST, target=FILES, severity=Severity.CRITICAL, message=f"lost: {told}"
        )
        with self._lock:
            before, self._open = self._open, told
        if told:
            if told != before:
                logger.error("lost: %s", told)
            self._events.publish(alert)
        elif before:
            logger.info("nothing is lost any more")
            self._events.publish(AlertCleared(at=self._clock.wall(), fingerprint=alert.fingerprint))
        return told

    def found(self) -> dict[str, str]:
        """Section → what is lost of it; empty if nothing."""
        expected = self._expected()
        paths = {CONFIG: self._places.settings, DATA: self._places.data, STATE: self._places.state}
        return {
            section: why
            for section, path in paths.items()
            if section in expected and (why := _lost(path, expected[section]))
        }

    def refuse(self, section: str) -> None:
        """Do nothing if a section is whole.

        Raises:
            FilesLostError: if it is not.
        """
        found = self.found()
        if section in found:
            raise FilesLostError(f"{section} is not whole, restore it first: {found[section]}")

    def _expected(self) -> dict[str, tuple[str, ...]]:
        """Section → names of the files that the newest backup has; nothing while there is none that can be read."""
        try:
            newest = self._store.names()[-1:] if self._store.directory.exists() else []
            if newest and newest[0] != self._known[0]:
                manifest = self._store.manifest(newest[0])
                files = {
                    section.name: tuple(entry.path for entry in section.entries if entry.type == "file")
                    for section in manifest.sections
                }
                self._known = (newest[0], files)
        except (BackupError, NotFoundError, OSError) as error:
            logger.warning("it is not known what should be there: %s", error)
        return self._known[1]


def _lost(path: Path, names: tuple[str, ...]) -> str:
    if not path.exists():
        return f"{path.name} is gone"
    if path.is_file():
        return _damage(path)
    if names and not any((path / name).exists() for name in names):
        return f"nothing is left of {path.name}"
    for name in names:
        if name.endswith(".sqlite") and (why := _damage(path / name)):
            return why
    return ""


def _damage(path: Path) -> str:
    try:
        if path.suffix == ".sqlite":
            if not path.exists():
                return f"{path.name} is gone"
            check_database(path)
        elif "\0" in path.read_text(encoding="utf-8"):
            return f"{path.name} is no text any more"
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        return f"{path.name} cannot be read: {error}"
    return ""
