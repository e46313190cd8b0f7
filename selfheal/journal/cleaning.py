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
_KEPT = (1_000, 100, 10)
"""Characters that are left of fields that were too long; fewer where that is not enough."""
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
    shown = walk.mapping(fields, None, 0)
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

    def mapping(self, value: Mapping[Any, Any], where: Any, depth: int) -> dict[str, Any]:
        """Its items. ``where`` is a chain of (where, key), made a text only when it is needed."""
        self._enter(value, where, depth)
        names, known = _names, _clean
        shown: dict[str, Any] = {}
        for key, item in value.items():
            if where is None:
                self.field = key
            if type(key) is not str or names.get(key) != "":
                key, item = self._item(key, item, where, depth)
                shown[key] = item
                continue
            kind = type(item)
            at_hand = item in known if kind is str else kind is bool or (kind is int and -_INTS < item < _INTS)
            shown[key] = item if at_hand else self.show(item, (where, key), depth + 1)
        return shown

    def _item(self, key: Any, value: Any, where: Any, depth: int) -> tuple[str, Any]:
        """An item whose key is not known to hide nothing."""
        hidden = _learn_name(key)
        if not hidden:
            return key, self.show(value, (where, key), depth + 1)
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
            return self.mapping(value, where, depth)
        if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
            self._enter(value, where, depth)
            items = sorted(value, key=repr) if isinstance(value, Set) else value
            return [self.show(item, (where, index), depth + 1) for index, item in enumerate(items)]
        return plain(value, _words(where))

    def _text(self, text: str) -> str:
        if len(text) > MAX_TEXT:
            self.cut.add(self.field)
            return scrub(text[: 2 * MAX_TEXT])[:MAX_TEXT] + "…"
        shown = text if _HARMLESS.fullmatch(text) else scrub(text)
        if shown == text and len(text) <= _SHORT:
            _remember(_clean)
            _clean.add(text)
        return shown

    def _enter(self, value: Any, where: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise NotPlainError(f"{_words(where)}: nested deeper than {MAX_DEPTH}, or containing itself")
        self.seen += len(value)
        if self.seen > MAX_VALUES:
            raise NotPlainError(f"{_words(where) or 'fields'}: more than {MAX_VALUES} values")


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
    count = len(fields)
    fields.pop("cut", None)
    sizes = {name: _size(name, value) for name, value in fields.items()}
    room = MAX_LINE - _OWN_BYTES - len(',"cut":[]{}') - sum(len(to_json(name)) + 1 for name in cut)
    total = sum(sizes.values())
    for kept in _KEPT:
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            if total <= room:
                break
            value = fields[name]
            short = (value if isinstance(value, str) else to_json(value))[:kept] + "…"
            if _size(name, short) < sizes[name]:
                room -= 0 if name in cut else len(to_json(name)) + 1
                total += _size(name, short) - sizes[name]
                fields[name], sizes[name] = short, _size(name, short)
                cut.add(name)
    if total <= room:
        return {**fields, "cut": sorted(cut)}
    raise NotPlainError(f"{count} fields do not fit into a line of {MAX_LINE} bytes")


def _size(name: str, value: Any) -> int:
    return len(to_json(name)) + len(to_json(value)) + 2
