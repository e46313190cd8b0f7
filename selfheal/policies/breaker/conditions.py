"""Does an error meet a condition? And what does it say about when to come back?"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

logger = logging.getLogger("selfheal.breaker")

Condition = str | type[BaseException] | Callable[[BaseException], object]
"""A text in the message, a type, or a callable that is given the error."""

_LONGEST_TEXT = 500
_DEEPEST = 32
"""Errors looked at in one chain: a chain that runs in a circle, or has grown for ever, ends here."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error``, then what caused it (``__cause__``, ``__context__``, members of a group)."""
    seen: set[int] = set()
    todo = [error]
    while todo and len(seen) < _DEEPEST:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            todo.extend(one.exceptions)
        if one.__cause__ is not None:
            todo.append(one.__cause__)
        elif one.__context__ is not None and not one.__suppress_context__:
            todo.append(one.__context__)


def meets(error: BaseException, condition: Condition, *, if_broken: bool = False) -> bool:
    """Tell whether ``error``, taken alone, meets ``condition``.

    Args:
        error: what was raised.
        condition: a text, a type or a callable.
        if_broken: the answer where a callable condition itself raises.
    """
    if isinstance(condition, str):
        return condition.casefold() in brief(error, str).casefold()
    if isinstance(condition, type):
        return isinstance(error, condition)
    return bool(ask(condition, error, if_broken))


def ask(question: Callable[[Any], Any], about: object, if_broken: object) -> Any:
    """Put a question of the host's: what it raises is logged and never reaches the guarded caller."""
    try:
        return question(about)
    except Exception:
        logger.exception("%s raised; its answer is taken as %r", describe(question), if_broken)
        return if_broken


def first_met(error: BaseException, conditions: Iterable[Condition]) -> str | None:
    """Name the first condition that ``error``, or an error in its chain, meets.

    Returns:
        The condition and the error that met it as a person reads them, or ``None``.
    """
    errors = list(chain(error))
    for condition in conditions:
        for one in errors:
            if meets(one, condition):
                return f"{describe(condition)}: {tell(one)}"
    return None


def tell(error: BaseException) -> str:
    """An error as one line: its type and its text."""
    return f"{type(error).__name__}: {brief(error, str)}"


def describe(condition: Condition | Callable[[Any], Any]) -> str:
    """A condition as a person reads it."""
    if isinstance(condition, str):
        return f"message contains {condition!r}"
    return f"{getattr(condition, '__qualname__', None) or repr(condition)}"


def brief(value: object, text: Callable[[Any], str] = repr) -> str:
    """A value as text that is short and can always be made."""
    try:
        told = text(value)
    except Exception:  # a value that cannot tell itself is named by its type
        told = f"<{type(value).__name__}>"
    return told if len(told) <= _LONGEST_TEXT else told[:_LONGEST_TEXT] + "…"


def read_retry_after(error: BaseException, wall: float) -> float | None:
    """Seconds that ``error`` asks us to stay away, where it says so.

    Looks at an attribute ``retry_after`` (seconds) and at a ``Retry-After`` header (seconds, or a date
    as of RFC 9110) in ``headers`` of the error or of its ``response``.

    Args:
        error: what a call raised.
        wall: the time now, seconds since 1970 UTC, which a date is measured from.

    Returns:
        Seconds, 0 or more, or ``None`` where nothing is said or it cannot be understood.
    """
    found = getattr(error, "retry_after", None)
    if found is None:
        found = _header(error) or _header(getattr(error, "response", None))
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        seconds = float(found)
    except ValueError:
        seconds = _until(str(found), wall)
    return seconds if 0 <= seconds < math.inf else None


def _header(holder: object) -> object:
    get = getattr(getattr(holder, "headers", None), "get", None)
    return (get("Retry-After") or get("retry-after")) if callable(get) else None


def _until(date: str, wall: float) -> float:
    """Seconds from ``wall`` to an HTTP date; 0 once it has passed; ``nan`` if it is none."""
    from email.utils import parsedate_to_datetime

    try:
        return max(parsedate_to_datetime(date).timestamp() - wall, 0.0)
    except ValueError:
        return math.nan
