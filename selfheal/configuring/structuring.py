"""Plain data turned into frozen records, all problems told at once."""

from __future__ import annotations

import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from selfheal.configuring.likeness import nearest
from selfheal.configuring.recording import Recording
from selfheal.configuring.refusals import InsideError, RefusedError, placed, problems_of
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

Hook = Callable[[Any, Any], Any]
"""Makes a value of plain data; called with the data and the type that is asked for."""

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
        converter.register_structure_hook(kind, _plain_of(kind))
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook_func(_is_enum, _member)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(lambda kind: kind is Any or kind is object, lambda value, _: value)
    converter.register_structure_hook_factory(_is_many, functools.partial(_many_of, converter))
    converter.register_structure_hook_factory(_is_union, functools.partial(_union_of, converter))
    converter.register_structure_hook_factory(attrs.has, functools.partial(Recording, converter))
    converter.register_structure_hook_factory(_is_own, _own_of)
    return converter


def _plain_of(kind: type) -> Hook:
    accepted, words = _PLAIN[kind]

    def plain(value: Any, asked: Any) -> Any:
        if asked is not kind:  # an enum of text or numbers comes here by its base
            return _member(value, asked)
        if type(value) is kind and kind is not float:
            return value
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise RefusedError(value, words)
        return _finite(value, words) if kind is float else value

    return plain


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


def _own_of(kind: Any) -> Hook:
    make = next(mark.make for mark in kind.__metadata__ if isinstance(mark, StructuredBy))

    def own(value: Any, asked: Any) -> Any:
        """What the type's own way makes of a value; what it refuses is placed by whoever holds the value."""
        try:
            return make(value)
        except InvalidConfigError as error:
            raise InsideError(error.problems) from None
        except ConfigError as error:
            raise InsideError((ConfigProblem("", error.found, error.accepted, error.default),)) from None

    return own


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


def _many_of(converter: Converter, kind: Any) -> Hook:
    origin = typing.get_origin(kind)
    return _table_of(converter, kind) if issubclass(origin, Mapping) else _list_of(converter, kind, origin)


def _table_of(converter: Converter, kind: Any) -> Hook:
    inner = (typing.get_args(kind) or (str, Any))[1]
    hook = converter.get_structure_hook(inner)

    def table(value: Any, asked: Any) -> Any:
        if not _is_table(value):
            raise RefusedError(value, "a table with text keys")
        return dict(_each(hook, value.items(), inner, kind)) if value else {}

    return table


def _list_of(converter: Converter, kind: Any, origin: type) -> Hook:
    inner = next((arg for arg in typing.get_args(kind) if arg is not ...), Any)
    hook = converter.get_structure_hook(inner)
    made = origin if origin in (list, set, frozenset) else tuple

    def many(value: Any, asked: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise RefusedError(value, "a list")
        return made([item for _, item in _each(hook, enumerate(value), inner, kind)])

    return many


def _is_table(value: Any) -> bool:
    return (type(value) is dict or isinstance(value, Mapping)) and all(isinstance(key, str) for key in value)


def _each(hook: Hook, items: Iterable[tuple[Any, Any]], inner: Any, kind: Any) -> list[tuple[Any, Any]]:
    done, wrong = [], []
    for key, item in items:
        try:
            done.append((key, hook(item, inner)))
        except Exception as error:
            wrong.append(placed(error, key))
    if wrong:
        from cattrs import IterableValidationError

        raise IterableValidationError("items are not accepted", wrong, kind)
    return done


def _union_of(converter: Converter, kind: Any) -> Hook:
    choices = [choice for choice in typing.get_args(kind) if choice is not types.NoneType]
    optional = len(choices) < len(typing.get_args(kind))
    only = choices[0]
    hook = converter.get_structure_hook(only) if len(choices) == 1 else None

    def union(value: Any, asked: Any) -> Any:
        if value is None and optional:
            return None
        return _one_of(converter, value, choices) if hook is None else hook(value, only)

    return union


def _one_of(converter: Converter, value: Any, choices: Sequence[Any]) -> Any:
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
    raise RefusedError(value, " or ".join(dict.fromkeys(words)) or "of another kind")


def _chosen(converter: Converter, value: Mapping[str, Any], records: Mapping[str, Any]) -> Any:
    tag = value.get("type", attrs.NOTHING)
    chosen = records.get(tag) if isinstance(tag, str) else None
    if chosen is None:
        raise RefusedError(tag, _choices(sorted(records), tag), tail=".type")
    return converter.structure({key: item for key, item in value.items() if key != "type"}, chosen)
