"""What the workers of a pool run: a function, named so that another process finds it."""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import re
from collections.abc import Callable
from typing import Any

from selfheal.errors import ConfigError

_LONGEST_TEXT = 500
_PATH = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_NAMED = re.compile(rf"{_PATH}:{_PATH}")


def name_of(target: object) -> str:
    """The target as ``module:function``.

    Raises:
        ConfigError: if it is neither such a text nor a function that can be imported by its name.
    """
    accepted = "'module:function', or a function that can be imported from its module"
    if isinstance(target, str):
        if not _NAMED.fullmatch(target):
            raise ConfigError("WorkerPool.target", target, accepted)
        return target
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    named = f"{module}:{name}"
    if not callable(target) or not _NAMED.fullmatch(named):
        raise ConfigError("WorkerPool.target", target, accepted)
    if module == "__main__":
        raise ConfigError("WorkerPool.target", named, "in a module of its own: a worker cannot import the main script")
    return named


def load(target: str) -> Callable[[Any], Any]:
    """Import what ``module:function`` names.

    Raises:
        ConfigError: if there is no such function.
    """
    module, _, name = target.partition(":")
    try:
        found = operator.attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ConfigError("WorkerPool.target", target, f"there to be imported ({error})") from error
    if not callable(found):
        raise ConfigError("WorkerPool.target", target, "a function")
    made: Callable[[Any], Any] = found
    return made


def runner(target: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What does one task and answers its result; a coroutine function is run to its end."""
    fn = load(target) if isinstance(target, str) else target
    if not inspect.iscoroutinefunction(inspect.unwrap(fn)):
        return fn
    return functools.partial(_run, fn)


def _run(fn: Callable[[Any], Any], payload: Any) -> Any:
    import asyncio

    return asyncio.run(fn(payload))


def text_of(error: BaseException) -> str:
    """An error in one line of bounded length."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception as unspeakable:
        text = f"{type(error).__name__} (its text cannot be had: {type(unspeakable).__name__})"
    return " ".join(text.split())[:_LONGEST_TEXT]
