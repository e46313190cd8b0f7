"""The record of a restore: one small file, replaced whole, on the disk before anything is done that it tells of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup.restoring.exchanging import Item, Step, no_step
from selfheal.backup.restoring.machine import Phase, Standing
from selfheal.durable import replace_file, sync_directory
from selfheal.errors import RestoreStuckError

VERSION = 1
RECORD = "restore_journal.json"
_LARGEST = 64 * 1024 * 1024


Dress = tuple[int, int, int, int]
"""Mode, mtime in nanoseconds, uid and gid of a directory."""


@attrs.frozen(kw_only=True)
class SectionRecord:
    """What a restore has to know of one section, whoever goes on with it.

    Args:
        name: of the section.
        target: what is replaced.
        home: the directory whose entries are exchanged: that of the target, or in place the target itself.
        in_place: whether the target itself stays and its entries are exchanged one by one.
        is_file: whether the section is one file.
        items: what is exchanged; known when it begins.
        root: in place, what the target itself was like: mode, mtime in nanoseconds, uid and gid.
        root_after: in place, what it is to be like.
        made: directories that were made to hold the target, from the outermost.
        files: how many files there are in the backup.
        bytes: how many bytes they have.
        source: of what the backup was made.
    """

    name: str
    target: str
    home: str
    in_place: bool = False
    is_file: bool = False
    items: tuple[Item, ...] = ()
    root: Dress | None = None
    root_after: Dress | None = None
    made: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    source: str = ""

    def work(self, run: str) -> str:
        """Name of the work directory in ``home``."""
        return f".{self.name}.restore-{run}"


@attrs.frozen(kw_only=True)
class Record:
    """A restore as it is written down.

    Args:
        run: names it, and its work directories.
        backup: which is restored.
        backup_made: when that was made, wall seconds.
        started: when the restore began, wall seconds.
        standing: how far it is.
        keep: whether the previous trees are kept after the probe.
        sections: what is restored, in order.
        exchange: whether exchanges in one step are tried.
        why: why it goes back, once it does.
        notes: what a person has to know, for the report.
        before: what the host said of each section before.
    """

    run: str
    backup: str
    backup_made: float
    started: float
    standing: Standing
    keep: bool
    sections: tuple[SectionRecord, ...]
    exchange: bool = True
    why: str = ""
    notes: tuple[str, ...] = ()
    before: Mapping[str, Any] = attrs.Factory(dict)


class RestoreJournal:
    """Where the record is.

    Args:
        directory: which must be there.
        step: called between any two changes.
    """

    def __init__(self, directory: Path, step: Step = no_step) -> None:
        self.path = directory / RECORD
        self._step = step

    def read(self) -> Record | None:
        """What is written, ``None`` where no restore is under way.

        Raises:
            RestoreStuckError: if it cannot be read, or is not as it was written. What it says is not guessed.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, str(error)) from error
        try:
            loaded = json.loads(content)
            body = loaded["restore"]
            if loaded["version"] != VERSION:
                raise ValueError(f"version {loaded['version']!r}, this one reads {VERSION}")
            if loaded["sha256"] != _digest(body):
                raise ValueError("its checksum is not that of its content")
            return _structured(body)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _unreadable(self.path, f"{type(error).__name__}: {error}") from error

    def write(self, record: Record) -> None:
        """Put the record in place of the one there is. It is on the disk when this returns.

        Raises:
            OSError: if it cannot be written; then the one before is still there.
        """
        body = attrs.asdict(record)
        body["standing"] = [record.standing.phase.value, record.standing.section, record.standing.total]
        content = json.dumps({"version": VERSION, "sha256": _digest(body), "restore": body}, indent=1).encode()
        phase = record.standing.phase.value
        replace_file(self.path, content, step=lambda at: self._step(f"{at} {phase}"))

    def remove(self) -> None:
        """Forget the record: nothing is left to be done.

        Raises:
            OSError: if it cannot be removed.
        """
        self._step("before the record goes")
        self.path.unlink(missing_ok=True)
        sync_directory(self.path.parent)
        self._step("the record is gone")


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _structured(body: Mapping[str, Any]) -> Record:
    phase, section, total = body["standing"]
    sections = tuple(
        SectionRecord(
            **one
            | {
                "items": tuple(Item(**item) for item in one["items"]),
                "root": _dress(one["root"]),
                "root_after": _dress(one["root_after"]),
                "made": tuple(one["made"]),
            }
        )
        for one in body["sections"]
    )
    if len(sections) != total:
        raise ValueError(f"{len(sections)} sections, and a standing of {total}")
    read = {
        "standing": Standing(Phase(phase), section, total),
        "sections": sections,
        "notes": tuple(body["notes"]),
    }
    return Record(**{**body, **read})


def _dress(found: list[int] | None) -> Dress | None:
    if found is None:
        return None
    mode, mtime_ns, uid, gid = found
    return mode, mtime_ns, uid, gid


def _unreadable(path: Path, why: str) -> RestoreStuckError:
    advice = (
        "Look for work directories '.*.restore-*' beside the targets: 'previous' in them is what was there before. "
        "Move what you want into place, then remove them and this file."
    )
    return RestoreStuckError(str(path), f"the record of the restore cannot be read ({why})", advice)
