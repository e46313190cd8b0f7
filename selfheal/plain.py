"""Values of a host turned into plain JSON data: bounded, finite, without secrets."""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

import attrs

from selfheal.redaction import REDACTED, hides, scrub

MAX_DEPTH = 16
MAX_VALUES = 10_000
MAX_TEXT = 10_000
_MAX_INT_BITS = 256


class NotPlainError(ValueError):
    """A value cannot be shown as JSON; the message says where it stands and why."""


def plain(value: object, where: str) -> Any:
    """Turn ``value`` into JSON data, hiding secrets.

    Mappings, sequences, sets, text, numbers, booleans, ``None``, enums and dates are accepted. A number
    that JSON cannot hold (``nan``, infinite) becomes ``None``; text beyond 10,000 characters is cut.

    Args:
        value: what a host section returned.
        where: its name, for messages.

    Raises:
        NotPlainError: if it holds something else, is nested deeper than 16 or holds more than 10,000 values.
    """
    return _Walk().show(value, where, 0, hides(where))


def camel_cased(record: Any, times: Collection[str] = ()) -> dict[str, Any]:
    """A flat attrs record as a section of the status: keys in camelCase, durations in whole milliseconds.

    Args:
        record: an instance of an attrs class.
        times: names of its fields that are durations in seconds, or ``None``.
    """
    shown = {}
    for key, value in attrs.asdict(record).items():
        first, *rest = key.split("_")
        named = first + "".join(word.title() for word in rest)
        shown[named] = round(value * 1000) if key in times and value is not None else value
    return shown


class _Walk:
    """One pass over a value; counts what it has seen."""

    def __init__(self) -> None:
        self._seen = 0

    def show(self, value: object, where: str, depth: int, hidden: str) -> Any:
        self._seen += 1
        if self._seen > MAX_VALUES:
            raise NotPlainError(f"{where}: more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise NotPlainError(f"{where}: nested deeper than {MAX_DEPTH}, or containing itself")
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, Mapping):
            return self._mapping(value, where, depth, hidden)
        if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
            items = sorted(value, key=repr) if isinstance(value, Set) else value
            return [self.show(item, f"{where}[{index}]", depth + 1, hidden) for index, item in enumerate(items)]
        return _leaf(value, where, hidden)

    def _mapping(self, value: Mapping[Any, Any], where: str, depth: int, hidden: str) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(key, enum.Enum):
                key = key.value
            if not isinstance(key, str | int | float) or (isinstance(key, int) and key.bit_length() > _MAX_INT_BITS):
                raise NotPlainError(f"{where}: a key is a {type(key).__name__}, not text or a number")
            name = scrub(str(key)[:MAX_TEXT])
            hiding = "all" if "all" in (hidden, found := hides(name)) else found or hidden
            shown[name] = self.show(item, f"{where}.{name}", depth + 1, hiding)
        return shown


def _leaf(value: object, where: str, hidden: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return REDACTED if hidden == "all" else _number(value, where)
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    if not isinstance(value, str):
        raise NotPlainError(f"{where}: a {type(value).__name__} cannot be shown as JSON")
    if hidden and value:
        return REDACTED
    text = scrub(str(value[: 2 * MAX_TEXT]))
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def _number(value: int | float, where: str) -> int | float | None:
    if isinstance(value, int):
        if value.bit_length() > _MAX_INT_BITS:
            raise NotPlainError(f"{where}: an integer of {value.bit_length()} bits is too large to be shown")
        return int(value)
    return float(value) if math.isfinite(value) else None
