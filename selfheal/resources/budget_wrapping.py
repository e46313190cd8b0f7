"""Functions whose calls are admitted by a resource budget first."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from selfheal.errors import ConfigError
from selfheal.resources.criticality import Criticality


class Admitting(Protocol):
    """What a guarded function asks."""

    def admit(
        self, criticality: Criticality | str | None = None, timeout: float | None = None, *, name: str = ""
    ) -> None:
        """Return when the work may begin, blocking."""

    async def aadmit(
        self, criticality: Criticality | str | None = None, timeout: float | None = None, *, name: str = ""
    ) -> None:
        """Return when the work may begin, suspending."""


def guarded(
    budget: Admitting,
    fn: Callable[..., Any],
    criticality: Criticality | None,
    timeout: float | None,
    name: str,
) -> Callable[..., Any]:
    """``fn``, asking ``budget`` first: sync or async as it is. Generators are admitted at their first item.

    Raises:
        ConfigError: if ``fn`` is no function.
    """
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(guarded(budget, fn.__func__, criticality, timeout, name))
    kind = deciding_function(fn)
    if kind is None:
        raise ConfigError("the target of a resource budget", fn, "a function or a coroutine function")
    called = name or getattr(fn, "__qualname__", type(fn).__name__)

    def plain(*args: Any, **kwargs: Any) -> Any:
        budget.admit(criticality, timeout, name=called)
        return fn(*args, **kwargs)

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await budget.aadmit(criticality, timeout, name=called)
        return await fn(*args, **kwargs)

    def generator(*args: Any, **kwargs: Any) -> Any:
        budget.admit(criticality, timeout, name=called)
        return (yield from fn(*args, **kwargs))

    if inspect.isasyncgenfunction(kind):
        raise ConfigError("the target of a resource budget", fn, "no async generator: await aadmit() inside it")
    if inspect.isgeneratorfunction(kind):
        return functools.update_wrapper(generator, fn)
    return functools.update_wrapper(coroutine if inspect.iscoroutinefunction(kind) else plain, fn)


def deciding_function(fn: Any) -> Any:
    """The function that decides what kind ``fn`` is of: looks through partials; ``None`` for others."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not callable(fn) or inspect.isroutine(fn) or isinstance(fn, type):
        return fn if callable(fn) else None
    return type(fn).__call__
