"""What is backed up, where to, and how long it is kept, from a JSON or TOML file."""

from __future__ import annotations

import datetime
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs

from selfheal.backup.entries import ManifestLimits
from selfheal.backup.progress import Progress
from selfheal.backup.retention import Retention
from selfheal.backup.sections import Section
from selfheal.backup.store import BackupStore
from selfheal.backup.watching import BackupLimits
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.configuring import load_file, structure
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.zones import zone_of

VERSION = 1
DEFAULT_FILE = "selfheal-backup.toml"
_AT = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_LONGEST_KEY = 4096


def _known(owner: object, field: attrs.Attribute[int], value: int) -> None:
    if value != VERSION:
        raise ConfigError("BackupSettings.version", value, f"{VERSION}, the one there is")


def _time_of_day(owner: object, field: attrs.Attribute[str], value: str) -> None:
    if not _AT.fullmatch(value):
        raise ConfigError("NightSettings.at", value, "a time of day from 00:00 to 23:59", "'03:30'")


def _zone(owner: object, field: attrs.Attribute[str], value: str) -> None:
    try:
        value and zone_of(value)
    except ValueError as error:
        accepted = "the name of a time zone, as Europe/Berlin, or empty: that of this machine"
        raise ConfigError("NightSettings.zone", value, accepted, "''") from error


@attrs.frozen(kw_only=True)
class SectionSettings:
    """A section; see :class:`~selfheal.backup.Section`. Hooks and probes are given in code.

    Args:
        name: of the section.
        path: a file or directory; a relative one begins at the directory of the settings.
        exclude: patterns of what is left out.
        sqlite: patterns of databases, or ``auto``.
        unstable: ``warn`` or ``fail``.
    """

    name: str
    path: str
    exclude: tuple[str, ...] = ()
    sqlite: Literal["auto"] | tuple[str, ...] = "auto"
    unstable: Literal["warn", "fail"] = "warn"


@attrs.frozen(kw_only=True)
class PlaceSettings:
    """Somewhere else that copies are kept.

    Args:
        name: what people know it by.
        url: as fsspec has them. Passwords do not belong in a file: leave them to what the protocol has for that.
    """

    name: str
    url: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class NightSettings:
    """When backups are made by themselves.

    Args:
        at: the time of day.
        zone: whose; empty: that of this machine.
    """

    at: str = attrs.field(default="03:30", validator=_time_of_day)
    zone: str = attrs.field(default="", validator=_zone)

    @property
    def tzinfo(self) -> datetime.tzinfo | None:
        """The zone; ``None``: that of this machine."""
        return zone_of(self.zone) if self.zone else None


@attrs.frozen(kw_only=True)
class RetentionSettings:
    """How many are kept; see :class:`~selfheal.backup.retention.Retention`.

    Args:
        daily: days.
        weekly: weeks.
        monthly: months.
    """

    daily: int = 7
    weekly: int = 4
    monthly: int = 6


@attrs.frozen(kw_only=True)
class BackupSettings:
    """All of it.

    Args:
        version: of these settings: 1.
        store: directory of the backups.
        sections: in the order in which they are restored: config, data, state.
        restores: directory for the record of a restore under way and for its report; by default the store's, with
            ``-restores`` at its end.
        key_file: file with the key that manifests are signed by, readable by its owner alone; empty: they are not.
        retention: how many are kept.
        limits: how old things may become.
        night: when backups are made by themselves.
        places: where copies are kept.
        links_out: accept symbolic links that lead out of their section, absolute ones among them.
        case_collisions: accept names that differ in nothing but case.
        directory: in which relative paths begin; that of the file.
    """

    version: int = attrs.field(validator=_known)
    store: str
    sections: tuple[SectionSettings, ...] = ()
    restores: str = ""
    key_file: str = ""
    retention: RetentionSettings = attrs.field(factory=RetentionSettings)
    limits: BackupLimits = attrs.field(factory=BackupLimits)
    night: NightSettings = attrs.field(factory=NightSettings)
    places: tuple[PlaceSettings, ...] = ()
    links_out: bool = False
    case_collisions: bool = False
    directory: str = "."

    def path(self, told: str) -> Path:
        """A path of these settings."""
        return (Path(self.directory) / told).absolute()

    @property
    def restores_directory(self) -> Path:
        """Where restores keep their record."""
        store = self.path(self.store)
        return self.path(self.restores) if self.restores else store.with_name(f"{store.name}-restores")

    def key(self) -> bytes | None:
        """The key, if there is one.

        Raises:
            ConfigError: if its file cannot be read, may be read by others, or is no key.
        """
        if not self.key_file:
            return None
        path = self.path(self.key_file)
        try:
            mode, content = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise ConfigError("BackupSettings.key_file", str(path), f"a file that can be read ({error})") from error
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError("BackupSettings.key_file", str(path), "a file that only its owner can read (chmod 600)")
        if not 16 <= len(content.strip()) <= _LONGEST_KEY:
            raise ConfigError("BackupSettings.key_file", str(path), f"a file of 16 to {_LONGEST_KEY} bytes")
        return content.strip()

    def retained(self) -> Retention:
        """How many are kept, in the zone of the night."""
        zone = self.night.tzinfo or datetime.UTC
        kept = self.retention
        return Retention(daily=kept.daily, weekly=kept.weekly, monthly=kept.monthly, zone=zone)

    def open_store(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        progress: Callable[[Progress], object] | None = None,
        **hooks: Section,
    ) -> BackupStore:
        """The store, with its sections.

        Args:
            clock: for the times of backups.
            events: where is published what happened.
            progress: told how far something is.
            hooks: sections with hooks and probes, in place of those of the settings by their name.

        Raises:
            ConfigError: if the key cannot be had.
        """
        sections = [hooks.get(name, section) for name, section in self._sections().items()]
        limits = ManifestLimits(links_out=self.links_out, case_collisions=self.case_collisions)
        return BackupStore(
            self.path(self.store),
            sections,
            clock=clock,
            events=events,
            key=self.key(),
            limits=limits,
            progress=progress,
        )

    def _sections(self) -> dict[str, Section]:
        return {
            one.name: Section(
                one.name, self.path(one.path), exclude=one.exclude, sqlite=one.sqlite, unstable=one.unstable
            )
            for one in self.sections
        }


def load_backup_settings(path: Path | str) -> BackupSettings:
    """Read settings of backups.

    Args:
        path: ends in ``.json`` or ``.toml``.

    Raises:
        ConfigError: if it cannot be read or is not well formed; as :class:`~selfheal.errors.InvalidConfigError` with
            all that is not accepted, each with its path in the file.
    """
    return backup_settings(load_file(path), source=str(path), directory=Path(path).absolute().parent)


def backup_settings(data: Any, *, source: str = "", directory: Path | str = ".") -> BackupSettings:
    """Settings of backups from plain data. See :func:`load_backup_settings`.

    Args:
        data: what a file would have.
        source: of the data, for errors.
        directory: in which relative paths begin.

    Raises:
        InvalidConfigError: with all that is not accepted.
    """
    if isinstance(data, dict):
        data = {"directory": str(directory), **{key: value for key, value in data.items() if key != "directory"}}
    settings = structure(data, BackupSettings, source=source)
    problems = [ConfigProblem(*told) for told in _against(settings)]
    if problems:
        raise InvalidConfigError(problems, source)
    return settings


def _against(settings: BackupSettings) -> list[tuple[str, object, str]]:
    """What stands against settings that are well formed each by itself."""
    found: list[tuple[str, object, str]] = []
    for what, names in (
        ("sections", [one.name for one in settings.sections]),
        ("places", [one.name for one in settings.places]),
    ):
        found += [
            (f"{what}[{index}].name", name, "a name of its own")
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    store = settings.path(settings.store)
    for index, one in enumerate(settings.sections):
        try:
            Section(one.name, one.path, exclude=one.exclude, sqlite=one.sqlite, unstable=one.unstable)
        except ConfigError as error:
            found.append((f"sections[{index}]", error.found, f"{error.accepted} ({error.where})"))
        if store.is_relative_to(settings.path(one.path)):
            found.append((f"sections[{index}].path", one.path, f"not above the store, {store}: it would hold itself"))
    return found
