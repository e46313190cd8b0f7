"""A memoising decorator that can be switched on and off while it runs."""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ParamSpec, TypeVar

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError
from selfheal.forking import track
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.validators import between, boolean
from selfheal.validators import name as a_name

P = ParamSpec("P")
R = TypeVar("R")

_MISSING: Any = object()


@attrs.frozen(kw_only=True)
class SwitchableCacheConfig:
    """The settings of a :class:`SwitchableCache`.

    Args:
        name: for reports.
        maxsize: results kept at most; the least recently used goes first.
        ttl: seconds a result is good for; ``None``: for ever.
        enabled: whether it is switched on at the start.

    Raises:
        ConfigError: if a value is out of range.
    """

    name: str = attrs.field(default="cache", validator=a_name)
    maxsize: int = attrs.field(default=1024, validator=between(1, 100_000_000))
    ttl: float | None = attrs.field(default=None, validator=between(0.001, 31_536_000.0, "s", optional=True))
    enabled: bool = attrs.field(default=True, validator=boolean)


@attrs.frozen(kw_only=True)
class SwitchableCacheSnapshot:
    """A switchable cache at one moment. Counts are since it was made.

    Args:
        name: of the cache.
        enabled: whether it is switched on.
        entries: results it holds.
        maxsize: results it holds at most.
        hits: calls answered from it.
        misses: calls that were made and kept.
        bypassed: calls made past it: switched off, or with arguments that cannot be a key.
    """

    name: str
    enabled: bool
    entries: int
    maxsize: int
    hits: int
    misses: int
    bypassed: int


class SwitchableCache:
    """Keeps results of functions, bounded in number and age, and can be switched on and off while it runs.

    >>> prices = SwitchableCache("prices", ttl=30)
    >>> @prices
    ... def price(item: str) -> int:
    ...     return len(item)
    >>> price("tea"), price("tea"), prices.snapshot().hits
    (3, 3, 1)

    Coroutine functions keep their result, not the coroutine. What raises is not kept. No lock is held during a
    call, so two callers may compute the same at once. A result that was under way when the cache was cleared
    or switched off is not kept: it may be from before. Arguments of different types are different (``1``,
    ``1.0``, ``True``).

    Args:
        name: for reports.
        maxsize: results kept at most, over all functions it decorates; the least recently used goes first.
        ttl: seconds a result is good for; ``None``: for ever.
        enabled: whether it is switched on at the start.
        clock: the time it goes by.

    Raises:
        ConfigError: if a value is out of range.
    """

    def __init__(
        self,
        name: str = "cache",
        maxsize: int = 1024,
        ttl: float | None = None,
        *,
        enabled: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        config = SwitchableCacheConfig(name=name, maxsize=maxsize, ttl=ttl, enabled=enabled)
        self.name = config.name
        self._config = config
        self._now = clock.monotonic
        self._enabled = enabled
        self._generation = self._hits = self._misses = self._bypassed = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        track(self, SwitchableCache._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(
        cls, settings: Mapping[str, Any], where: str = "levers.cache", *, clock: Clock = SYSTEM_CLOCK
    ) -> SwitchableCache:
        """Make one of plain data, whose keys are those of :class:`SwitchableCacheConfig`.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        given = structure(settings, SwitchableCacheConfig, where)
        return cls(clock=clock, **attrs.asdict(given, recurse=False))

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""
        return self._enabled

    def enable(self) -> bool:
        """Switch it on; tell whether it was off."""
        with self._lock:
            was, self._enabled = self._enabled, True
            return not was

    def disable(self) -> bool:
        """Switch it off and forget all results, so that none is stale later; tell whether it was on."""
        with self._lock:
            was, self._enabled = self._enabled, False
            self._forget()
            return was

    def clear(self) -> ClearReport:
        """Forget all results."""
        with self._lock:
            return ClearReport(entries=self._forget())

    def size(self) -> CacheSize:
        """How many results it holds."""
        return CacheSize(entries=len(self._kept))

    def snapshot(self) -> SwitchableCacheSnapshot:
        """Everything there is to see of it now."""
        with self._lock:
            return SwitchableCacheSnapshot(
                name=self.name,
                enabled=self._enabled,
                entries=len(self._kept),
                maxsize=self._config.maxsize,
                hits=self._hits,
                misses=self._misses,
                bypassed=self._bypassed,
            )

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Keep the results of ``fn``: a function or a coroutine function. Of a method, ``self`` is part of the key.

        Raises:
            ConfigError: if ``fn`` is a generator function, whose result is used up by the first who asks.
        """
        target: Any = fn
        if not callable(target) or inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise ConfigError(f"the target of cache {self.name!r}", fn, "a function or a coroutine function")
        of = next(_numbers)
        guarded = self._async(fn, of) if inspect.iscoroutinefunction(fn) else self._sync(fn, of)
        return functools.update_wrapper(guarded, fn)

    def _sync(self, fn: Callable[..., Any], of: int) -> Callable[..., Any]:
        def cached(*args: Any, **kwargs: Any) -> Any:
            key, generation, result = self._look_up(of, args, kwargs)
            if result is _MISSING:
                result = fn(*args, **kwargs)
                self._keep(key, generation, result)
            return result

        return cached

    def _async(self, fn: Callable[..., Any], of: int) -> Callable[..., Any]:
        async def cached(*args: Any, **kwargs: Any) -> Any:
            key, generation, result = self._look_up(of, args, kwargs)
            if result is _MISSING:
                result = await fn(*args, **kwargs)
                self._keep(key, generation, result)
            return result

        return cached

    def _look_up(self, of: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Hashable, int, Any]:
        """Key, generation and the kept result; no key where the call goes past the cache."""
        key = _key(of, args, kwargs) if self._enabled else None
        with self._lock:
            if key is None or not self._enabled:
                self._bypassed += 1
                return None, 0, _MISSING
            kept = self._kept.get(key)
            if kept is not None and self._now() < kept[1]:
                self._kept.move_to_end(key)
                self._hits += 1
                return key, self._generation, kept[0]
            self._misses += 1
            return key, self._generation, _MISSING

    def _keep(self, key: Hashable, generation: int, result: Any) -> None:
        if key is None:
            return
        until = float("inf") if self._config.ttl is None else self._now() + self._config.ttl
        with self._lock:
            if generation != self._generation or not self._enabled:
                return
            self._kept[key] = (result, until)
            self._kept.move_to_end(key)
            if len(self._kept) > self._config.maxsize:
                self._kept.popitem(last=False)

    def _forget(self) -> int:
        entries = len(self._kept)
        self._kept = OrderedDict()
        self._generation += 1
        return entries

    def _in_child(self) -> None:
        """Make a new lock."""
        self._lock = threading.Lock()


def _key(of: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """What makes two calls the same; ``None`` where an argument cannot be hashed."""
    named = tuple(sorted(kwargs.items()))
    key = (of, args, named, tuple(map(type, args)), tuple(type(value) for _, value in named))
    try:
        hash(key)
    except TypeError:
        return None
    return key


_numbers = itertools.count()
