"""The record of a restore: as it was written, or refused; never half, never guessed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from selfheal.backup.restoring.exchanging import Item
from selfheal.backup.restoring.journalling import RECORD, Record, RestoreJournal, SectionRecord
from selfheal.backup.restoring.machine import Phase, Standing
from selfheal.errors import RestoreStuckError

ODD = os.fsdecode(b"\xff\xfe odd")
SECTION = SectionRecord(
    name="data",
    target=f"/srv/{ODD}",
    home="/srv",
    in_place=True,
    items=(Item(ODD, 5, True), Item("gone", None, False)),
    root=(0o755, 1, 2, 3),
    root_after=(0o700, 4, 5, 6),
    made=("/srv",),
)
KEPT = Record(
    run="0a0b0c0d",
    backup="20231114T221320Z",
    backup_made=1.5,
    started=2.5,
    standing=Standing(Phase.SWAPPING, 1, 2),
    keep=True,
    sections=(SECTION, attrs.evolve(SECTION, name="db", in_place=False, is_file=True, root=None, root_after=None)),
    notes=("a note",),
    before={"data": {"orders": 5}},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """All of it, names that are no UTF-8 too; and nothing where there is none."""
    journal = RestoreJournal(tmp_path)
    assert journal.read() is None
    journal.write(KEPT)
    assert journal.read() == KEPT
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    assert (tmp_path / RECORD).stat().st_mode & 0o777 == 0o600
    journal.remove()
    journal.remove()
    assert journal.read() is None


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda loaded: loaded["restore"].pop(key)


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "checksum": lambda loaded: loaded["restore"].update(run="other"),
    "version": lambda loaded: loaded.update(version=2),
    "no checksum": lambda loaded: loaded.pop("sha256"),
    "no standing": _without("standing"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_record_is_refused(tmp_path: Path, how: str) -> None:
    """A bit that is not as it was written makes it no record, and the advice says what to look for."""
    journal = RestoreJournal(tmp_path)
    journal.write(KEPT)
    loaded = json.loads((tmp_path / RECORD).read_text())
    SPOILT[how](loaded)
    (tmp_path / RECORD).write_text(json.dumps(loaded))
    with pytest.raises(RestoreStuckError, match=r"cannot be read.*work directories"):
        journal.read()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1}', b"[" * 100_000])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever lies there in its place is told, not taken for nothing."""
    (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(RestoreStuckError, match="cannot be read"):
        RestoreJournal(tmp_path).read()


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    """An error of the system is no missing record."""
    (tmp_path / RECORD).mkdir()
    with pytest.raises(RestoreStuckError, match="Is a directory"):
        RestoreJournal(tmp_path).read()


def test_every_moment_of_a_write_has_the_old_or_the_new(tmp_path: Path) -> None:
    """Read at each of its steps, a record is one of the two, and the new one only after it was synced."""
    other = attrs.evolve(KEPT, standing=Standing(Phase.PROBING, 0, 2))
    reader, seen = RestoreJournal(tmp_path), []
    RestoreJournal(tmp_path).write(KEPT)
    RestoreJournal(tmp_path, lambda name: seen.append((name, reader.read()))).write(other)
    assert [(name, record == other) for name, record in seen] == [
        ("before probing", False),
        ("within probing", False),
        ("written probing", True),
        ("after probing", True),
    ]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """And nothing beside it."""
    journal = RestoreJournal(tmp_path)
    journal.write(KEPT)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space"):
        journal.write(attrs.evolve(KEPT, run="other"))
    monkeypatch.undo()
    assert journal.read() == KEPT
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_work_directories_are_named_after_run_and_section() -> None:
    """Hidden, told apart by run and section, and short enough whatever the target is called."""
    assert attrs.evolve(SECTION, target="/srv/" + "ü" * 127).work("0a0b") == ".data.restore-0a0b"
