"""A directory of backups: made one after the other, listed, found."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from selfheal.backup.creating import Creation
from selfheal.backup.entries import MANIFEST_NAME, Manifest, ManifestLimits
from selfheal.backup.naming import moment_of, order_of, time_of
from selfheal.backup.parsing import parse_head, parse_manifest, read_bounded
from selfheal.backup.progress import Progress
from selfheal.backup.records import BackupRecord, VerificationRecord, read_records
from selfheal.backup.sections import Section
from selfheal.backup.storage import clean, lock, make_directory
from selfheal.backup.writing import manifest_digest
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import BackupError, ConfigError, ManifestRefusedError, NotFoundError
from selfheal.events import DEFAULT_BUS, EventBus

_SHORTEST_KEY = 16
_HEAD = 65_536


def _nothing(step: str) -> None:
    """No fault here."""


def _is_key(key: object) -> bool:
    return key is None or (isinstance(key, bytes) and len(key) >= _SHORTEST_KEY)


class BackupStore:
    """A directory of backups.

    A backup is a directory that can be read with ``cp`` and checked with ``sha256sum -c SHA256SUMS``, without selfheal.
    It is there whole or not at all: while it is made it has another name, and what a crash left of it is removed by the
    next one who writes. One writes at a time; anybody may read.

    Args:
        directory: where they are; made when the first backup is. Best on another disk than the sources.
        sections: what is backed up, in the order in which it is restored. Not needed to list, verify or restore.
        clock: gives the times of backups.
        key: 16 bytes or more, kept outside the store: manifests are signed with it, and unsigned ones are refused.
            Without it accidents are found, and changes on purpose are not.
        limits: what is accepted in a manifest, and so in a source.
        progress: called now and then with how far it is; what it raises ends the backup.
        events: where is published what happened.
        step: for tests of crashes: called with a name before each step after which something else would be left.

    Raises:
        ConfigError: if two sections have one name, or the key is too short.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "app.toml")
    ...     _ = path.write_text("size = 3")
    ...     store = BackupStore(f"{directory}/backups", [Section("config", path)])
    ...     record = store.create()
    ...     (store.path(record.id) / "data" / "config" / "app.toml").read_text()
    'size = 3'
    """

    def __init__(
        self,
        directory: Path | str,
        sections: Sequence[Section] = (),
        *,
        clock: Clock = SYSTEM_CLOCK,
        key: bytes | None = None,
        limits: ManifestLimits | None = None,
        progress: Callable[[Progress], object] | None = None,
        events: EventBus = DEFAULT_BUS,
        step: Callable[[str], object] = _nothing,
    ) -> None:
        if not str(directory).strip():
            raise ConfigError("BackupStore.directory", directory, "a path to a directory")
        if not _is_key(key):
            raise ConfigError("BackupStore.key", "something else", f"{_SHORTEST_KEY} bytes or more, or None", "None")
        names = [section.name for section in sections]
        if len(set(names)) < len(names):
            raise ConfigError("BackupStore.sections", names, "sections of different names")
        self.directory = Path(directory).absolute()
        self.sections = tuple(sections)
        self.limits = limits or ManifestLimits()
        self.clock = clock
        self.progress = progress
        self.events = events
        self.step = step
        self._key = key

    def __repr__(self) -> str:
        names = ", ".join(section.name for section in self.sections)
        return f"BackupStore({str(self.directory)!r}, sections=[{names}], signed={self.signs})"

    @property
    def signs(self) -> bool:
        """Whether manifests are signed, and must be."""
        return self._key is not None

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[str, ...]]:
        """Be the one who writes, for the time of a ``with``; gives the names of what a crash had left, now removed.

        Raises:
            BackupBusyError: if somebody else writes.
            BackupError: if the directory cannot be made or written.
        """
        try:
            make_directory(self.directory)
            with lock(self.directory):
                self.step("locked")
                left = clean(self.directory)
                yield left
        except OSError as error:
            raise BackupError(str(self.directory), f"the store cannot be written: {error}") from error

    def create(self) -> BackupRecord:
        """Make a backup of all sections.

        Returns:
            What was made. Look at ``skipped``, ``unstable`` and ``problems``.

        Raises:
            BackupBusyError: if somebody else writes the store.
            SectionRefusedError: if a section cannot be backed up as it is.
            BackupError: if it could not be made (disk full, source or store gone). Those there were are untouched.
            ConfigError: if the store has no sections.
        """
        if not self.sections:
            raise ConfigError("BackupStore.sections", (), "one section or more, to make a backup")
        return Creation(self, self._key).run()

    def names(self) -> list[str]:
        """The ids of all backups, oldest first.

        Raises:
            BackupError: if the directory is not there or cannot be read.
        """
        try:
            there = [path.name for path in self.directory.iterdir() if path.is_dir() and not path.is_symlink()]
        except OSError as error:
            raise BackupError(str(self.directory), f"the store cannot be read: {error}") from error
        ordered = sorted((order, name) for name in there if (order := order_of(name)) is not None)
        return [name for _, name in ordered]

    def list(self) -> tuple[BackupRecord, ...]:
        """All backups, oldest first, by the first line of their manifests; that proves nothing.

        Raises:
            BackupError: if the store cannot be read.
        """
        return tuple(map(self._listed, self.names()))

    def get(self, which: str | datetime.date = "latest") -> BackupRecord:
        """A backup.

        Args:
            which: ``"latest"``; an id; or a date or a time (``2026-11-21``, ``2026-11-21T12:00``, in UTC if no zone is
                said): the newest one begun then or before. An id means that one or none.

        Raises:
            NotFoundError: if there is none.
            BackupError: if the store cannot be read.
        """
        names = self.names()
        if isinstance(which, str) and which in names:
            return self._listed(which)
        if which == "latest":
            fitting = names
        else:
            gone = isinstance(which, str) and order_of(which) is not None  # an id, and not a time that looks like one
            moment = None if gone else moment_of(which)
            fitting = [name for name in names if moment is not None and (time_of(name) or 0.0) <= moment]
        if not fitting:
            raise NotFoundError("backup", str(which), names)
        return self._listed(fitting[-1])

    def path(self, id: str) -> Path:
        """The directory of a backup.

        Raises:
            NotFoundError: if there is none of this id.
        """
        names = self.names()
        if id not in names:
            raise NotFoundError("backup", id, names)
        return self.directory / id

    def manifest(self, id: str) -> Manifest:
        """The manifest of a backup, checked.

        Raises:
            NotFoundError: if there is no backup of this id.
            ManifestRefusedError: if the manifest is not believed.
            OSError: if it cannot be read.
        """
        return self.read(id)[0]

    def read(self, id: str) -> tuple[Manifest, str]:
        """The manifest of a backup, checked, and the digest of its file; raises what :meth:`manifest` raises."""
        path = self.path(id) / MANIFEST_NAME
        content = read_bounded(path, self.limits)
        manifest = parse_manifest(content, str(path), self._key, limits=self.limits)
        if manifest.id != id:
            raise ManifestRefusedError(str(path), f"it is that of the backup {manifest.id}")
        return manifest, manifest_digest(content)

    @property
    def records(self) -> tuple[VerificationRecord, ...]:
        """What verifications found, oldest first.

        Raises:
            BackupError: if that cannot be read.
        """
        try:
            return read_records(self.directory)
        except OSError as error:
            raise BackupError(str(self.directory), f"its records cannot be read: {error}") from error

    def _listed(self, name: str) -> BackupRecord:
        path = self.directory / name
        created = time_of(name) or 0.0
        try:
            with open(path / MANIFEST_NAME, "rb") as file:
                line = file.readline(_HEAD)
            head = parse_head(line, str(path / MANIFEST_NAME))
        except (OSError, ManifestRefusedError) as error:
            return BackupRecord(name, created, path, damage=str(error))
        totals = head["totals"]
        return BackupRecord(
            name, head["created"], path, totals["files"], totals["size"], totals["skipped"], totals["unstable"]
        )
