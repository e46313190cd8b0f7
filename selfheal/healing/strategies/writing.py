"""Strategies as plain data, the way a file holds them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.conditions import to_data as condition_data
from selfheal.healing.strategies.specs import LevelSpec, StepSpec, StrategySpec, VerifySpec

_RECORDS = (LevelSpec, StepSpec, StrategySpec, VerifySpec)
_CONDITIONS = {"trigger", "condition", "when"}


def spec_data(spec: Any) -> dict[str, Any]:
    """A strategy, level, step or verification as plain data: what is as by default is left out."""
    data = {}
    for field in attrs.fields(type(spec)):
        value = getattr(spec, field.name)
        if value != _default(field):
            data[field.name] = condition_data(value) if field.name in _CONDITIONS else _plain(value)
    return data


def _default(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    return default.factory() if hasattr(default, "factory") else default


def _plain(value: object) -> Any:
    if isinstance(value, _RECORDS):
        return spec_data(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, enum.Enum) else value
