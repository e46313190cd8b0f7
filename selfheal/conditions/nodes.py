"""The nodes a condition is made of: frozen, checked where they are made, without behaviour."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias, TypeGuard

import attrs

from selfheal.conditions.durations import parse_duration
from selfheal.conditions.showing import Described, shown
from selfheal.errors import ConfigError

MAX_NODES = 64
"""Nodes of a condition, leaves included."""
MAX_DEPTH = 8
"""Levels of a condition; a leaf alone is one."""
MAX_NAME = 200
"""Characters of a metric, a label or the value of a label."""

OPERATORS = (">", ">=", "<", "<=", "==", "!=")
"""What a metric can be compared by."""


def _as_float(value: Any) -> Any:
    """An integer as the float it is meant as; anything else is left to the validator."""
    if type(value) is int and value.bit_length() <= 64:
        return float(value)
    return value + 0.0 if isinstance(value, float) else value  # there is one zero


def _as_duration(value: Any) -> float:
    return value if type(value) is float and value == 0.0 else parse_duration(value, "Comparison.for_")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _refuse(owner: object, field: attrs.Attribute[Any], value: object, accepted: str) -> ConfigError:
    return ConfigError(f"{type(owner).__name__}.{field.name}", shown(value), accepted)


def _finite(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, float) or not math.isfinite(value):
        raise _refuse(owner, field, value, "a finite number")


def _name(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not is_name(value):
        raise _refuse(owner, field, value, NAME_ACCEPTED)


def _operator(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in OPERATORS:
        raise _refuse(owner, field, value, "one of " + ", ".join(OPERATORS))


def _text(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not is_text(value):
        raise _refuse(owner, field, value, TEXT_ACCEPTED)


def _texts(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    good = isinstance(value, tuple) and 1 <= len(value) <= MAX_NODES and all(map(is_text, value))
    if not good or not isinstance(value, tuple) or len(set(value)) < len(value):
        raise _refuse(owner, field, value, TEXTS_ACCEPTED)


NAME_ACCEPTED = f"text of 1 to {MAX_NAME} characters, not blank, without control characters"
TEXT_ACCEPTED = f"text of at most {MAX_NAME} characters, without control characters"
TEXTS_ACCEPTED = f"1 to {MAX_NODES} different texts of at most {MAX_NAME} characters"


def is_text(value: object) -> bool:
    """Whether a label may have this value."""
    return isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable()


def is_name(value: object) -> bool:
    """Whether a metric or a label may be called so."""
    return isinstance(value, str) and is_text(value) and bool(value.strip())


@attrs.frozen
class Comparison:
    """A metric beside a number.

    Args:
        metric: its name.
        op: one of ``>``, ``>=``, ``<``, ``<=``, ``==``, ``!=``.
        value: the number; finite.
        for_: seconds, or text such as ``"5m"``, for which it has to hold without a break before it counts; at most
            seven days. 0: at once.
        clear: once the trigger fires on it, it counts until the metric is past this number: ``> 80`` with ``clear``
            70 fires above 80 and ends at 70 or below. ``None``: the same as ``value``. Not with ``==`` and ``!=``.

    Raises:
        ConfigError: if a value is not accepted, or ``clear`` is on the wrong side of ``value``.
    """

    metric: str = attrs.field(validator=_name)
    op: str = attrs.field(validator=_operator)
    value: float = attrs.field(converter=_as_float, validator=_finite)
    for_: float = attrs.field(default=0.0, converter=_as_duration)
    clear: float | None = attrs.field(
        default=None, converter=_as_float, validator=attrs.validators.optional(_finite), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        accepted = clear_accepted(self.op, self.value, self.clear)
        if accepted:
            raise ConfigError("Comparison.clear", self.clear, accepted)


def clear_accepted(op: str, value: float, clear: float | None) -> str:
    """What ``clear`` has to be instead, in words; empty if it is right."""
    if clear is None:
        return ""
    if op in ("==", "!="):
        return f"left out where the operator is {op}"
    if op in (">", ">="):
        return "" if clear <= value else f"at most the value ({value:g})"
    return "" if clear >= value else f"at least the value ({value:g})"


@attrs.frozen
class LabelIs:
    """A label with one value.

    Args:
        label: its name.
        equals: its value, compared exactly.

    Raises:
        ConfigError: if either is no text of at most 200 characters.
    """

    label: str = attrs.field(validator=_name)
    equals: str = attrs.field(validator=_text)


@attrs.frozen
class LabelIn:
    """A label with one of some values.

    Args:
        label: its name.
        values: what it may be; at least one, none twice.

    Raises:
        ConfigError: if they are not texts of at most 200 characters.
    """

    label: str = attrs.field(validator=_name)
    values: tuple[str, ...] = attrs.field(converter=_as_tuple, validator=_texts)


def _conditions(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= MAX_NODES or not all(map(is_condition, value)):
        raise _refuse(owner, field, value, f"1 to {MAX_NODES} conditions")


def _condition(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not is_condition(value):
        raise _refuse(owner, field, value, "a condition")


def _within_limits(node: All | AnyOf | Not) -> None:
    """Refuse what grew too large. All below was checked when it was made, so the walk is bounded."""
    nodes, depth = size_of(node)
    if nodes > MAX_NODES:
        raise ConfigError(type(node).__name__, Described(f"{nodes} nodes"), f"of at most {MAX_NODES} nodes")
    if depth > MAX_DEPTH:
        raise ConfigError(type(node).__name__, Described(f"{depth} levels"), f"of at most {MAX_DEPTH} levels")


@attrs.frozen
class All:
    """All of some conditions hold.

    Args:
        conditions: at least one.

    Raises:
        ConfigError: if there is none, or the whole is too large: 64 nodes, 8 levels.
    """

    conditions: tuple[Condition, ...] = attrs.field(converter=_as_tuple, validator=_conditions)

    def __attrs_post_init__(self) -> None:
        _within_limits(self)


@attrs.frozen
class AnyOf:
    """At least one of some conditions holds.

    Args:
        conditions: at least one.

    Raises:
        ConfigError: if there is none, or the whole is too large: 64 nodes, 8 levels.
    """

    conditions: tuple[Condition, ...] = attrs.field(converter=_as_tuple, validator=_conditions)

    def __attrs_post_init__(self) -> None:
        _within_limits(self)


@attrs.frozen
class Not:
    """A condition does not hold. What is unknown stays unknown.

    Args:
        condition: the one that does not.

    Raises:
        ConfigError: if it is none, or the whole is too large: 64 nodes, 8 levels.
    """

    condition: Condition = attrs.field(validator=_condition)

    def __attrs_post_init__(self) -> None:
        _within_limits(self)


Condition: TypeAlias = Comparison | LabelIs | LabelIn | All | AnyOf | Not
"""A node of any kind."""
_LEAVES = (Comparison, LabelIs, LabelIn)
_NODES = (*_LEAVES, All, AnyOf, Not)


def is_condition(value: object) -> TypeGuard[Condition]:
    """Whether it is a node."""
    return isinstance(value, _NODES)


def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """The nodes right below; empty for a leaf."""
    if isinstance(condition, All | AnyOf):
        return condition.conditions
    return (condition.condition,) if isinstance(condition, Not) else ()


def size_of(condition: Condition) -> tuple[int, int]:
    """How many nodes and how many levels it has."""
    if isinstance(condition, Not):
        nodes, depth = size_of(condition.condition)
        return nodes + 1, depth + 1
    nodes, depth = 1, 0
    for part in () if isinstance(condition, _LEAVES) else condition.conditions:
        inside, below = size_of(part)
        nodes += inside
        depth = max(depth, below)
    return nodes, depth + 1


def leaves_of(condition: Condition) -> Iterator[Comparison | LabelIs | LabelIn]:
    """The leaves, from left to right."""
    if isinstance(condition, Comparison | LabelIs | LabelIn):
        yield condition
    for part in parts_of(condition):
        yield from leaves_of(part)


def metrics_of(condition: Condition) -> frozenset[str]:
    """Names of all metrics that it looks at."""
    return frozenset(leaf.metric for leaf in leaves_of(condition) if isinstance(leaf, Comparison))


def scaled(condition: Condition, factor: float) -> Condition:
    """The same condition with every duration multiplied.

    Args:
        condition: what to copy.
        factor: above 0; a half makes it fire after half the time.

    Raises:
        ConfigError: if the factor is not a number above 0, or a duration comes out longer than seven days.
    """
    if not _is_positive(factor):
        raise ConfigError("factor", shown(factor), "a finite number above 0")
    return _scaled(condition, float(factor))


def _is_positive(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and isinstance(value, int | float) and 0.0 < value < math.inf


def _scaled(condition: Condition, factor: float) -> Condition:
    if isinstance(condition, Comparison):
        return attrs.evolve(condition, for_=condition.for_ * factor)
    if isinstance(condition, All | AnyOf):
        return attrs.evolve(condition, conditions=tuple(_scaled(part, factor) for part in condition.conditions))
    return Not(_scaled(condition.condition, factor)) if isinstance(condition, Not) else condition
