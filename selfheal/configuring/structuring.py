"""Plain data turned into frozen records, all problems told at once."""

from __future__ import annotations

import difflib
import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from selfheal.configuring.refusals import InsideError, RefusedError, problems_of
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_LONGEST_WORD = 100
_MOST_MEANT = 8
"""Unknown keys of one table for which the nearest known one is looked up: that takes time."""
_UNION = (typing.Union, types.UnionType)
_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "an integer"),
    float: ((int, float), "a finite number"),
    str: ((str,), "text"),
}


@attrs.frozen
class StructuredBy:
    """Marks a type that has its own way to be made of plain data: ``Annotated[float, StructuredBy(parse_duration)]``.

    Args:
        make: called with what a file holds in that place; returns the value. It raises a
            :class:`~selfheal.errors.ConfigError`, which is told with the path of that place, or an
            :class:`~selfheal.errors.InvalidConfigError`, whose paths go on from there (``all[0].value``).
    """

    make: Callable[[Any], Any]


def choices(accepted: Iterable[str], found: object) -> str:
    """``one of 'a', 'b'``, with the nearest to what was found, where one is near."""
    return _choices(tuple(accepted), found)


def structure(data: object, cls: type[T], where: str = "", *, source: str = "") -> T:
    """Make a ``cls`` of plain data.

    Args:
        data: what a file holds in that place; a mapping with text keys.
        cls: a frozen ``attrs`` class. Its fields may be ``bool``, ``int``, ``float``, ``str``, ``Path``, enums,
            ``Literal``, other such classes, ``tuple[X, ...]``, ``Mapping[str, X]`` and unions of these. In a union
            of classes, a key ``type`` chooses the one whose class attribute ``TYPE`` is that text. A type that is
            annotated with :class:`StructuredBy` is made by that.
        where: path of that place in the file (``levers.queue``), for messages.
        source: the file, for messages.

    Raises:
        InvalidConfigError: with all problems found, each with its path in the file.
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:
        problems = list(problems_of(error, where))
        if not problems:
            raise
        raise InvalidConfigError(problems, source) from None


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter  # only who reads settings pays for it

    converter = Converter(detailed_validation=True)
    for kind in _PLAIN:
        converter.register_structure_hook(kind, _plain)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook_func(_is_enum, _member)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(lambda kind: kind is Any or kind is object, lambda value, _: value)
    converter.register_structure_hook_factory(_is_many, _many_of(converter))
    converter.register_structure_hook_factory(_is_union, lambda kind: functools.partial(_union, converter))
    converter.register_structure_hook_factory(attrs.has, lambda kind: functools.partial(_record, converter))
    converter.register_structure_hook_func(_is_own, _own)
    return converter


def _plain(value: Any, kind: Any) -> Any:
    if kind not in _PLAIN:  # an enum of text or numbers comes here by its base
        return _member(value, kind)
    accepted, words = _PLAIN[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise RefusedError(value, words)
    return _finite(value, words) if kind is float else value


def _finite(value: Any, words: str) -> float:
    try:
        made = float(value)
    except OverflowError:
        made = math.inf
    if not math.isfinite(made):
        raise RefusedError(value, words)
    return made


def _path(value: Any, kind: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise RefusedError(value, "a path as text")
    return Path(value)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in _UNION


def _is_own(kind: Any) -> bool:
    return any(isinstance(mark, StructuredBy) for mark in getattr(kind, "__metadata__", ()))


def _own(value: Any, kind: Any) -> Any:
    """What the type's own way makes of a value; what it refuses is placed by whoever holds the value."""
    mark = next(mark for mark in kind.__metadata__ if isinstance(mark, StructuredBy))
    try:
        return mark.make(value)
    except InvalidConfigError as error:
        raise InsideError(error.problems) from None
    except ConfigError as error:
        raise InsideError((ConfigProblem("", error.found, error.accepted, error.default),)) from None


def _is_many(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, tuple | list | set | frozenset | Sequence | Mapping)


def _member(value: Any, kind: Any) -> Any:
    for member in kind:
        if type(value) is type(member.value) and value == member.value:
            return member
    raise RefusedError(value, _choices([member.value for member in kind], value))


def _literal(value: Any, kind: Any) -> Any:
    for choice in typing.get_args(kind):
        if type(value) is type(choice) and value == choice:
            return value
    raise RefusedError(value, _choices(typing.get_args(kind), value))


def _choices(accepted: Sequence[Any], value: Any) -> str:
    near = nearest(value, [str(choice) for choice in accepted])
    return f"one of {', '.join(map(repr, accepted))}" + (f"; the nearest is {near!r}" if near else "")


def nearest(value: object, known: Iterable[str]) -> str:
    """The known word that is most like ``value``; empty if none is. Long text is like none: comparing takes time."""
    near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) and len(value) <= _LONGEST_WORD else ()
    return near[0] if near else ""


def _many_of(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def make(kind: Any) -> Callable[[Any, Any], Any]:
        origin = typing.get_origin(kind)
        table = issubclass(origin, Mapping)
        inner = _table_hook(converter, kind) if table else _list_hook(converter, kind, origin)

        def check(value: Any, asked: Any) -> Any:
            if table and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
                raise RefusedError(value, "a table with text keys")
            if not table and not isinstance(value, list | tuple):
                raise RefusedError(value, "a list")
            return inner(value)

        return check

    return make


def _table_hook(converter: Converter, kind: Any) -> Callable[[Any], Any]:
    inner = (typing.get_args(kind) or (str, Any))[1]
    return lambda value: _each(converter, value.items(), inner, kind, dict)


def _list_hook(converter: Converter, kind: Any, origin: type) -> Callable[[Any], Any]:
    inner = next((arg for arg in typing.get_args(kind) if arg is not ...), Any)
    made = origin if origin in (list, set, frozenset) else tuple

    def convert(value: Any) -> Any:
        return made(_each(converter, enumerate(value), inner, kind, dict).values())

    return convert


def _each(converter: Converter, items: Any, inner: Any, kind: Any, made: Callable[[Any], Any]) -> Any:
    from cattrs import IterableValidationError
    from cattrs.errors import IterableValidationNote

    done, wrong = [], []
    for key, item in items:
        try:
            done.append((key, converter.structure(item, inner)))
        except Exception as error:
            error.__notes__ = [*getattr(error, "__notes__", []), IterableValidationNote(f"at {key!r}", key, inner)]
            wrong.append(error)
    if wrong:
        raise IterableValidationError("items are not accepted", wrong, kind)
    return made(done)


def _union(converter: Converter, value: Any, kind: Any) -> Any:
    choices = [choice for choice in typing.get_args(kind) if choice is not types.NoneType]
    if value is None and len(choices) < len(typing.get_args(kind)):
        return None
    if len(choices) == 1:
        return converter.structure(value, choices[0])
    for choice in choices:
        if isinstance(choice, type) and isinstance(value, choice) and attrs.has(choice):
            return value
    records: dict[str, Any] = {getattr(choice, "TYPE", ""): choice for choice in choices if attrs.has(choice)}
    if records and isinstance(value, Mapping):
        return _chosen(converter, value, records)
    words = []
    for choice in choices:
        try:
            return converter.structure(value, choice)
        except RefusedError as refused:
            words.append(refused.accepted)
        except Exception:
            if isinstance(value, list | tuple | Mapping):  # the shape fits: what is inside does not
                raise
    raise RefusedError(value, " or ".join(words) or "of another kind")


def _chosen(converter: Converter, value: Mapping[str, Any], records: Mapping[str, Any]) -> Any:
    tag = value.get("type", attrs.NOTHING)
    chosen = records.get(tag) if isinstance(tag, str) else None
    if chosen is None:
        raise RefusedError(tag, _choices(sorted(records), tag), tail=".type")
    return converter.structure({key: item for key, item in value.items() if key != "type"}, chosen)


@functools.cache
def _fields(cls: Any) -> dict[str, attrs.Attribute[Any]]:
    """What a record takes, by the key it has in a file."""
    return {field.alias: field for field in attrs.fields(attrs.resolve_types(cls)) if field.init}


def _record(converter: Converter, value: Any, cls: Any) -> Any:
    """One record: every field is structured and validated, whatever is wrong with the others."""
    from cattrs import ClassValidationError

    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise RefusedError(value, "a table with text keys")
    fields = _fields(cls)
    wrong: list[Exception] = []
    given: dict[str, Any] = {}
    for key, field in fields.items():
        try:
            if key in value:
                given[key] = _field(converter, value[key], cls, field)
            elif field.default is attrs.NOTHING:
                raise RefusedError(attrs.NOTHING, "given")
        except Exception as error:
            wrong.append(_at(error, key, field.type))
    unknown = [key for key in value if key not in fields]
    wrong += [_at(_unknown(key, fields, meant=n < _MOST_MEANT), key, None) for n, key in enumerate(unknown)]
    if not wrong:
        try:
            return cls(**given)
        except ConfigError as error:
            wrong.append(error)
    raise ClassValidationError(f"{cls.__name__} is not accepted", wrong, cls)


def _field(converter: Converter, value: Any, cls: Any, field: attrs.Attribute[Any]) -> Any:
    kind: Any = field.type
    made = converter.structure(value, Any if kind is None else kind)
    convert: Any = field.converter
    validator: Any = field.validator
    checked = made if convert is None else convert(made)
    if validator is not None:
        validator(cls.__new__(cls), field, checked)  # only the class of the owner is looked at
    return made


def _unknown(key: str, fields: Mapping[str, Any], *, meant: bool) -> RefusedError:
    near = nearest(key, fields) if meant else ""
    guess = f"; did you mean {near!r}?" if near else ""
    return RefusedError(key, f"a known key ({', '.join(sorted(fields)) or 'there is none'}{guess})")


def _at(error: Exception, key: str, kind: Any) -> Exception:
    from cattrs.errors import AttributeValidationNote

    error.__notes__ = [*getattr(error, "__notes__", []), AttributeValidationNote(f"at {key}", key, kind)]
    return error
