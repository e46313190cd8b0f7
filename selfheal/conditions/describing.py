"""A condition as text, for people and for :func:`selfheal.conditions.parse`."""

from __future__ import annotations

import re

from selfheal.conditions.durations import format_duration
from selfheal.conditions.nodes import All, AnyOf, Comparison, Condition, LabelIn, LabelIs, Not
from selfheal.conditions.sugar import KEYWORDS

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")


def describe(condition: Condition) -> str:
    """The condition as one line of text.

    Reading it again gives the same condition, unless the text is longer than 1000 characters or an ``All`` or
    ``AnyOf`` holds only one, for which text has no form.

    >>> describe(Comparison("cpu", ">", 80.0, 300.0, clear=70.0))
    'cpu > 80 for 5m clear 70'
    """
    if isinstance(condition, Comparison):
        return _comparison(condition)
    if isinstance(condition, LabelIs):
        return f"{_label(condition.label)} == {_quoted(condition.equals)}"
    if isinstance(condition, LabelIn):
        return f"{_label(condition.label)} in ({', '.join(map(_quoted, condition.values))})"
    if isinstance(condition, Not):
        return f"not {_inside(condition.condition)}"
    joint = " and " if isinstance(condition, All) else " or "
    return joint.join(map(_inside, condition.conditions))


def _inside(condition: Condition) -> str:
    text = describe(condition)
    return f"({text})" if isinstance(condition, All | AnyOf) else text


def _comparison(leaf: Comparison) -> str:
    text = f"{_metric(leaf.metric)} {leaf.op} {_number(leaf.value)}"
    text += f" for {format_duration(leaf.for_)}" if leaf.for_ else ""
    return text if leaf.clear is None else f"{text} clear {_number(leaf.clear)}"


def _metric(name: str) -> str:
    plain = _NAME.fullmatch(name) and name.partition(".")[0] != "label" and name not in KEYWORDS
    return name if plain else _quoted(name)


def _label(name: str) -> str:
    return f"label.{name}" if _WORD.fullmatch(name) else f"label[{_quoted(name)}]"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
