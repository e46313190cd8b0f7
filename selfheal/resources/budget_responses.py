"""What a resource budget does about the load, beside keeping work waiting; and how each of it is undone.

A response is engaged when the budget reaches the level ``at``, and released when it falls below. The levers are
narrow protocols: selfheal's own fit, and so does anything of the host's with these methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from selfheal.errors import ConfigError
from selfheal.resources.budget_machine import BudgetLevel


class RateLimiting(Protocol):
    """A rate that can be turned: a :class:`~selfheal.resources.RateLimiter`, or alike."""

    @property
    def rate(self) -> float:
        """What it stands at, in whatever unit."""

    def set_rate(self, rate: float, /) -> object:
        """Turn it."""


class Clearing(Protocol):
    """A cache that can be emptied: a ``CacheControl``, a mapping, or alike."""

    def clear(self) -> object:
        """Empty it."""


class Pausing(Protocol):
    """Work by id that can be held back: a :class:`~selfheal.tasks.TaskRegistry`, or alike."""

    def pause(self, id: str, /) -> object:
        """Hold it back; a false answer says that it was held back before."""

    def resume(self, id: str, /) -> object:
        """Let it go on."""


class IntervalRegistry(Protocol):
    """Where a budget has itself called: a :class:`~selfheal.tasks.TaskRegistry`, or alike."""

    def register_interval(self, id: str, fn: Callable[[], Any], every: float, /, *, owner: str | None = None) -> object:
        """Run ``fn`` every so many seconds."""


class BudgetResponse(Protocol):
    """Something to do while a budget is over."""

    @property
    def name(self) -> str:
        """For people, one a budget."""

    @property
    def at(self) -> BudgetLevel:
        """The level from which on it is engaged."""

    def targets(self) -> Sequence[str]:
        """Names of what it touches; it is not engaged while one of them is protected."""

    def engage(self, level: BudgetLevel) -> str:
        """Do it; called again when the level changes and is still ``at`` or above. Return what was done, in words."""

    def release(self) -> str:
        """Undo it; called after a failed or half-done :meth:`engage` too. Return what was done, in words."""


class Throttle:
    """Turns a rate down, and back to where it was.

    Where somebody else turned it meanwhile, theirs stays.

    Args:
        limiter: whose rate.
        slow: share of its rate left at SLOW, more than 0 and at most 1.
        shed: share of its rate left at SHED, at most ``slow``.
        at: level from which on.
        name: of the response; by default that of the limiter.

    Raises:
        ConfigError: if a share is out of range or the limiter cannot be turned.
    """

    def __init__(
        self,
        limiter: RateLimiting,
        *,
        slow: float = 0.5,
        shed: float = 0.2,
        at: BudgetLevel | str = BudgetLevel.SLOW,
        name: str | None = None,
    ) -> None:
        if not callable(getattr(limiter, "set_rate", None)):
            raise ConfigError("Throttle.limiter", limiter, "something with a rate and set_rate(rate)")
        self._limiter = limiter
        self._shares = {BudgetLevel.SLOW: _share("slow", slow, 1.0), BudgetLevel.SHED: _share("shed", shed, slow)}
        self._target = str(getattr(limiter, "name", type(limiter).__name__))
        self.name = f"throttle {self._target}" if name is None else name
        self.at = _level(at, "Throttle")
        self._before: float | None = None
        self._ours: float | None = None

    def targets(self) -> Sequence[str]:
        """The limiter's name."""
        return (self._target,)

    def engage(self, level: BudgetLevel) -> str:
        """Turn it down to the share of ``level``."""
        if self._taken_over():
            return f"left alone at {self._limiter.rate:g}: somebody else set it"
        before = self._limiter.rate if self._before is None else self._before
        wanted = before * self._shares[level]
        self._before, self._ours = before, wanted  # known before it is done: what fails half-way is undone
        self._limiter.set_rate(wanted)
        return f"rate {before:g} -> {wanted:g}"

    def release(self) -> str:
        """Turn it back."""
        before = self._before
        if before is None:
            return "nothing was turned"
        taken, now = self._taken_over(), self._limiter.rate
        if not taken and now != before:
            self._limiter.set_rate(before)
        self._before = self._ours = None
        return f"left alone at {now:g}: somebody else set it" if taken else f"rate back to {before:g}"

    def _taken_over(self) -> bool:
        return self._before is not None and self._limiter.rate not in (self._ours, self._before)


class ClearCaches:
    """Empties caches, when a level is reached and again at the next one. There is nothing to undo.

    Args:
        caches: things with ``clear()``, or functions that clear something (``fn.cache_clear``).
        at: level from which on.
        name: of the response.

    Raises:
        ConfigError: if there is none, or one cannot be cleared.
    """

    def __init__(
        self,
        *caches: Clearing | Callable[[], object],
        at: BudgetLevel | str = BudgetLevel.SLOW,
        name: str = "clear caches",
    ) -> None:
        if not caches:
            raise ConfigError("ClearCaches.caches", caches, "at least one cache")
        self._clear: list[tuple[str, Callable[[], object]]] = []
        for cache in caches:
            clear = getattr(cache, "clear", cache)
            if not callable(clear):
                raise ConfigError("ClearCaches.caches", cache, "something with clear(), or a callable")
            self._clear.append((_called(cache), clear))
        self.name = name
        self.at = _level(at, "ClearCaches")

    def targets(self) -> Sequence[str]:
        """The caches' names."""
        return tuple(name for name, _ in self._clear)

    def engage(self, level: BudgetLevel) -> str:
        """Empty them all; what one raises does not keep the others from it."""
        return _each("cleared", self._clear)

    def release(self) -> str:
        """Nothing: caches fill by themselves."""
        return "caches fill by themselves"


class Suspend:
    """Holds low-priority work back, and lets it go on. What was held back before by somebody else stays so.

    Args:
        work: whose work.
        ids: which; at least one.
        at: level from which on.
        name: of the response.

    Raises:
        ConfigError: if there is no id, or ``work`` cannot be paused.
    """

    def __init__(
        self, work: Pausing, *ids: str, at: BudgetLevel | str = BudgetLevel.SHED, name: str | None = None
    ) -> None:
        if not callable(getattr(work, "pause", None)) or not callable(getattr(work, "resume", None)):
            raise ConfigError("Suspend.work", work, "something with pause(id) and resume(id)")
        if not ids or not all(ids) or any(type(id) is not str for id in ids):
            raise ConfigError("Suspend.ids", ids, "at least one id, as text")
        self._work = work
        self._ids = tuple(dict.fromkeys(ids))
        self._ours: dict[str, None] = {}
        self.name = f"suspend {', '.join(self._ids)}" if name is None else name
        self.at = _level(at, "Suspend")

    def targets(self) -> Sequence[str]:
        """The ids."""
        return self._ids

    def engage(self, level: BudgetLevel) -> str:
        """Hold back what is not held back yet."""
        return _each("held back", [(id, self._pause(id)) for id in self._ids if id not in self._ours])

    def release(self) -> str:
        """Let go on what this held back."""
        return _each("let go on", [(id, self._resume(id)) for id in list(self._ours)])

    def _pause(self, id: str) -> Callable[[], object]:
        def pause() -> object:
            changed = self._work.pause(id)
            if changed is None or changed:
                self._ours[id] = None
            return changed

        return pause

    def _resume(self, id: str) -> Callable[[], object]:
        def resume() -> object:
            try:
                changed = self._work.resume(id)
            except KeyError:  # it was taken out meanwhile: there is nothing to let go on
                changed = False
            del self._ours[id]
            return changed

        return resume


class Do:
    """Calls functions of the host.

    Args:
        name: of the response.
        engage: called with the level; plain, not async. What it returns is shown to people.
        release: called to undo it; ``None``: nothing is to be undone.
        at: level from which on.
        targets: names of what it touches, for protection.

    Raises:
        ConfigError: if one of them is not a plain callable.
    """

    def __init__(
        self,
        name: str,
        engage: Callable[[BudgetLevel], object],
        release: Callable[[], object] | None = None,
        *,
        at: BudgetLevel | str = BudgetLevel.SLOW,
        targets: Sequence[str] = (),
    ) -> None:
        for field, value in (("engage", engage), ("release", release)):
            good = callable(value) and not inspect.iscoroutinefunction(value)
            if not good and not (field == "release" and value is None):
                raise ConfigError(f"Do.{field}", value, "a function that is not async")
        self.name = name
        self.at = _level(at, "Do")
        self._engage, self._release, self._targets = engage, release, tuple(targets)

    def targets(self) -> Sequence[str]:
        """As given."""
        return self._targets

    def engage(self, level: BudgetLevel) -> str:
        """Call the host's function."""
        return _told(self._engage(level))

    def release(self) -> str:
        """Call the host's function that undoes it."""
        return "nothing is to be undone" if self._release is None else _told(self._release())


def _each(what: str, steps: Sequence[tuple[str, Callable[[], object]]]) -> str:
    """Take all steps, whatever one raises; then raise what was raised, or tell what was done."""
    done, wrong = [], []
    for name, step in steps:
        try:
            changed = step()
        except Exception as error:
            wrong.append(error)
            error.add_note(f"while {name!r} was to be {what}")
        else:
            done += [name] if changed is not False else []
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise ExceptionGroup(f"{len(wrong)} of {len(steps)} failed", wrong)
    return f"{what}: {', '.join(done)}" if done else f"nothing was to be {what}"


def _told(value: object) -> str:
    return "done" if value is None else str(value)[:200]


def _called(thing: Any) -> str:
    name = getattr(thing, "name", None) or getattr(thing, "__qualname__", None)
    return name if isinstance(name, str) else type(thing).__name__


def _level(value: object, owner: str) -> BudgetLevel:
    if isinstance(value, str) and value in ("SLOW", "SHED"):
        return BudgetLevel(value)
    raise ConfigError(f"{owner}.at", value, "'SLOW' or 'SHED'")


def _share(name: str, value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= most:
        raise ConfigError(f"Throttle.{name}", value, f"more than 0 and at most {most:g}")
    return float(value)
