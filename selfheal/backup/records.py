"""What is known of a backup without looking at its files, and what was found each time it was verified."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.durable import sync_directory

VERIFICATIONS_NAME = "verifications.jsonl"
_LARGEST = 64 * 1024 * 1024
_LINE = 64 * 1024


@attrs.frozen
class BackupRecord:
    """A backup.

    Args:
        id: its name.
        created: wall seconds at which it was begun.
        path: its directory.
        files: how many are in it, each name counted.
        size: their bytes, holes included.
        skipped: how many things of the sources are not in it.
        unstable: how many files changed each time they were read.
        digest: of its manifest; empty where it was only listed.
        duration: seconds it took; 0 where it was only listed.
        problems: what went wrong and did not prevent it, in words; empty where it was only listed.
        damage: why its manifest cannot be read, where it was only listed; else empty.
    """

    id: str
    created: float
    path: Path
    files: int = 0
    size: int = 0
    skipped: int = 0
    unstable: int = 0
    digest: str = ""
    duration: float = 0.0
    problems: tuple[str, ...] = ()
    damage: str = ""


@attrs.frozen
class VerificationRecord:
    """That a backup was verified.

    Args:
        id: of the backup.
        kind: ``quick``, ``deep``, ``rolling`` or ``restore``.
        at: wall seconds at which it ended.
        ok: whether nothing was found.
        damages: how many of each class.
        files: how many were looked at.
        bytes_read: how many bytes were read.
        duration: seconds it took.
        share: of a rolling one, in how many parts all is read; else 0.
        part: which part was.
        digest: of the manifest.
    """

    id: str
    kind: str
    at: float
    ok: bool
    damages: Mapping[str, int]
    files: int = 0
    bytes_read: int = 0
    duration: float = 0.0
    share: int = 0
    part: int = 0
    digest: str = ""


def read_records(directory: Path) -> tuple[VerificationRecord, ...]:
    """All records of verifications in a store, oldest first. A line that cannot be read costs that line.

    Raises:
        OSError: if the file is there and cannot be read.
    """
    try:
        fd = os.open(directory / VERIFICATIONS_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ()
    with open(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - _LARGEST))
        records = [_record(line) for line in file.read(_LARGEST).split(b"\n") if line]
    return tuple(record for record in records if record is not None)


def _record(line: bytes) -> VerificationRecord | None:
    try:
        data = json.loads(line) if len(line) <= _LINE else None
    except (ValueError, RecursionError):
        return None
    fields = {field.name: field for field in attrs.fields(VerificationRecord)}
    if not isinstance(data, dict) or data.keys() != fields.keys():
        return None
    good = all(_fits(name, value) for name, value in data.items())
    return VerificationRecord(**data) if good else None


def _fits(name: str, value: Any) -> bool:
    if name in {"id", "kind", "digest"}:
        return isinstance(value, str)
    if name == "ok":
        return isinstance(value, bool)
    if name == "damages":
        return isinstance(value, dict) and all(type(count) is int for count in value.values())
    return type(value) in ({int, float} if name in {"at", "duration"} else {int})


def append_record(directory: Path, record: VerificationRecord) -> None:
    """Write one record; it is on the disk when this returns. A line that a crash left unfinished is ended first.

    Raises:
        OSError: if it cannot be written.
    """
    line = json.dumps(attrs.asdict(record), ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"
    path = directory / VERIFICATIONS_NAME
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        os.write(fd, (b"\n" if torn else b"") + line)
        os.fsync(fd)
    finally:
        os.close(fd)
    if not size:
        sync_directory(directory)
