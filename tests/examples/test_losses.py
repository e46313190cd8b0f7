"""Lost files are found, told once and for as long as it lasts, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.reference_app.losses import FILES_LOST, FilesLostError, Losses
from examples.reference_app.places import Places
from examples.reference_app.request_log import RequestLog
from selfheal.backup import BackupStore, Section
from selfheal.events import Alert, AlertCleared, Event, EventBus
from selfheal.state import SQLiteStore


class Rig:
    """A service's files, a backup of them, and what is told."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root)
        self.places.make()
        self.places.settings.write_text("A=1\n")
        RequestLog(self.places.requests).close()
        SQLiteStore(self.places.dormancy).put("dormancy", {"a": 1})
        (self.places.state / "snapshots").mkdir()
        (self.places.state / "snapshots" / "1.json").write_text("{}")
        paths = {"config": self.places.settings, "data": self.places.data, "state": self.places.state}
        self.events = EventBus()
        self.store = BackupStore(
            root / "backups", [Section(name, path) for name, path in paths.items()], events=self.events
        )
        self.told: list[Event] = []
        self.distrusted: list[str] = []
        self.events.subscribe(self.told.append, Alert, AlertCleared, inline=True)
        self.losses = Losses(self.places, self.store, self.events, self.distrusted.append)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "app")


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:100] = b"x" * 100
    path.write_bytes(content)


LOSSES: dict[str, tuple[Callable[[Places], object], str]] = {
    "config gone": (lambda at: at.settings.unlink(), "config: .env.local is gone"),
    "config no text": (lambda at: at.settings.write_bytes(b"\xff\xfe"), "config: .env.local cannot be read: 'utf-8'"),
    "config zeros": (lambda at: at.settings.write_bytes(bytes(9)), "config: .env.local is no text any more"),
    "data gone": (lambda at: shutil.rmtree(at.data), "data: data is gone"),
    "data emptied": (lambda at: at.requests.unlink(), "data: nothing is left of data"),
    "data damaged": (lambda at: _damaged(at.requests), "data: requests.sqlite cannot be read: file is not a database"),
    "state gone": (lambda at: shutil.rmtree(at.state), "state: state is gone"),
    "dormancy gone": (lambda at: at.dormancy.unlink(), "state: state.sqlite is gone"),
    "dormancy damaged": (lambda at: _damaged(at.dormancy), "state: state.sqlite cannot be read: file is not a"),
}


@pytest.mark.parametrize(("destroy", "told"), LOSSES.values(), ids=LOSSES)
def test_what_the_backup_has_and_is_not_there_is_lost(rig: Rig, destroy: Callable[[Places], object], told: str) -> None:
    """Each loss is told by what it is about; and of a lost request log nothing is taken any more."""
    rig.store.create()
    assert rig.losses.look() == ""
    destroy(rig.places)

    assert rig.losses.look().startswith(told)
    (alert,) = rig.told
    assert isinstance(alert, Alert)
    assert (alert.kind, alert.target) == (FILES_LOST, "files")
    assert alert.message.startswith(f"lost: {told}")
    assert rig.losses.open.startswith(told)
    assert bool(rig.distrusted) == told.startswith("data")


def test_it_is_told_at_each_look_and_cleared_once(rig: Rig) -> None:
    """One problem as long as it lasts, whatever of it comes back first."""
    rig.store.create()
    kept = rig.places.settings.read_text()
    rig.places.settings.unlink()
    shutil.rmtree(rig.places.state / "snapshots")
    rig.losses.look()
    rig.losses.look()

    rig.places.settings.write_text(kept)
    rig.losses.look()
    rig.losses.look()

    assert [type(event) for event in rig.told] == [Alert, Alert, AlertCleared]
    assert len({event.fingerprint for event in rig.told if isinstance(event, Alert | AlertCleared)}) == 1


def test_snapshots_come_and_go(rig: Rig) -> None:
    """A file that the service removes by itself is no loss, as long as something is left."""
    rig.store.create()
    shutil.rmtree(rig.places.state / "snapshots")

    assert rig.losses.look() == ""


def test_without_a_backup_nothing_can_be_missed(rig: Rig) -> None:
    """It is not known what should be there."""
    rig.places.settings.unlink()

    assert rig.losses.look() == ""


def test_the_newest_backup_tells_what_should_be_there(rig: Rig) -> None:
    """What a newer one does not have was let go of meanwhile."""
    rig.store.create()
    rig.places.dormancy.unlink()
    assert rig.losses.look() == "state: state.sqlite is gone"
    rig.store.create()

    assert rig.losses.look() == ""


def test_a_manifest_that_cannot_be_read_tells_nothing_new(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """What the one before said counts, and it is logged."""
    rig.store.create()
    rig.losses.look()
    newest = rig.store.create()
    (newest.path / "hashes.json").write_text("{")
    rig.places.settings.unlink()

    assert rig.losses.look() == "config: .env.local is gone"
    assert "it is not known what should be there" in caplog.text


def test_a_section_that_is_not_whole_is_refused(rig: Rig) -> None:
    """By name; the others are not."""
    rig.store.create()
    rig.places.requests.unlink()

    with pytest.raises(FilesLostError, match="data is not whole, restore it first: nothing is left of data"):
        rig.losses.refuse("data")
    rig.losses.refuse("state")
