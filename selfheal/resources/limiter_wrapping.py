"""Functions whose calls take tokens first."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from selfheal.errors import ConfigError


class Limiting(Protocol):
    """What a wrapped function asks."""

    def acquire(self, n: float = 1, key: Hashable = None, timeout: float | None = None) -> None:
        """Take tokens, blocking."""

    async def aacquire(self, n: float = 1, key: Hashable = None, timeout: float | None = None) -> None:
        """Take tokens, suspending."""


def limited(
    limiter: Limiting, n: float, key: Callable[..., Hashable] | None, timeout: float | None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that has each call take ``n`` tokens of ``key(*args, **kwargs)`` first."""

    def wrap(fn: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(fn, staticmethod | classmethod):
            return type(fn)(wrap(fn.__func__))
        kind = _deciding_function(fn)
        if kind is None or inspect.isasyncgenfunction(kind):
            raise ConfigError("the target of a rate limiter", fn, "a function or a coroutine function")
        guarded = _async(fn) if inspect.iscoroutinefunction(kind) else _sync(fn)
        return functools.update_wrapper(guarded, fn)

    def _sync(fn: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            limiter.acquire(n, None if key is None else key(*args, **kwargs), timeout)
            return fn(*args, **kwargs)

        return guarded

    def _async(fn: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            await limiter.aacquire(n, None if key is None else key(*args, **kwargs), timeout)
            return await fn(*args, **kwargs)

        return guarded

    return wrap


def _deciding_function(fn: Any) -> Any:
    """The function that decides what kind ``fn`` is of: looks through partials and ``__call__``."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isroutine(fn) or isinstance(fn, type):
        return fn
    return type(fn).__call__ if callable(fn) else None
