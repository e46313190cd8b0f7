"""Conditions as plain data: what a JSON or TOML file holds, read strictly, and written back."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping
from typing import Any

from selfheal.conditions.durations import parse_duration
from selfheal.conditions.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    NAME_ACCEPTED,
    OPERATORS,
    TEXT_ACCEPTED,
    TEXTS_ACCEPTED,
    All,
    AnyOf,
    Comparison,
    Condition,
    LabelIn,
    LabelIs,
    Not,
    clear_accepted,
    is_condition,
    is_name,
    is_text,
    size_of,
)
from selfheal.conditions.showing import Described, shown
from selfheal.conditions.sugar import parse
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError

FORMS: dict[str, tuple[str, ...]] = {
    "metric": ("metric", "op", "value", "for", "clear"),
    "label": ("label", "equals", "in"),
    "all": ("all",),
    "any": ("any",),
    "not": ("not",),
}
"""Key that tells the kind of a table → all keys it may have."""

_ACCEPTED = "text, or a table with one of the keys 'metric', 'label', 'all', 'any', 'not'"
_MAX_PROBLEMS = 20
_MAX_KEY = 50


def condition_from(data: object, where: str = "condition", *, source: str = "") -> Condition:
    """Make a condition of plain data, or of text, or of both mixed.

    ``{"metric": "cpu", "op": ">", "value": 80, "for": "5m", "clear": 70}``, ``{"label": "zone", "equals": "x"}``,
    ``{"label": "zone", "in": ["a", "b"]}``, ``{"all": [...]}``, ``{"any": [...]}``, ``{"not": ...}``. Wherever a
    condition stands, text such as ``"cpu > 80 for 5m"`` may stand too. Keys are exact; numbers are finite and no
    booleans; at most 64 nodes, 8 levels, 1000 characters of text.

    Args:
        data: what a file holds in that place. A condition that is made already is returned.
        where: path of that place (``strategies[0].condition``), for messages.
        source: the file, for messages.

    Raises:
        InvalidConfigError: with all that is wrong (the first twenty), each with its path.
    """
    reading = _Reading()
    made = reading.condition(data, where or "condition", 1)
    if made is None or reading.problems:
        raise InvalidConfigError(reading.problems[:_MAX_PROBLEMS], source)
    return made


def to_data(condition: Condition) -> dict[str, Any]:
    """The plain data of a condition; :func:`condition_from` makes the same one of it.

    >>> to_data(Comparison("cpu", ">", 80.0, "5m"))
    {'metric': 'cpu', 'op': '>', 'value': 80.0, 'for': 300.0}
    """
    if isinstance(condition, Comparison):
        data: dict[str, Any] = {"metric": condition.metric, "op": condition.op, "value": condition.value}
        if condition.for_:
            data["for"] = condition.for_
        return data if condition.clear is None else {**data, "clear": condition.clear}
    if isinstance(condition, LabelIs):
        return {"label": condition.label, "equals": condition.equals}
    if isinstance(condition, LabelIn):
        return {"label": condition.label, "in": list(condition.values)}
    if isinstance(condition, Not):
        return {"not": to_data(condition.condition)}
    return {"all" if isinstance(condition, All) else "any": [to_data(part) for part in condition.conditions]}


class _Reading:
    """One pass over the data; collects what is wrong. Never deeper than the limit, never further than the nodes."""

    def __init__(self) -> None:
        self.problems: list[ConfigProblem] = []
        self._nodes = 0

    def condition(self, data: object, where: str, depth: int) -> Condition | None:
        if depth > MAX_DEPTH:
            self._wrong(where, data, f"of at most {MAX_DEPTH} levels")
            return None
        if isinstance(data, str):
            return self._text(data, where, depth)
        if is_condition(data):
            return self._grown(data, where, depth)
        if not isinstance(data, Mapping):
            self._wrong(where, data, _ACCEPTED)
            return None
        if not self._counted(where, 1):
            return None
        return self._table(data, where, depth)

    def _wrong(self, where: str, found: object, accepted: str) -> None:
        self.problems.append(ConfigProblem(where, shown(found), accepted))

    def _counted(self, where: str, nodes: int) -> bool:
        within = self._nodes <= MAX_NODES
        self._nodes += nodes
        if within and self._nodes > MAX_NODES:
            self._wrong(where, Described("more"), f"part of a condition of at most {MAX_NODES} nodes")
        return self._nodes <= MAX_NODES

    def _text(self, text: str, where: str, depth: int) -> Condition | None:
        try:
            return self._grown(parse(text, where), where, depth)
        except ConfigError as error:
            self.problems.append(ConfigProblem(error.where, error.found, error.accepted))
        return None

    def _grown(self, made: Condition, where: str, depth: int) -> Condition | None:
        nodes, levels = size_of(made)
        if depth + levels - 1 > MAX_DEPTH:
            self._wrong(where, Described(f"{levels} more levels"), f"of at most {MAX_DEPTH} levels")
            return None
        return made if self._counted(where, nodes) else None

    def _table(self, data: Mapping[Any, Any], where: str, depth: int) -> Condition | None:
        kinds = [kind for kind in FORMS if kind in data]
        if len(kinds) != 1:
            found = Described(f"a table with {' and '.join(map(repr, kinds)) or 'none of them'}")
            self._wrong(where, found, _ACCEPTED)
            return None
        kind = kinds[0]
        known = self._known_keys(data, where, FORMS[kind])
        made = self._of(kind, data, where, depth)
        return made if known else None

    def _of(self, kind: str, data: Mapping[Any, Any], where: str, depth: int) -> Condition | None:
        if kind == "metric":
            return self._comparison(data, where)
        if kind == "label":
            return self._label(data, where)
        if kind == "not":
            inner = self.condition(data["not"], f"{where}.not", depth + 1)
            return None if inner is None else Not(inner)
        parts = self._parts(data[kind], f"{where}.{kind}", depth)
        if parts is None:
            return None
        return All(parts) if kind == "all" else AnyOf(parts)

    def _known_keys(self, data: Mapping[Any, Any], where: str, known: tuple[str, ...]) -> bool:
        odd = (key for key in data if not (isinstance(key, str) and key in known))
        unknown = list(itertools.islice(odd, _MAX_PROBLEMS))
        for key in unknown:
            near = difflib.get_close_matches(key[:_MAX_KEY], known, 1) if isinstance(key, str) else []
            meant = f"; did you mean {near[0]!r}?" if near else ""
            self._wrong(f"{where}.{_path(key)}", key, f"a known key ({', '.join(known)}{meant})")
        return not unknown

    def _parts(self, data: object, where: str, depth: int) -> tuple[Condition, ...] | None:
        if not isinstance(data, list | tuple) or not 1 <= len(data) <= MAX_NODES:
            self._wrong(where, data, f"a list of 1 to {MAX_NODES} conditions")
            return None
        made = []
        for index, item in enumerate(data):
            if self._nodes > MAX_NODES or len(self.problems) >= _MAX_PROBLEMS:
                return None
            made.append(self.condition(item, f"{where}[{index}]", depth + 1))
        whole = tuple(part for part in made if part is not None)
        return whole if len(whole) == len(data) and not self.problems else None

    def _comparison(self, data: Mapping[Any, Any], where: str) -> Condition | None:
        before = len(self.problems)
        metric, op, value = data["metric"], data.get("op"), _number(data.get("value"))
        if not is_name(metric):
            self._wrong(f"{where}.metric", metric, NAME_ACCEPTED)
        if not isinstance(op, str) or op not in OPERATORS:
            self._missing(data, "op", where, "one of " + ", ".join(OPERATORS))
        if value is None:
            self._missing(data, "value", where, "a finite number")
        held, clear = self._duration(data, where), _number(data.get("clear"))
        if "clear" in data and clear is None:
            self._wrong(f"{where}.clear", data["clear"], "a finite number")
        elif isinstance(op, str) and value is not None and (accepted := clear_accepted(op, value, clear)):
            self._wrong(f"{where}.clear", clear, accepted)
        if len(self.problems) > before or value is None or not isinstance(op, str):
            return None
        return Comparison(str(metric), op, value, held, clear=clear)

    def _missing(self, data: Mapping[Any, Any], key: str, where: str, accepted: str) -> None:
        found = data[key] if key in data else Described("nothing")
        self._wrong(f"{where}.{key}", found, accepted)

    def _duration(self, data: Mapping[Any, Any], where: str) -> float:
        try:
            return parse_duration(data.get("for", 0.0), f"{where}.for")
        except ConfigError as error:
            self.problems.append(ConfigProblem(error.where, error.found, error.accepted))
        return 0.0

    def _label(self, data: Mapping[Any, Any], where: str) -> Condition | None:
        before = len(self.problems)
        label, equals, values = data["label"], data.get("equals"), data.get("in")
        if not is_name(label):
            self._wrong(f"{where}.label", label, NAME_ACCEPTED)
        if ("equals" in data) == ("in" in data):
            self._wrong(where, Described("both" if "in" in data else "neither"), "a label with either 'equals' or 'in'")
        elif "equals" in data and not is_text(equals):
            self._wrong(f"{where}.equals", equals, TEXT_ACCEPTED)
        elif "in" in data and not _are_texts(values):
            self._wrong(f"{where}.in", values, TEXTS_ACCEPTED)
        if len(self.problems) > before:
            return None
        return LabelIs(str(label), str(equals)) if "equals" in data else LabelIn(str(label), tuple(values or ()))


def _number(value: object) -> float | None:
    """The finite number that a value is, or ``None``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int) and value.bit_length() > 64:
        return None
    return float(value) if math.isfinite(value) else None


def _are_texts(values: object) -> bool:
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_NODES or not all(map(is_text, values)):
        return False
    return len(set(values)) == len(values)


def _path(key: object) -> str:
    return key[:_MAX_KEY] if isinstance(key, str) and key.isprintable() else "?"
