"""How large and how odd what a file holds may be: looked at before anything else is made of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import attrs

from selfheal.errors import ConfigError, ConfigProblem

MOST_VALUES = 2_000
MOST_IN_TABLE = 100
MOST_IN_LIST = 1_000
DEEPEST = 16
LONGEST_TEXT = 10_000
LONGEST_KEY = 200
MOST_DIGITS = 64  # bits of an integer: what every reader of JSON can hold

_MAY_BE_CONDITION = re.compile("[<>=]|label").search

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


class Shortened(str):
    """Something found in a file that is too large to be shown, in words."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def measured(value: object) -> tuple[int, ConfigProblem | None]:
    """How much it is to read, and the first thing in it that no strategy may hold, by its path from here on.

    Each value counts one, and text one more for each 32 characters; for each four if it may be a condition.
    """
    much = _counted(value)
    return (much, None) if much else _looked_at(value)


def shape_problem(value: object, where: str) -> ConfigProblem | None:
    """The first thing that no strategy may hold: too much, too deep, too long, or nothing that JSON has.

    Takes time in proportion to what is looked at, and looks at no more than is accepted.
    """
    problem = measured(value)[1]
    return None if problem is None else problem._replace(where=where + problem.where)


def _counted(value: object) -> int:
    """How much it is to read; 0 if anything in it is out of the common, so that it has to be looked at closely."""
    seen, weight, layer = 1, 0, [value]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for item in layer:
            if isinstance(item, str):
                if not _is_common(item, LONGEST_TEXT):
                    return 0
                weight += _weight(item)
            elif not _is_number(item):
                inside = _inside(item)
                if inside is None or seen + len(below) + len(inside) > MOST_VALUES:
                    return 0
                below += inside
        if not below:
            return seen + weight
        seen, layer = seen + len(below), below
    return 0


def _inside(item: object) -> Collection[object] | None:
    """What is in a table or list; ``None`` if it is neither, or its size or its keys are out of the common."""
    if type(item) is list:
        return item if len(item) <= MOST_IN_LIST else None
    if type(item) is not dict or len(item) > MOST_IN_TABLE:
        return None
    for key in item:
        if type(key) is not str or not _is_common(key, LONGEST_KEY):
            return None
    return item.values()


def _is_number(item: object) -> bool:
    """Whether it is a number that every reader of JSON can hold, true, false or nothing."""
    if type(item) is float:
        return math.isfinite(item)
    return item is None or (isinstance(item, int) and item.bit_length() <= MOST_DIGITS)


def _is_common(text: str, longest: int) -> bool:
    return len(text) <= longest and _is_unicode(text)


def _looked_at(value: object) -> tuple[int, ConfigProblem | None]:
    """The same with the path of what is wrong."""
    seen, weight = 0, 0
    waiting: list[tuple[object, str, int]] = [(value, "", 0)]
    while waiting:
        item, path, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            problem = ConfigProblem("", Shortened(f"more than {MOST_VALUES}"), f"of at most {MOST_VALUES} values")
            return seen, problem
        found = _leaf_problem(item, path)
        if found is None and isinstance(item, Mapping | list | tuple):
            found = _table_problem(item, path) if isinstance(item, Mapping) else _list_problem(item, path)
            if found is None and depth == DEEPEST and item:
                found = ConfigProblem("", Shortened("more"), f"nested at most {DEEPEST} levels deep")
        if found is not None:
            return seen + weight, found
        if isinstance(item, str):
            weight += _weight(item)
        elif isinstance(item, Mapping):
            waiting += [(inner, f"{path}.{key}", depth + 1) for key, inner in item.items()]
        elif isinstance(item, list | tuple):
            waiting += [(inner, f"{path}[{index}]", depth + 1) for index, inner in enumerate(item)]
    return seen + weight, None


def _weight(text: str) -> int:
    return len(text) // (4 if _MAY_BE_CONDITION(text) else 32)


def _leaf_problem(item: object, path: str) -> ConfigProblem | None:
    if isinstance(item, str):
        if len(item) > LONGEST_TEXT:
            accepted = f"at most {LONGEST_TEXT} characters long"
            return ConfigProblem(path, Shortened(f"{len(item)} characters"), accepted)
        if not _is_unicode(item):
            return ConfigProblem(path, ascii(item[:100]), "text without half characters (lone surrogates)")
    elif isinstance(item, float) and not math.isfinite(item):
        return ConfigProblem(path, item, "a finite number")
    elif isinstance(item, int) and item.bit_length() > MOST_DIGITS:
        found = Shortened(f"an integer of {item.bit_length()} bits")
        return ConfigProblem(path, found, f"a number of at most {MOST_DIGITS} bits")
    elif item is not None and not isinstance(item, str | bool | int | float | Mapping | list | tuple):
        found = Shortened(f"a value of type {type(item).__name__}")
        return ConfigProblem(path, found, "text, a number, true or false, a list or a table")
    return None


def _table_problem(item: Mapping[Any, Any], path: str) -> ConfigProblem | None:
    if len(item) > MOST_IN_TABLE:
        return ConfigProblem(path, Shortened(f"{len(item)} keys"), f"a table of at most {MOST_IN_TABLE} keys")
    for key in item:
        if not isinstance(key, str) or len(key) > LONGEST_KEY or not _is_unicode(key):
            found = ascii(key[:40]) if isinstance(key, str) else Shortened(f"a key that is a {type(key).__name__}")
            return ConfigProblem(path, found, f"a table whose keys are text of at most {LONGEST_KEY} characters")
    return None


def _list_problem(item: list[Any] | tuple[Any, ...], path: str) -> ConfigProblem | None:
    if len(item) > MOST_IN_LIST:
        return ConfigProblem(path, Shortened(f"{len(item)} items"), f"a list of at most {MOST_IN_LIST} items")
    return None


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shortened(problem: ConfigProblem) -> ConfigProblem:
    """The problem with what was found in a form that can be shown: not deep, and of at most some 200 characters."""
    found = problem.found
    if isinstance(found, Mapping):
        found = Shortened(f"a table of {len(found)} keys") if found else found
    elif isinstance(found, list | tuple):
        found = Shortened(f"a list of {len(found)} items") if found else found
    elif isinstance(found, str) and len(found) > 200 and not isinstance(found, Shortened):
        found = Shortened(f"{found[:150]!r} and {len(found) - 150} characters more")
    return problem._replace(found=found)


def listed(given: object) -> Any:
    """A tuple of what is given; text is left as it is, for the validator to refuse."""
    if type(given) is tuple:
        return given
    return given if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)


def copied(given: object) -> Any:
    """A table of one's own; anything else is left as it is, for the validator to refuse."""
    return dict(given) if type(given) is dict or isinstance(given, Mapping) else given


def text(longest: int, *, empty: bool = False, lines: bool = False) -> Validator:
    """Accept text that can be printed, of so many characters at most.

    Args:
        longest: characters at most.
        empty: accept none, too.
        lines: accept line breaks and tabs, too.
    """
    least = "" if empty else "of at least one character, "
    accepted = f"text {least}of at most {longest} printable characters" + (" and line breaks" if lines else "")

    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if not _is_text(value, longest, empty=empty, lines=lines):
            raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted)

    return check


def _is_text(value: object, longest: int = 200, *, empty: bool = False, lines: bool = False) -> bool:
    if not isinstance(value, str) or len(value) > longest or not (value.strip() or (empty and not value)):
        return False
    return (value.translate({9: None, 10: None, 13: None}) if lines else value).isprintable()


def names(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept a list of names."""
    _each_name(owner, field, value, "names")


def patterns(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept a list of names in which ``*`` stands for any text."""
    _each_name(owner, field, value, "names, with * for any text")


def _each_name(owner: object, field: attrs.Attribute[Any], value: Any, what: str) -> None:
    if value == ():
        return
    where = f"{type(owner).__name__}.{field.name}"
    if not isinstance(value, tuple) or len(value) > MOST_IN_LIST:
        raise ConfigError(where, value, f"a list of at most {MOST_IN_LIST} {what}")
    for index, name in enumerate(value):
        if not _is_text(name) or name != name.strip():
            raise ConfigError(f"{where}[{index}]", name, "1 to 200 printable characters without blanks around them")
    if len(set(value)) < len(value):
        raise ConfigError(where, value, f"a list of different {what}")


def words(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept a table of text to text."""
    if type(value) is dict and not value:
        return
    where = f"{type(owner).__name__}.{field.name}"
    if not isinstance(value, Mapping) or len(value) > MOST_IN_TABLE:
        raise ConfigError(where, value, f"a table of at most {MOST_IN_TABLE} texts")
    for key, word in value.items():
        if not _is_text(key) or not _is_text(word, empty=field.name == "labels"):
            raise ConfigError(where, {key: word}, "a table of texts of at most 200 printable characters")


def json_values(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept a table of what JSON has, of limited size."""
    if type(value) is dict and not value:
        return
    where = f"{type(owner).__name__}.{field.name}"
    if not isinstance(value, Mapping):
        raise ConfigError(where, value, "a table")
    problem = shape_problem(value, where)
    if problem is not None:
        raise ConfigError(*problem)
