"""Fields made fit for a line: plain JSON data, finite, bounded, without secrets.

Looking for secrets in a text costs more than all the rest of an append, and names of strategies, targets and
actions come again and again. So texts found to hold none are remembered; one that holds any never is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from selfheal.journal.entry import RESERVED, to_json
from selfheal.plain import MAX_DEPTH, MAX_TEXT, MAX_VALUES, NotPlainError, plain
from selfheal.redaction import hides, scrub

MAX_LINE: Final = 65_536
"""Bytes of a line, its end included."""

_OWN_BYTES = 512
"""Room in a line for what is not a field."""
_KEPT = 1_000
"""Characters that are left of a field that was too long."""
_INTS = 1 << 256

_REMEMBERED = 4_096
_SHORT = 200
_HARMLESS = re.compile(r"[a-z0-9.:,]*", re.ASCII)
"""Texts of these characters alone look like none of the credentials that are known."""

_clean: set[str] = set()
_names: dict[str, str] = {}
"""Names of fields that hold no secret themselves, with what they hide of their value."""


def clean(fields: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The fields as they are written, and their JSON text. What was too long is cut, and named in ``cut``.

    Raises:
        NotPlainError: if JSON has no such value, it is nested deeper than 16, or holds more than 10,000 values.
    """
    if not RESERVED.isdisjoint(fields):
        taken = sorted(RESERVED.intersection(fields))
        raise NotPlainError(f"{taken[0]}: a line has that of itself, name the field otherwise")
    walk = _Walk()
    shown = {}
    for name, value in fields.items():
        walk.field = name
        key, item = walk.item(name, value, None, 0)
        shown[key] = item
    if walk.cut:
        shown["cut"] = sorted(walk.cut)
    text = to_json(shown)
    if len(text) > MAX_LINE - _OWN_BYTES:
        shown = _shortened(shown, walk.cut)
        text = to_json(shown)
    return shown, text


class _Walk:
    """One pass over the fields of an entry."""

    __slots__ = ("cut", "field", "seen")

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self.field = ""
        self.seen = 0

    def item(self, key: Any, value: Any, where: Any, depth: int) -> tuple[str, Any]:
        """One item of a mapping. ``where`` is a chain of (where, key), made a text only when it is needed."""
        hidden = _names.get(key) if type(key) is str else None
        if hidden is None:
            hidden = _learn_name(key)
        if hidden == "" and type(key) is str:
            return key, self.show(value, (where, key), depth)
        self._count(1, where)
        [(name, shown)] = plain({key: value}, _words(where) or "fields").items()
        return name, shown

    def show(self, value: Any, where: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return value if value in _clean else self._text(value)
        if value is None or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else None
        if kind is int and -_INTS < value < _INTS:
            return value
        if isinstance(value, Mapping):
            self._enter(value, where, depth)
            return dict([self.item(key, item, where, depth + 1) for key, item in value.items()])
        if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
            self._enter(value, where, depth)
            items = sorted(value, key=repr) if isinstance(value, Set) else value
            return [self.show(item, (where, index), depth + 1) for index, item in enumerate(items)]
        return plain(value, _words(where))

    def _text(self, text: str) -> str:
        if len(text) > MAX_TEXT:
            self.cut.add(self.field)
            return scrub(text[: 2 * MAX_TEXT])[:MAX_TEXT] + "…"
        if _HARMLESS.fullmatch(text):
            return text
        shown = scrub(text)
        if shown == text and len(text) <= _SHORT:
            _remember(_clean)
            _clean.add(text)
        return shown

    def _enter(self, value: Any, where: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise NotPlainError(f"{_words(where)}: nested deeper than {MAX_DEPTH}, or containing itself")
        self._count(len(value), where)

    def _count(self, values: int, where: Any) -> None:
        self.seen += values
        if self.seen > MAX_VALUES:
            raise NotPlainError(f"{_words(where)}: more than {MAX_VALUES} values")


def _learn_name(key: Any) -> str:
    """What a key hides; ``"?"`` for one that cannot stay as it is."""
    if type(key) is not str or len(key) > MAX_TEXT or scrub(key) != key:
        return "?"
    hidden = hides(key)
    if len(key) <= _SHORT:
        _remember(_names)
        _names[key] = hidden
    return hidden


def _remember(known: set[str] | dict[str, str]) -> None:
    """Make room for one more."""
    if len(known) >= _REMEMBERED:
        known.clear()


def _words(where: Any) -> str:
    steps = []
    while where is not None:
        where, key = where
        steps.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return "".join(reversed(steps)).lstrip(".")


def _shortened(fields: dict[str, Any], cut: set[str]) -> dict[str, Any]:
    """The same, the longest fields made texts of their beginning until all fit in a line."""
    room = MAX_LINE - _OWN_BYTES
    fields.pop("cut", None)
    sizes = {name: len(to_json(name)) + len(to_json(value)) + 2 for name, value in fields.items()}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        told = len(to_json(sorted(cut)))
        if sum(sizes.values()) + told <= room:
            break
        value = fields[name]
        cut.add(name)
        fields[name] = (value if isinstance(value, str) else to_json(value))[:_KEPT] + "…"
        sizes[name] = len(to_json(name)) + len(to_json(fields[name])) + 2
    fields["cut"] = sorted(cut)
    if len(to_json(fields)) > room:
        raise NotPlainError(f"{len(fields)} fields do not fit into a line of {MAX_LINE} bytes")
    return fields
