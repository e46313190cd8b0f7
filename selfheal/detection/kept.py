"""Files of what was learnt: whole and checked, or refused."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from selfheal.detection.intake import LATEST
from selfheal.durable import replace_file
from selfheal.errors import StateError

logger = logging.getLogger("selfheal.detection.kept")

MOST_BYTES = 512 * 2**20
MOST_OF_HEAD = 1000


class Kind(NamedTuple):
    """What a file says of itself in its first line.

    Args:
        name: what it is (``"selfheal history"``).
        version: of its content.
        key: what errors call it.
    """

    name: str
    version: int
    key: str

    def wrong(self, file: Path, why: str) -> StateError:
        """The error that says why a file is refused."""
        return StateError(str(file), self.key, why)

    def ahead(self, file: Path, at: float) -> StateError:
        """The error for a file from the future, by the clock as it is now (``at``: wall seconds)."""
        told = datetime.fromtimestamp(min(at, LATEST), UTC).isoformat(" ", "minutes")
        return self.wrong(file, f"it is of {told}, when the clock was ahead")


def write_kept(file: Path, kind: Kind, data: Mapping[str, Any]) -> None:
    """Write JSON data to a file, readable for its owner alone; it is there whole, or the old one stays.

    Raises:
        StateError: if it cannot be written, or is not made of what JSON has.
    """
    try:
        body = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise kind.wrong(file, f"it is not made of what JSON has: {error}") from None
    write_body(file, kind, body)


def write_body(file: Path, kind: Kind, body: bytes) -> None:
    """The same, of a JSON table that was made already: of a large one in pieces, so that no other thread is held up.

    Raises:
        StateError: if it cannot be written, or is larger than what is read again.
    """
    if len(body) > MOST_BYTES - MOST_OF_HEAD:
        raise kind.wrong(file, f"it would be larger than {MOST_BYTES} bytes, and not be read again")
    digest = hashlib.sha256(body).hexdigest()
    head = {"kind": kind.name, "version": kind.version, "sha256": digest, "bytes": len(body)}
    try:
        replace_file(file, json.dumps(head).encode() + b"\n" + body + b"\n")
    except OSError as error:
        raise kind.wrong(file, f"it cannot be written: {error.strerror or error}") from None


def read_kept(file: Path, kind: Kind, hook: Callable[[dict[str, Any]], Any] | None = None) -> Mapping[str, Any]:
    """The content of a file whose checksum holds.

    Args:
        file: the file.
        kind: what it has to be.
        hook: takes the place of each table as soon as it is read, the innermost first: of what is large in plain data
            something small is kept.

    Raises:
        StateError: if it is missing, of another kind or version, or damaged in any way.
    """
    try:
        with file.open("rb") as opened:
            found = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise kind.wrong(file, f"it cannot be read: {error.strerror or error}") from None
    if len(found) > MOST_BYTES:
        raise kind.wrong(file, f"it is larger than {MOST_BYTES} bytes")
    first, _, body = found.partition(b"\n")
    del found  # it may be large
    body = body.removesuffix(b"\n")
    try:
        head = json.loads(first)
        name, version, length, digest = head["kind"], head["version"], head["bytes"], head["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise kind.wrong(file, "it does not begin as one") from None
    if name != kind.name or version != kind.version:
        known = f"known is {kind.name!r} version {kind.version}"
        raise kind.wrong(file, f"it is {name!r} version {version!r}; {known}")
    if len(body) != length or hashlib.sha256(body).hexdigest() != digest:
        raise kind.wrong(file, "it is damaged: its checksum does not hold")
    try:
        data = json.loads(body, object_hook=hook)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise kind.wrong(file, "its content is no table")
    return data


def set_aside(file: Path, error: StateError) -> str:
    """Keep a refused file for a person to look at, with ``.refused`` at the end of its name, and say so; the reason."""
    aside = file.with_name(file.name + ".refused")
    try:
        os.replace(file, aside)
    except OSError as failure:
        logger.error("%s Learning begins anew; the file cannot be set aside (%s).", error, failure.strerror)
    else:
        logger.error("%s Learning begins anew; the file is set aside as %s.", error, aside)
    return str(error)
