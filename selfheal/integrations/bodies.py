"""Bodies of mutations: JSON, an object, known fields. All that is wrong is said at once, with what to send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from selfheal.integrations.messages import RefusedError, Request


@attrs.frozen(kw_only=True)
class Field:
    """A field of a body.

    Args:
        good: whether a value is accepted.
        accepted: what is, in words.
        example: a good value, shown to who sent a bad one.
        default: what counts when it is left out.
        required: whether it may not be left out.
    """

    good: Callable[[Any], bool]
    accepted: str
    example: object
    default: object = None
    required: bool = False


def text(most: int, example: str, *, required: bool = False) -> Field:
    """A field of text up to ``most`` characters; a required one may not be blank."""

    def good(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > most or not value.isprintable():
            return False
        return bool(value.strip()) or not required

    some = "text that is not blank, " if required else "text "
    accepted = f"{some}of at most {most} characters, on one line"
    return Field(good=good, accepted=accepted, example=example, default="", required=required)


def switch(example: bool) -> Field:
    """A field that is true or false, and false when left out."""
    return Field(good=lambda value: isinstance(value, bool), accepted="true or false", example=example, default=False)


WHY: Final = {"reason": text(500, "key renewed", required=True), "by": text(100, "your name")}
"""What a mutation needs: why, and optionally who."""

FORCED: Final = {**WHY, "force": switch(True)}
"""The same, and whether to force it."""

WHY_IF_ANY: Final = {"reason": text(500, "noisy neighbour"), "by": text(100, "your name")}
"""Why and who, both optional."""


def fields_of(request: Request, fields: Mapping[str, Field], max_body: int) -> dict[str, Any]:
    """Read the body of ``request`` as ``fields``; an empty body is an object without fields.

    Raises:
        RefusedError: 413 too large, 415 not JSON by its type, 400 not JSON by its content, 422 fields that are
            unknown, missing or of the wrong kind.
    """
    example = {name: field.example for name, field in fields.items()}
    if len(request.body) > max_body:
        message = f"The body is larger than {max_body} bytes."
        raise RefusedError(413, "body_too_large", message, send=example)
    data = _object(request, example) if request.body.strip() else {}
    _check_fields(data, fields, example)
    return {name: data.get(name, field.default) for name, field in fields.items()}


def _object(request: Request, example: object) -> dict[str, Any]:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        message = f"The body has the type {kind[:100]!r}, not JSON."
        facts = {"header": "Content-Type: application/json"}
        raise RefusedError(415, "not_json", message, send=example, facts=facts)
    try:
        data = json.loads(request.body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        why = "nested too deeply" if isinstance(problem, RecursionError) else _told(problem)
        raise RefusedError(400, "bad_json", f"The body is not JSON in UTF-8: {why}.", send=example) from None
    if not isinstance(data, dict):
        raise RefusedError(422, "wrong_fields", "The body is not a JSON object.", send=example)
    return data


def _told(problem: ValueError) -> str:
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at line {problem.lineno}, column {problem.colno}"
    return "it is not UTF-8" if isinstance(problem, UnicodeDecodeError) else str(problem)[:100]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_fields(data: Mapping[str, Any], fields: Mapping[str, Field], example: object) -> None:
    wrong = {name[:100]: f"is not a field here; there are: {', '.join(fields)}" for name in data if name not in fields}
    for name, field in fields.items():
        if name not in data:
            if field.required:
                wrong[name] = f"is missing; it must be {field.accepted}"
        elif not field.good(data[name]):
            wrong[name] = f"must be {field.accepted}"
    if wrong:
        wrong = dict(list(wrong.items())[:10])
        message = "; ".join(f"{name!r} {why}" for name, why in wrong.items()) + "."
        raise RefusedError(422, "wrong_fields", message, send=example, facts={"fields": wrong})
