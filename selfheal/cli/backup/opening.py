"""The store that a command is about, with its settings where it needs them."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

import attrs

from selfheal.backup.settings import DEFAULT_FILE, BackupSettings, load_backup_settings
from selfheal.backup.store import BackupStore
from selfheal.cli.backup.running import CannotError


@attrs.frozen
class Opened:
    """A store.

    Args:
        store: the store.
        settings: where they were read.
        said: how it was named on the command line, to be said again.
    """

    store: BackupStore
    settings: BackupSettings | None
    said: tuple[str, ...]

    def command(self, *words: str) -> str:
        """A command about the same store, to be copied into a shell."""
        return shlex.join(["selfheal", "backup", *words, *self.said])

    @property
    def restores(self) -> Path:
        """Where restores keep their record."""
        if self.settings is not None:
            return self.settings.restores_directory
        return self.store.directory.with_name(f"{self.store.directory.name}-restores")


def opened(chosen: argparse.Namespace) -> Opened:
    """The store that was named.

    Raises:
        ConfigError: if the settings are not well formed.
        CannotError: if there are none.
    """
    if chosen.store is not None:
        if not chosen.store.strip():
            raise CannotError("--store names nothing: say the directory of the backups")
        return Opened(BackupStore(chosen.store), None, ("--store", chosen.store))
    settings = load_backup_settings(_found(chosen.config))
    said = () if chosen.config is None else ("--config", chosen.config)
    return Opened(settings.open_store(), settings, said)


def with_settings(chosen: argparse.Namespace) -> tuple[Opened, BackupSettings]:
    """The store with its settings, for what cannot be done without. Raises as :func:`opened`."""
    found = opened(chosen)
    if found.settings is None:
        raise CannotError("this needs the sections of the settings: name the file by --config FILE")
    return found, found.settings


def _found(named: str | None) -> Path:
    path = Path(DEFAULT_FILE if named is None else named)
    if not os.path.lexists(path):
        instead = "" if named is not None else " in this directory"
        raise CannotError(
            f"no settings: {path} is not there{instead}. Name another by --config FILE, write one by"
            " 'selfheal backup init', or, to look or restore without any, name the backups by --store DIR"
        )
    return path
