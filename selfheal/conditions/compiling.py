"""Conditions as closures, with three answers: true, false, unknown.

Unknown (``None``) is what cannot be told: a metric or a label that is not there, a value that is not finite. It
spreads as in Kleene's logic: false and unknown is false, true or unknown is true, not unknown is unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from selfheal.conditions.nodes import All, Comparison, Condition, LabelIn, LabelIs, Not, leaves_of, parts_of

Lookup: TypeAlias = Callable[[str], float | None]
"""Gives the value of a metric now, or ``None`` where it is unknown."""
Labels: TypeAlias = Mapping[str, str]
"""What is known of a target beside its metrics."""
Evaluate: TypeAlias = Callable[[Lookup, Labels], bool | None]
"""A compiled condition."""
Fold: TypeAlias = Callable[[Sequence[bool | None], Labels], bool | None]
"""A condition over the answers of its comparisons, given from left to right."""

NO_LABELS: Labels = MappingProxyType({})

COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
"""Operator → what it does."""

_Node: TypeAlias = Callable[[Any, Labels], bool | None]


def compile_condition(condition: Condition) -> Evaluate:
    """Make a closure that says whether the condition holds for the values of this moment.

    Only values are looked at: ``for`` and ``clear`` need a past, and are kept by
    :class:`~selfheal.conditions.TriggerMachine`.

    >>> from selfheal.conditions import parse
    >>> hot = compile_condition(parse("cpu > 80 or label.zone == 'oven'"))
    >>> hot({"cpu": 90.0}.get, {}), hot({"cpu": 10.0}.get, {"zone": "hall"}), hot({}.get, {})
    (True, False, None)
    """
    return _node(condition, _reading)


def compile_fold(condition: Condition) -> tuple[tuple[Comparison, ...], Fold]:
    """The comparisons of a condition, from left to right, and a closure over their answers."""
    comparisons = tuple(leaf for leaf in leaves_of(condition) if isinstance(leaf, Comparison))
    places = iter(range(len(comparisons)))
    return comparisons, _node(condition, lambda _: _answer(next(places)))


def _node(condition: Condition, comparison: Callable[[Comparison], _Node]) -> _Node:
    if isinstance(condition, Comparison):
        return comparison(condition)
    if isinstance(condition, LabelIs):
        return _label(condition.label, frozenset({condition.equals}))
    if isinstance(condition, LabelIn):
        return _label(condition.label, frozenset(condition.values))
    parts = tuple(_node(part, comparison) for part in parts_of(condition))
    if isinstance(condition, Not):
        return _not(parts[0])
    return _until(parts, not isinstance(condition, All))


def _reading(leaf: Comparison) -> _Node:
    metric, limit, compare = leaf.metric, leaf.value, COMPARE[leaf.op]

    def holds(lookup: Lookup, labels: Labels) -> bool | None:
        value = lookup(metric)
        if value is None or value - value != 0.0:  # the difference is NaN for NaN and infinities
            return None
        return compare(value, limit)

    return holds


def _answer(place: int) -> _Node:
    def given(answers: Sequence[bool | None], labels: Labels) -> bool | None:
        return answers[place]

    return given


def _label(label: str, accepted: frozenset[str]) -> _Node:
    def holds(source: object, labels: Labels) -> bool | None:
        value = labels.get(label)
        return None if value is None else value in accepted

    return holds


def _not(part: _Node) -> _Node:
    def holds(source: object, labels: Labels) -> bool | None:
        answer = part(source, labels)
        return None if answer is None else not answer

    return holds


def _until(parts: tuple[_Node, ...], decides: bool) -> _Node:
    """All (``decides`` is false) or any (true): the first that decides; else unknown if one is."""

    def holds(source: object, labels: Labels) -> bool | None:
        answer: bool | None = not decides
        for part in parts:
            found = part(source, labels)
            if found is decides:
                return decides
            if found is None:
                answer = None
        return answer

    return holds
