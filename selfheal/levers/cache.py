"""One handle for caches of every kind: look, clear, switch on and off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, LeverUnsupportedError
from selfheal.events import DEFAULT_BUS, EventBus, LeverMoved
from selfheal.levers.cache_directory import CacheDirectory
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.validators import a_callable
from selfheal.validators import name as a_name

TEMPORARY = ("*.tmp", "*.temp", "*.part", ".tmp*", "*~")
"""Names of temporary files."""


@runtime_checkable
class Switchable(Protocol):
    """A cache that can be switched by itself: a :class:`SwitchableCache`, or alike."""

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""

    def enable(self) -> object:
        """Switch it on."""

    def disable(self) -> object:
        """Switch it off."""

    def clear(self) -> object:
        """Forget all."""


@attrs.frozen(kw_only=True)
class _Named:
    name: str = attrs.field(validator=a_name)
    switch: Callable[[bool], object] | None = attrs.field(validator=a_callable(optional=True))


@attrs.frozen(kw_only=True)
class DirectoryCacheConfig:
    """A directory as a cache, from a settings file.

    Args:
        name: for reports and events.
        directory: below ``root``.
        root: an existing directory that is never left.
        temporary: patterns of names of temporary files.
    """

    name: str = attrs.field(validator=a_name)
    directory: Path
    root: Path
    temporary: tuple[str, ...] = TEMPORARY


class CacheControl:
    """Clears, measures and switches a cache, whatever it is made of.

    >>> import functools
    >>> @functools.lru_cache
    ... def square(x: int) -> int:
    ...     return x * x
    >>> control = CacheControl("squares", square)
    >>> square(3), control.size().entries, control.clear().entries
    (9, 1, 1)

    Args:
        name: for reports and events.
        cache: one of: a function decorated by ``functools.cache`` or ``lru_cache``, or by ``cachetools.cached``; a
            :class:`SwitchableCache`; a mutable mapping, caches of cachetools among them; a path to a directory.
        root: for a directory: the directory that is never left.
        switch: called with ``True`` or ``False`` to switch a cache that cannot be switched by itself.
        enabled: whether such a cache is on at the start.
        lock: held while a mapping is cleared or counted, where it is not safe under threads by itself.
        temporary: patterns of names of temporary files, for :meth:`clean_temp`.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.LeverMoved` is published.

    Raises:
        ConfigError: if it is none of these, or the directory is not below its root.
    """

    def __init__(
        self,
        name: str,
        cache: object,
        *,
        root: Path | str | None = None,
        switch: Callable[[bool], object] | None = None,
        enabled: bool = True,
        lock: contextlib.AbstractContextManager[Any] | None = None,
        temporary: tuple[str, ...] = TEMPORARY,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> None:
        self.name = _Named(name=name, switch=switch).name
        self._cache = self._kind(cache, root)
        self._switch = switch
        self._enabled = enabled
        self._lock = lock
        self._temporary = tuple(temporary)
        self._clock, self._events = clock, events

    @classmethod
    def from_config(
        cls,
        settings: Mapping[str, Any],
        where: str = "levers.cache_directory",
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> CacheControl:
        """Make one for a directory of plain data, whose keys are those of :class:`DirectoryCacheConfig`.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        given = structure(settings, DirectoryCacheConfig, where)
        try:
            return cls(
                given.name, given.directory, root=given.root, temporary=given.temporary, clock=clock, events=events
            )
        except ConfigError as error:
            key = {"CacheControl.root": "root", "CacheControl.cache": "directory"}.get(error.where, "name")
            raise ConfigError(f"{where}.{key}", error.found, error.accepted, error.default) from None

    @staticmethod
    def _kind(cache: object, root: Path | str | None) -> Any:
        if isinstance(cache, Path | str):
            if root is None:
                raise ConfigError("CacheControl.root", None, "given for a directory: it is never left")
            return CacheDirectory(cache, root)
        if callable(getattr(cache, "cache_clear", None)) or isinstance(cache, MutableMapping | Switchable):
            return cache
        accepted = "a cached function, a switchable cache, a mutable mapping or a path to a directory"
        raise ConfigError("CacheControl.cache", cache, accepted)

    @property
    def enabled(self) -> bool:
        """Whether the cache is on."""
        return self._cache.enabled if isinstance(self._cache, Switchable) else self._enabled

    def enable(self, reason: str = "", by: str = "") -> bool:
        """Switch the cache on; tell whether it was off.

        Raises:
            LeverUnsupportedError: if it cannot be switched.
        """
        return self._turn(True, reason, by)

    def disable(self, reason: str = "", by: str = "") -> bool:
        """Switch the cache off and clear it; tell whether it was on.

        Raises:
            LeverUnsupportedError: if it cannot be switched.
        """
        return self._turn(False, reason, by)

    def clear(self, reason: str = "", by: str = "") -> ClearReport:
        """Empty the cache. Of a directory what could not be removed is in the report.

        Raises:
            OSError: if a directory cannot be opened; a link in its path counts as that.
        """
        report = self._cleared()
        self._tell("clear", _in_words(report), reason, by)
        return report

    def size(self) -> CacheSize:
        """How much it holds.

        Raises:
            OSError: if a directory cannot be opened.
        """
        if isinstance(self._cache, CacheDirectory):
            return self._cache.size()
        return CacheSize(entries=self._entries())

    def clean_temp(self, older_than: float = 3600.0, reason: str = "", by: str = "") -> ClearReport:
        """Remove temporary files of a directory that were not changed for ``older_than`` seconds.

        Raises:
            LeverUnsupportedError: if the cache is no directory.
            ConfigError: if ``older_than`` is not 0 or more seconds.
            OSError: if the directory cannot be opened.
        """
        if isinstance(older_than, bool) or not 0 <= older_than < 1e12:
            raise ConfigError("older_than of CacheControl.clean_temp", older_than, "0 or more seconds", "3600.0")
        if not isinstance(self._cache, CacheDirectory):
            raise LeverUnsupportedError(self.name, "clean temporary files", "only a directory has them")
        report = self._cache.clean(self._temporary, self._clock.wall() - older_than)
        self._tell("clean_temp", _in_words(report), reason, by)
        return report

    def __repr__(self) -> str:
        return f"<CacheControl {self.name!r}>"

    def _turn(self, on: bool, reason: str, by: str) -> bool:
        was = self.enabled
        if isinstance(self._cache, Switchable):
            _ = self._cache.enable() if on else self._cache.disable()
        elif self._switch is not None:
            self._switch(on)
            self._enabled = on
            if not on:
                self._cleared()
        else:
            instead = "pass switch= to CacheControl, or use a SwitchableCache"
            raise LeverUnsupportedError(self.name, "enable" if on else "disable", instead)
        if was is not on:
            self._tell("enable" if on else "disable", "", reason, by)
        return was is not on

    def _cleared(self) -> ClearReport:
        cache = self._cache
        if isinstance(cache, CacheDirectory):
            return cache.clear()
        with self._lock or contextlib.nullcontext():
            entries = self._count()
            _ = cache.cache_clear() if hasattr(cache, "cache_clear") else cache.clear()
        return ClearReport(entries=entries)

    def _entries(self) -> int:
        with self._lock or contextlib.nullcontext():
            return self._count()

    def _count(self) -> int:
        cache = self._cache
        if callable(getattr(cache, "cache_info", None)):
            return int(cache.cache_info().currsize)
        if isinstance(getattr(cache, "cache", None), MutableMapping):  # decorated by cachetools
            return len(cache.cache)
        return int(cache.size().entries) if isinstance(cache, Switchable) and hasattr(cache, "size") else len(cache)

    def _tell(self, move: str, detail: str, reason: str, by: str) -> None:
        at = self._clock.wall()
        self._events.publish(
            LeverMoved(kind="cache", lever=self.name, move=move, detail=detail, reason=reason, by=by, at=at)
        )


def _in_words(report: ClearReport) -> str:
    told = f"{report.entries} entries" + ("" if report.bytes is None else f", {report.bytes} bytes")
    return f"{told}, {report.failures} could not be removed" if report.failures else told
