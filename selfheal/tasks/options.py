"""What a task is told at registration, checked once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from selfheal.errors import ConfigError
from selfheal.tasks.daytime import DailyTime
from selfheal.validators import a_callable, between, name, one_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_LONGEST = 366 * 86_400.0
_WORKERS = 32
ONCE_GRACE = 60.0
"""Seconds a single run may be late before that counts as a misfire, unless told otherwise."""
DAILY_GRACE = 3_600.0
"""The same for a daily run: what is left out beyond it belongs into the night, not into office hours."""


def _optional_name(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        name(owner, field, value)


def _a_loop(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not callable(getattr(value, "call_soon_threadsafe", None)):
        raise ConfigError("TaskOptions.loop", value, "an asyncio event loop or None", "None")


def _alone(owner: Any, _: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, DailyTime):
        raise ConfigError("TaskOptions.daily", value, "a DailyTime or None", "None")
    for other in ("every", "first_after"):
        if value is not None and getattr(owner, other) is not None:
            raise ConfigError(f"TaskOptions.{other}", getattr(owner, other), "left out where there is a daily time")


def _runs_when_called(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    a_callable()(owner, field, value)
    bare = _bare(value)
    if inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
        raise ConfigError("TaskOptions.fn", value, "a function that does its work when called, not a generator")


@attrs.frozen(kw_only=True)
class TaskOptions:
    """How one task runs. Made by the ``register_…`` calls of :class:`selfheal.tasks.TaskRegistry`.

    Args:
        id: its name; one task an id.
        fn: what is called, without arguments; sync or async.
        every: seconds from slot to slot, 0.001 to 366 days; ``None`` for a single run.
        first_after: seconds from registration to the first slot; default ``every``, or 0 for a single run.
        misfire: what to do when a run is later than ``misfire_grace``: ``run_once`` runs it now, one run
            for all slots that passed; ``skip`` leaves it out. Both are counted.
        misfire_grace: seconds; default: ``every``, 60 for a single run, 3,600 for a daily one.
        overrun: what to do with a slot that comes while the task runs: ``skip`` leaves it out,
            ``buffer_one`` runs one right after. Never two at once.
        timeout: seconds a run may take; ``None`` for no bound.
        on_stuck: after a run was abandoned: ``wait`` until its thread ends before running again, or
            ``rerun`` at the next slot though the old thread may still be at work.
        owner: who registered it, usually ``__name__``; :meth:`~selfheal.tasks.TaskRegistry.unregister_owner`
            removes all of one owner.
        daily: the time of day, for a daily task; neither ``every`` nor ``first_after`` is given then.
        loop: the event loop an async ``fn`` runs on; default: a loop thread of the registry's own.

    Raises:
        ConfigError: if a value is not accepted.
    """

    id: str = attrs.field(validator=name)
    fn: Callable[[], object] = attrs.field(validator=_runs_when_called)
    every: float | None = attrs.field(default=None, validator=between(0.001, _LONGEST, "s", optional=True))
    first_after: float | None = attrs.field(default=None, validator=between(0.0, _LONGEST, "s", optional=True))
    misfire: str = attrs.field(default="run_once", validator=one_of("run_once", "skip"))
    misfire_grace: float | None = attrs.field(default=None, validator=between(0.0, _LONGEST, "s", optional=True))
    overrun: str = attrs.field(default="skip", validator=one_of("skip", "buffer_one"))
    timeout: float | None = attrs.field(default=None, validator=between(0.001, _LONGEST, "s", optional=True))
    on_stuck: str = attrs.field(default="wait", validator=one_of("wait", "rerun"))
    owner: str | None = attrs.field(default=None, validator=_optional_name)
    loop: AbstractEventLoop | None = attrs.field(default=None, validator=_a_loop)
    daily: DailyTime | None = attrs.field(default=None, validator=_alone)

    @property
    def type(self) -> str:
        """``interval``, ``once`` or ``daily``."""
        if self.daily is not None:
            return "daily"
        return "once" if self.every is None else "interval"

    @property
    def grace(self) -> float:
        """Seconds a run may be late, the default filled in."""
        if self.misfire_grace is not None:
            return self.misfire_grace
        if self.daily is not None:
            return DAILY_GRACE
        return ONCE_GRACE if self.every is None else self.every

    @property
    def delay(self) -> float:
        """Seconds to the first slot, the default filled in."""
        if self.first_after is not None:
            return self.first_after
        return 0.0 if self.every is None else self.every


@attrs.frozen(kw_only=True)
class RegistryOptions:
    """How a registry behaves.

    Args:
        max_tasks: how many tasks may be registered at once; a policy, not what the engine can carry.
        max_workers: sync runs at once; default ``max_tasks``, at most 32.
        max_abandoned: given-up runs still alive at once before no further run is started.
        exit_timeout: seconds the clean-up at interpreter exit may take.
        settle: seconds to settle after a clock jump.
        owner: usually ``__name__``: a registry made by a module that is imported again shuts down the one
            that the module made before.

    Raises:
        ConfigError: if a value is not accepted.
    """

    max_tasks: int = attrs.field(default=10, validator=between(1, 1_000_000))
    max_workers: int | None = attrs.field(default=None, validator=between(1, 1_000, optional=True))
    max_abandoned: int = attrs.field(default=3, validator=between(1, 1_000))
    exit_timeout: float = attrs.field(default=10.0, validator=between(0.0, 3_600.0, "s"))
    settle: float = attrs.field(default=30.0, validator=between(0.0, _LONGEST, "s"))
    owner: str | None = attrs.field(default=None, validator=_optional_name)

    @property
    def workers(self) -> int:
        """Sync runs at once, the default filled in."""
        return min(self.max_tasks, _WORKERS) if self.max_workers is None else self.max_workers


def _bare(fn: Any) -> Any:
    """The function behind partials and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not inspect.isroutine(fn) and not inspect.isclass(fn):
        return getattr(type(fn), "__call__", fn)  # noqa: B004  the method itself is wanted, not whether there is one
    return fn


def is_async(fn: object) -> bool:
    """Tell whether calling ``fn`` makes a coroutine: seen through partials and async ``__call__``."""
    inner = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(_bare(inner))
