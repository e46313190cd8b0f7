"""The JSON Schema of strategy files, made of the very classes that they become: editors complete and check by it."""

from __future__ import annotations

import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.conditions import Comparison, LabelIn, LabelIs
from selfheal.healing.actions import Action, builtin_actions
from selfheal.healing.strategies.checking import KnownActions
from selfheal.healing.strategies.reading import MOST_IN_FILE, VERSION
from selfheal.healing.strategies.specs import (
    MOST_STEPS,
    ConditionData,
    LevelSpec,
    Seconds,
    StepSpec,
    StrategySpec,
    VerifySpec,
)
from selfheal.validators import Between

SCHEMA_FILE = "strategies.schema.json"

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string"}
_DURATION_TEXT = {
    "type": "string",
    "pattern": r"^(?=.)([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$",
    "examples": ["30s", "5m", "1h30m"],
}
_RECORDS = {LevelSpec: "level", StepSpec: "step", StrategySpec: "strategy", VerifySpec: "verify"}


def strategy_schema(actions: KnownActions | None = None) -> dict[str, Any]:
    """The JSON Schema (2020-12) of strategy files.

    Args:
        actions: those that may be named, with their parameters; by default those that ship. Others are accepted,
            too, and their parameters are not looked at.
    """
    known = builtin_actions() if actions is None else actions
    found = [known.get(name) for name in sorted(known.names())]
    strategies = {"type": "array", "items": _ref("strategy"), "maxItems": MOST_IN_FILE}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Strategies of selfheal",
        "type": "object",
        "properties": {
            "$schema": {"type": "string", "description": "this schema, for editors"},
            "version": {"const": VERSION, "description": "of the format"},
            "strategies": {**strategies, "description": "in order; the priority decides first"},
        },
        "required": ["version", "strategies"],
        "additionalProperties": False,
        "$defs": {
            "strategy": _strategy(),
            "level": _record(LevelSpec),
            "step": {"anyOf": [_named(found), _ref("action")]},
            "action": _action(found),
            "verify": _record(VerifySpec),
            "condition": _condition(),
            **{f"params.{action.name}": _record(action.params) for action in found},
        },
    }


def schema_text(actions: KnownActions | None = None) -> str:
    """The schema as the text of a file."""
    return json.dumps(strategy_schema(actions), indent=2, ensure_ascii=False) + "\n"


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _strategy() -> dict[str, Any]:
    """A strategy with levels, or with the actions of its only one."""
    made = _record(StrategySpec)
    made["required"].remove("levels")
    level = _record(LevelSpec)["properties"]
    made["properties"] |= {key: level[key] for key in ("level", "actions")}
    made["properties"]["actions"]["description"] = "of the only level, in order; short for levels"
    short, whole = {"required": ["actions"]}, {"required": ["levels"]}
    mixed = {"anyOf": [{"required": ["level"]}, short]}
    made["allOf"] = [
        {"anyOf": [{**short, "not": whole}, {**whole, "not": mixed}]},
        {"anyOf": [{"required": ["trigger"]}, {"required": ["alerts"]}]},
    ]
    return made


def _named(actions: list[Action]) -> dict[str, Any]:
    """The name of an action: one of those there are, with what it does, or another one."""
    other: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
    return {"anyOf": [*({"const": a.name, "description": _summary(type(a))} for a in actions), other]}


def _action(actions: list[Action]) -> dict[str, Any]:
    """An action with its settings; whose parameters it takes depends on its name."""
    made = _record(StepSpec)
    made["properties"]["do"] |= _named(actions)
    made["properties"]["do"].pop("type")
    made["allOf"] = []
    for action in actions:
        roles = [need.role for need in action.needs]
        levers: dict[str, Any] = {"propertyNames": {"enum": roles}} if roles else {"maxProperties": 0}
        then = {"params": _ref(f"params.{action.name}"), "levers": levers}
        when = {"properties": {"do": {"const": action.name}}, "required": ["do"]}
        made["allOf"].append({"if": when, "then": {"properties": then}})
    return made


def _condition() -> dict[str, Any]:
    many = {"type": "array", "items": _ref("condition"), "minItems": 1, "maxItems": 64}
    text = {
        "type": "string",
        "maxLength": 1000,
        "examples": ["cpu_percent > 80 for 5m clear 70", "success_rate < 0.9 and label.zone == 'eu'"],
    }
    comparison = _record(Comparison)
    comparison["properties"]["op"] = {"enum": [">", ">=", "<", "<=", "==", "!="], "description": "how"}
    held = comparison["properties"].pop("for_")["description"]
    comparison["properties"]["for"] = {"description": held, **_duration(Between(0.0, 604_800.0, "s"))}
    label_in = _record(LabelIn)
    label_in["properties"]["in"] = label_in["properties"].pop("values") | {"minItems": 1}
    label_in["required"] = ["label", "in"]
    kinds = [comparison, _record(LabelIs), label_in]
    for key, schema in (("all", many), ("any", many), ("not", _ref("condition"))):
        kinds.append({"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False})
    return {"description": "text, or its structure", "anyOf": [text, *kinds]}


def _record(cls: type) -> dict[str, Any]:
    """An attrs class as a table: each field with its meaning, bounds and default."""
    told = _arguments(cls)
    properties = {}
    fields = [field for field in attrs.fields(attrs.resolve_types(cls)) if field.init]
    for field in fields:
        schema = _kind(field.type, field.validator)
        if told.get(field.name):
            schema = {"description": told[field.name], **schema}
        default = _default(field)
        properties[field.alias] = schema if default is attrs.NOTHING else {**schema, "default": default}
    return {
        "description": _summary(cls),
        "type": "object",
        "properties": properties,
        "required": [field.alias for field in fields if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if default is attrs.NOTHING or hasattr(default, "factory") or default is None:
        return attrs.NOTHING
    if isinstance(default, tuple):
        return list(default)
    return default.value if isinstance(default, enum.Enum) else default


def _kind(kind: Any, validator: Any) -> dict[str, Any]:
    """The schema of one type, within the bounds that its validator knows."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind == Seconds:
        return _duration(validator)
    if kind == ConditionData:
        return _ref("condition")
    if kind in _RECORDS:
        return _ref(_RECORDS[kind])
    if origin in (typing.Union, types.UnionType):
        choices = [_kind(one, validator) for one in inner if one is not types.NoneType]
        return {"anyOf": [*choices, {"type": "null"}]} if types.NoneType in inner else {"anyOf": choices}
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        most = {"minItems": 1, "maxItems": MOST_STEPS} if inner[0] is StepSpec else {}
        return {"type": "array", "items": _kind(inner[0], None), **most}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _kind(inner[1], None)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    return {"type": _PLAIN[kind], **_bounds(validator)} if kind in _PLAIN else {}


def _duration(validator: Any) -> dict[str, Any]:
    return {"anyOf": [{"type": "number", **_bounds(validator)}, _DURATION_TEXT]}


def _bounds(validator: Any) -> dict[str, Any]:
    return {"minimum": validator.low, "maximum": validator.high} if isinstance(validator, Between) else {}


def _summary(cls: type) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split())


def _arguments(cls: type) -> dict[str, str]:
    """What the class says about each of its arguments."""
    block = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", block, re.M)
    return {name: " ".join(text.split()) for name, text in found}
