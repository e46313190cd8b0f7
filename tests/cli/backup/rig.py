"""A service to back up, in a directory of its own, and commands about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from selfheal.backup import BackupStore, Section
from selfheal.cli import main
from selfheal.events import EventBus
from selfheal.testing import FakeClock

SETTINGS = """\
version = 1
store = "backups"

[[sections]]
name = "config"
path = "app.toml"

[[sections]]
name = "data"
path = "data"
exclude = ["*.tmp"]
"""


@attrs.frozen
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stdout."""
        return self.out.splitlines()

    @property
    def document(self) -> dict[str, Any]:
        """Of stdout, which is nothing but JSON in ASCII."""
        assert self.out.isascii()
        found: dict[str, Any] = json.loads(self.out)
        return found


@attrs.frozen
class Host:
    """A service in the directory that is the working directory."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Told:
        """Run ``selfheal backup`` with these arguments."""
        code = main(["backup", *map(str, arguments)])
        out, err = self.capsys.readouterr()
        return Told(code, out, err)

    def made(self) -> str:
        """Make a backup; give its id."""
        told = self("create", "--json")
        assert told.code == 0, told.err
        id: str = told.document["backup"]["id"]
        return id

    def path(self, told: str) -> Path:
        """A path in it."""
        return self.directory / told

    def retain(self, number: int) -> None:
        """Have the settings keep so many days, weeks and months."""
        path = self.path("selfheal-backup.toml")
        kept = "".join(f"{unit} = {number}\n" for unit in ("daily", "weekly", "monthly"))
        path.write_text(f"{path.read_text()}\n[retention]\n{kept}")

    def ids(self) -> list[str]:
        """All backups there are."""
        return BackupStore("backups").names()


def host_at(directory: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    """Put a service and its settings into a directory."""
    (directory / "selfheal-backup.toml").write_text(SETTINGS)
    (directory / "app.toml").write_text("size = 3\n")
    (directory / "data").mkdir()
    for number in range(3):
        (directory / "data" / f"f{number}").write_text(f"{number}\n" * 10)
    return Host(directory, capsys)


def old_store(directory: Path, *days: int) -> BackupStore:
    """A store with a backup made on each of these days of the past."""
    source = directory / "source"
    source.write_text("x")
    clock = FakeClock()
    store = BackupStore(directory / "old", [Section("data", source)], clock=clock, events=EventBus())
    for before, day in zip((0, *days), days, strict=False):
        clock.advance((day - before) * 86_400.0)
        store.create()
    return store


def damage(path: Path) -> None:
    """Change the bytes of a file, and nothing else about it."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    path.chmod(mode & 0o7777)
