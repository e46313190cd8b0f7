"""An entry, and the line it is: JSON, in ASCII, with a checksum at its end."""

from __future__ import annotations

import datetime
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

VERSION: Final = 1

RESERVED: Final = frozenset({"v", "seq", "timestamp", "at", "type", "cut", "crc"})
"""Names that a line has of itself, which no field may have."""

_HEAD = b'{"v":1,"seq":'
_TAIL = re.compile(rb',"crc":"[0-9a-f]{8}"\}')
_TAIL_LENGTH = len(',"crc":"00000000"}')
_OWN = ("v", "seq", "timestamp", "at", "type")

to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode
"""JSON text of plain data, in ASCII: any byte that is not is damage, and a lone surrogate is none."""


@attrs.frozen
class Entry:
    """One line of a journal.

    Args:
        seq: its number: strictly greater than that of each line before it, across rotated files and restarts.
        at: when it was written, in wall seconds.
        type: what kind of entry it is.
        fields: what it says, as plain JSON data. To be read, not changed.
    """

    seq: int
    at: float
    type: str
    fields: Mapping[str, Any]

    @property
    def timestamp(self) -> str:
        """When it was written, as ISO 8601 in UTC with milliseconds."""
        return timestamp_of(self.at)

    def as_dict(self) -> dict[str, Any]:
        """The whole entry as one JSON object, the keys in the order of the line."""
        own = {"v": VERSION, "seq": self.seq, "timestamp": self.timestamp, "at": self.at, "type": self.type}
        return {**own, **self.fields}


def timestamp_of(at: float) -> str:
    """Wall seconds as ISO 8601 in UTC, milliseconds cut and not rounded: ``2026-01-31T12:00:00.000Z``.

    Raises:
        ValueError: if there is no such date.
        OverflowError: the same.
    """
    return _stamps.of(at)


def line_of(seq: int, at: float, kind: str, fields: str) -> bytes:
    """The line of an entry, line end included.

    Args:
        seq: its number.
        at: wall seconds.
        kind: its type, made of what needs no escape in JSON.
        fields: its fields as the text of a JSON object (:data:`to_json`).
    """
    rest = fields[1:-1]
    own = f'{{"v":1,"seq":{seq},"timestamp":"{timestamp_of(at)}","at":{at!r},"type":"{kind}"'
    body = (f"{own},{rest}" if rest else own).encode("ascii")
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


class _Stamps:
    """Timestamps, most of which share their second with the one before."""

    def __init__(self) -> None:
        self._last = (0, "1970-01-01T00:00:00")

    def of(self, at: float) -> str:
        second = int(at // 1)
        known, text = self._last
        if known != second:
            text = datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()[:19]
            self._last = (second, text)
        return f"{text}.{int((at - second) * 1000):03d}Z"


_stamps = _Stamps()


def decode(line: bytes) -> Entry | None:
    """The entry of a line without its end; ``None`` if one byte of it is not as it was written."""
    body = line[:-_TAIL_LENGTH]
    if line[-_TAIL_LENGTH:] != b',"crc":"%08x"}' % zlib.crc32(body):
        return None
    try:
        data = json.loads(body.decode("ascii") + "}")
        version, seq, _, at, kind = [data.pop(name) for name in _OWN]
    except (ValueError, KeyError, AttributeError, RecursionError):
        return None
    good = version == VERSION and type(seq) is int and type(at) is float and type(kind) is str
    return Entry(seq, at, kind, data) if good else None


def salvage(damaged: bytes) -> Iterator[Entry]:
    """The whole entries within damaged bytes: where a line end went, or nothing was written before a line."""
    begin = 0
    for tail in _TAIL.finditer(damaged):
        first, last = damaged.find(_HEAD, begin, tail.start()), damaged.rfind(_HEAD, begin, tail.start())
        for start in sorted({first, last} - {-1}):  # after a piece of another line, or with another in a field
            entry = decode(damaged[start : tail.end()])
            if entry is not None:
                yield entry
                break
        begin = tail.end()
