"""The three ways to register a task, as the calls of a registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date, tzinfo
from typing import Any

from selfheal.tasks.daytime import DailyTime
from selfheal.tasks.handle import TaskHandle
from selfheal.tasks.options import TaskOptions


class Registering(ABC):
    """What :class:`~selfheal.tasks.TaskRegistry` offers to whoever has something to run."""

    def register_interval(
        self,
        id: str,
        fn: Callable[[], object],
        every: float,
        enabled: bool = True,
        replace: bool = True,
        **options: Any,
    ) -> TaskHandle:
        """Run ``fn`` every ``every`` seconds, first after ``first_after`` (default: ``every``).

        Args:
            id: its name. A task of this name is replaced: a run of it under way ends, but its result is
                not counted, and the new task's first run waits for that.
            fn: called without arguments; sync or async.
            every: seconds.
            enabled: ``False`` registers it paused.
            replace: ``False`` refuses to replace a task.
            options: further fields of :class:`~selfheal.tasks.options.TaskOptions`: ``first_after``, ``misfire``,
                ``misfire_grace``, ``overrun``, ``timeout``, ``on_stuck``, ``owner``, ``loop``.

        Raises:
            TaskLimitError: if the registry is full; lists what it holds.
            TaskExistsError: if the id is taken and ``replace=False``.
            RegistryStoppedError: if the registry was shut down.
            ConfigError: if a value is not accepted.
        """
        return self._register(TaskOptions(id=id, fn=fn, every=every, **options), enabled, replace)

    def register_once(
        self,
        id: str,
        fn: Callable[[], object],
        after: float = 0.0,
        enabled: bool = True,
        replace: bool = True,
        **options: Any,
    ) -> TaskHandle:
        """Run ``fn`` once, ``after`` seconds from now. Otherwise as :meth:`register_interval`.

        A finished single run stays listed until its place is needed; it does not count as a live task.
        """
        return self._register(TaskOptions(id=id, fn=fn, first_after=after, **options), enabled, replace)

    def register_daily(
        self,
        id: str,
        fn: Callable[[], object],
        at: str = "03:30",
        enabled: bool = True,
        replace: bool = True,
        *,
        tz: str | tzinfo | None = None,
        catch_up: bool = True,
        last_run: date | None = None,
        **options: Any,
    ) -> TaskHandle:
        """Run ``fn`` each day at ``at``. Otherwise as :meth:`register_interval`.

        A slot is a date. A time that the clocks jump over comes at the first instant after the jump; one they
        show twice comes the first time. A date runs once, whatever is done to the clock.

        Args:
            id: its name.
            fn: called without arguments; sync or async.
            at: the time of day, ``"00:00"`` to ``"23:59"``.
            enabled: ``False`` registers it paused.
            replace: ``False`` refuses to replace a task.
            tz: an IANA name, a ``tzinfo``, or ``None`` for the zone of this machine.
            catch_up: make up, by one run now, for dates after ``last_run`` that have passed without a run. What is
                missed later, because the machine slept, is up to ``misfire``.
            last_run: the date that was run last by an earlier process (``TaskSnapshot.last_day``). ``None``:
                not known, so nothing is made up for.
            options: as there, except ``first_after``.
        """
        daily = DailyTime(at=at, tz=tz, catch_up=catch_up, last_run=last_run)
        return self._register(TaskOptions(id=id, fn=fn, daily=daily, **options), enabled, replace)

    @abstractmethod
    def _register(self, options: TaskOptions, enabled: bool, replace: bool) -> TaskHandle:
        """Take a task in."""
