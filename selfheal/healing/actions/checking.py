"""What is asked of an action before it is taken in: seen at registration, not in the middle of a healing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.healing.actions.protocol import Action, BaseAction, Effect, LeverNeed, Repeat

_STEPS = ("plan", "run", "probe", "verify", "rollback")


def checked(given: object) -> Action:
    """An action, or an instance of a class of one, after a look at what it declares.

    Raises:
        ConfigError: if it is none, or declares something that cannot be.
    """
    if isinstance(given, type):
        given = _made(given)
    where = f"action {getattr(given, 'name', None) or given!r}"
    if not isinstance(given, Action):
        lacking = [name for name in (*_STEPS, *_DECLARED) if not hasattr(given, name)]
        raise ConfigError(where, given, f"an action; it lacks {', '.join(lacking)}; build on BaseAction")
    for name, (accepts, accepted) in _DECLARED.items():
        value = getattr(given, name)
        if not accepts(value):
            raise ConfigError(f"{where}: {name}", value, accepted)
    for step in _STEPS:
        refuse_async(getattr(given, step), f"{where}: {step}")
    lacking = [step for step in ("plan", "rollback") if _inherits(given, step)]
    if given.effect is Effect.REVERSIBLE and lacking:
        accepted = f"given by an action that is reversible; or declare it {Effect.IRREVERSIBLE}"
        raise ConfigError(f"{where}: {' and '.join(lacking)}", "nothing of its own", accepted)
    return given


def refuse_async(function: object, where: str) -> None:
    """Refuse coroutine functions: an action runs in a thread.

    Raises:
        ConfigError: if it is one.
    """
    call = getattr(type(function), "__call__", None)  # noqa: B004 - of a callable object, the method that is called
    if inspect.iscoroutinefunction(inspect.unwrap(_bare(function))) or inspect.iscoroutinefunction(call):
        raise ConfigError(where, function, "a plain function: actions run in threads; call asyncio.run() in it")


def _bare(function: Any) -> Any:
    while hasattr(function, "func") and not inspect.isfunction(function):  # functools.partial
        function = function.func
    return function


def _made(kind: type) -> object:
    try:
        return kind()
    except TypeError as error:
        raise ConfigError(
            f"action {kind.__name__}", str(error), "a class made without arguments; or an instance"
        ) from None


def _inherits(action: object, step: str) -> bool:
    return getattr(type(action), step, None) is getattr(BaseAction, step)


def a_name(value: object) -> bool:
    """Whether this can be the name of an action: a word in a file and in a journal."""
    return isinstance(value, str) and 0 < len(value) <= 100 and value.replace("-", "_").replace(".", "_").isidentifier()


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3600


def _needs(value: object) -> bool:
    if not isinstance(value, tuple) or not all(isinstance(need, LeverNeed) for need in value):
        return False
    roles = [need.role for need in value]
    checkable = all(getattr(need.protocol, "_is_runtime_protocol", not _protocol(need.protocol)) for need in value)
    return len(set(roles)) == len(roles) and checkable


def _protocol(kind: object) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


_DECLARED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (a_name, "a word of letters, digits, '_', '-' and '.', at most 100"),
    "effect": (lambda value: isinstance(value, Effect), "an Effect"),
    "destructive": (lambda value: isinstance(value, bool), "True or False"),
    "timeout": (_seconds, "seconds, more than 0 and at most 3600"),
    "needs": (_needs, "a tuple of LeverNeed, each role once, the protocols runtime-checkable"),
    "params": (lambda value: isinstance(value, type) and attrs.has(value), "an attrs class"),
    "repeat": (lambda value: isinstance(value, Repeat), "a Repeat"),
}
