"""A budget of CPU and memory: what is delayed, refused and done while too much is in use."""

from __future__ import annotations

import collections
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, StateError
from selfheal.events import DEFAULT_BUS, BudgetLevelChanged, BudgetResponded, EventBus
from selfheal.forking import track
from selfheal.resources.budget_config import (
    BudgetConfig,
    BudgetOptions,
    checked_directory,
    checked_name,
    checked_seconds,
    make_config,
    split_name,
)
from selfheal.resources.budget_gate import Gate
from selfheal.resources.budget_machine import BudgetLevel, BudgetMachine, BudgetTransition
from selfheal.resources.budget_report import (
    REPORT_NAME,
    BudgetSnapshot,
    LevelChange,
    as_markdown,
    as_section,
    write_report,
)
from selfheal.resources.budget_responding import KEPT, Deed, Problems, Protection, Responding
from selfheal.resources.budget_responses import BudgetResponse, IntervalRegistry
from selfheal.resources.budget_wrapping import guarded
from selfheal.resources.criticality import Criticality
from selfheal.resources.criticality_scope import to_criticality
from selfheal.usage import Usage, UsageReader

logger = logging.getLogger("selfheal.resources")

P = ParamSpec("P")
R = TypeVar("R")


class ResourceBudget:
    """Watches CPU and memory; delays, sheds and responds while too much of them is in use; undoes it afterwards.

    >>> from selfheal.testing import FakeClock
    >>> clock = FakeClock()
    >>> budget = ResourceBudget(clock=clock)
    >>> for _ in range(11):
    ...     _ = budget.observe(Usage(cpu=86.0, memory=40.0))
    ...     clock.advance(1)
    >>> budget.level
    <BudgetLevel.SLOW: 'SLOW'>
    >>> budget.admit("critical")

    It looks when :meth:`check` is called: :meth:`register` has a task registry do so. Without readings for
    ``stale_after`` seconds it is at NORMAL: what is not known delays nobody. No lock is held while a response of the
    host runs.

    Args:
        name: for messages and events.
        config: the limits; or give them as ``options``.
        source: asked for the :class:`Usage`; by default a :class:`UsageReader`, made at the first need.
        responses: what to do beside delaying and shedding.
        protected: names (patterns as of ``fnmatch``) of work that is never delayed, refused or touched by a response.
            selfheal's own is always protected.
        report_dir: directory for ``resource_usage_report_latest.md``; ``None``: no report is written by itself.
        report_every: seconds after which the report is written anew though no level changed.
        clock: the time it goes by.
        events: where events are published.
        **options: fields of :class:`BudgetConfig`, on top of ``config``.

    Raises:
        ConfigError: if a value is out of range, an option unknown, or a response would touch what is protected.
    """

    def __init__(
        self,
        name: str = "resources",
        config: BudgetConfig | None = None,
        *,
        source: Callable[[], Usage] | None = None,
        responses: Sequence[BudgetResponse] = (),
        protected: Iterable[str] = (),
        report_dir: str | Path | None = None,
        report_every: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        **options: Unpack[BudgetOptions],
    ) -> None:
        self.name = checked_name(name)
        self.config: BudgetConfig = make_config(BudgetConfig, "ResourceBudget", config, options)
        if source is not None and not callable(source):
            raise ConfigError("ResourceBudget.source", source, "a callable that returns a Usage")
        self._source = source
        directory = None if report_dir is None else checked_directory("ResourceBudget.report_dir", report_dir)
        self._report_path = None if directory is None else directory / REPORT_NAME
        self._report_every = checked_seconds("ResourceBudget.report_every", report_every)
        self._clock, self._events = clock, events
        self._protection = Protection(protected)
        self._responding = Responding(tuple(responses), self._protection, clock.wall, self._tell_deed)
        self._lock = threading.Lock()
        self._machine = BudgetMachine(self.config, clock.monotonic())
        self._gate = Gate(self.name, self.config, clock, self._standing)
        self._usage: Usage | None = None
        self._history: collections.deque[LevelChange] = collections.deque(maxlen=KEPT)
        self._reported = -math.inf
        self._problems = Problems(f"budget {self.name!r}")
        self._closed = False
        track(self, ResourceBudget._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any], where: str = "budget", **parts: Any) -> ResourceBudget:
        """Make one from plain data, as a settings file holds it.

        Args:
            settings: fields of :class:`BudgetConfig`, and perhaps ``name``.
            where: path of it in the file, for messages.
            **parts: the other arguments of the class.

        Raises:
            InvalidConfigError: with everything that is wrong.
        """
        from selfheal.configuring import structure

        name, limits = split_name(settings, where)
        return cls(config=structure(limits, BudgetConfig, where), **name, **parts)

    def __repr__(self) -> str:
        return f"<ResourceBudget {self.name!r} {self.level.value}>"

    @property
    def level(self) -> BudgetLevel:
        """Where it stands now."""
        return self._standing(self._clock.monotonic())[0]

    # --- looking

    def check(self) -> tuple[BudgetTransition, ...]:
        """Take a reading, decide the level and bring the responses to it; write the report when it is due.

        A source that raises is reported and counts as no reading.
        """
        if self._closed:
            return ()
        try:
            usage = self._reader()()
        except Exception as error:
            usage = Usage(problems=(f"the source raised {type(error).__name__}",))
            self._problems.note("source", f"raised {type(error).__name__}", error)
        else:
            self._problems.note("source", "")
        moved = self.observe(usage)
        if self._report_path is not None and (moved or self._clock.monotonic() - self._reported >= self._report_every):
            self._write_quietly(self._report_path)
        return moved

    def observe(self, usage: Usage) -> tuple[BudgetTransition, ...]:
        """Decide the level by a reading that was taken elsewhere, and bring the responses to it."""
        now = self._clock.monotonic()
        with self._lock:
            if self._closed:
                return ()
            self._usage = usage
            moved = self._machine.observe(usage, now)
            level, cpu, memory = self._machine.level, self._machine.cpu.value, self._machine.memory.value
            wall = self._clock.wall()
            self._history.extend(LevelChange(wall, move.old, move.new, move.reason) for move in moved)
        for old, new, _, reason in moved:
            logger.warning("budget %r: %s (%s)", self.name, new, reason)
            self._events.publish(
                BudgetLevelChanged(
                    budget=self.name, old=old.value, new=new.value, reason=reason, cpu=cpu, memory=memory, at=wall
                )
            )
        if moved:
            self._gate.wake_all()
        self._responding.bring_to(level)
        return moved

    def register(self, registry: IntervalRegistry, *, every: float = 1.0, owner: str | None = None) -> str:
        """Have a :class:`~selfheal.tasks.TaskRegistry`, or alike, call :meth:`check` each ``every`` seconds.

        Returns:
            The id of the task: ``resource-budget``, or ``resource-budget-NAME`` where the budget has a name of its own.
        """
        self._reader()  # takes the reading that the first check is measured against
        task_id = "resource-budget" if self.name == "resources" else f"resource-budget-{self.name}"
        registry.register_interval(task_id, self.check, every, owner=owner)
        return task_id

    def close(self) -> None:
        """Release all responses, let all that wait begin, and watch no more. Idempotent."""
        with self._lock:
            self._closed = True
        self._gate.wake_all()
        self._responding.bring_to(BudgetLevel.NORMAL)

    # --- admitting

    def admit(
        self, criticality: Criticality | str | None = None, timeout: float | None = None, *, name: str = ""
    ) -> None:
        """Return when a piece of work may begin, waiting for it where it has to.

        Args:
            criticality: how much it matters; ``None``: that of what is being done (:func:`criticality_scope`).
            timeout: seconds to wait at most, ``max_wait`` at the longest; 0 waits not at all.
            name: of the work; protected work begins at once, whatever the level.

        Raises:
            BudgetExceededError: if it may not begin; says when to ask again.
            ConfigError: if the criticality is none, or the timeout negative.
        """
        wanted = to_criticality(criticality, "admit(criticality)")
        if timeout is not None:
            checked_seconds("admit(timeout)", timeout)
        if not (name and self._protection.covers(name)):
            self._gate.enter(wanted, timeout)

    async def aadmit(
        self, criticality: Criticality | str | None = None, timeout: float | None = None, *, name: str = ""
    ) -> None:
        """:meth:`admit` for a coroutine."""
        wanted = to_criticality(criticality, "aadmit(criticality)")
        if timeout is not None:
            checked_seconds("aadmit(timeout)", timeout)
        if not (name and self._protection.covers(name)):
            await self._gate.aenter(wanted, timeout)

    def guard(
        self, criticality: Criticality | str | None = None, *, timeout: float | None = None, name: str = ""
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: each call of the function, sync or async, is admitted first.

        Arguments as for :meth:`admit`; ``name`` is by default the function's qualified name.
        """
        wanted = None if criticality is None else to_criticality(criticality, "guard(criticality)")
        if timeout is not None:
            checked_seconds("guard(timeout)", timeout)
        return lambda fn: guarded(self, fn, wanted, timeout, name)

    def utilization(self) -> float | None:
        """The larger of the smoothed shares of CPU and memory, 0 to 1; ``None`` where neither is known.

        For a :class:`~selfheal.resources.LoadShedder`.
        """
        if self._closed or self._usage is None:
            return None
        known = self._machine.known(self._clock.monotonic())
        return max(known) / 100.0 if known else None

    # --- showing

    def snapshot(self) -> BudgetSnapshot:
        """Everything there is to see of it now."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        with self._lock:
            machine, usage, history = self._machine, self._usage, tuple(self._history)
            unread = {f"usage {number}": told for number, told in enumerate(usage.problems if usage else (), 1)}
            return BudgetSnapshot(
                name=self.name,
                at=wall,
                level=self._standing(now)[0],
                since=max(now - machine.since, 0.0),
                reason=machine.reason,
                cpu=machine.cpu.value,
                memory=machine.memory.value,
                usage=usage,
                peaks={"cpu": machine.cpu.peak, "memory": machine.memory.peak},
                changes=machine.changes,
                spent=machine.spent(now),
                history=history,
                waiting=self._gate.waiting,
                work=self._gate.tallies(),
                engaged=self._responding.engaged,
                problems={**self._responding.problems, **self._problems.told, **unread},
                deeds=self._responding.deeds,
                protected=self._protection.names,
                config=self.config,
            )

    def section(self) -> dict[str, Any]:
        """A section for :class:`~selfheal.StatusReport`: ``sections={"resources": budget.section}``."""
        return as_section(self.snapshot())

    def report(self) -> str:
        """The report as Markdown."""
        return as_markdown(self.snapshot())

    def write_report(self, directory: str | Path | None = None) -> Path:
        """Write ``resource_usage_report_latest.md`` as a whole or not at all; return where.

        Into ``directory``, by default ``report_dir``, else the current one.

        Raises:
            StateError: if it cannot be written; the one that was there is still there.
        """
        path = self._report_path if directory is None else Path(directory) / REPORT_NAME
        path = Path.cwd() / REPORT_NAME if path is None else path
        write_report(path, self.report())
        return path

    def _write_quietly(self, path: Path) -> None:
        self._reported = self._clock.monotonic()
        try:
            self.write_report(path.parent)
        except StateError as error:
            self._problems.note("report", str(error), error)
        else:
            self._problems.note("report", "")

    def _standing(self, now: float) -> tuple[BudgetLevel, str | None]:
        if self._closed:
            return BudgetLevel.NORMAL, None
        return self._machine.level_at(now), self._machine.over_hard(now)

    def _reader(self) -> Callable[[], Usage]:
        if self._source is None:
            self._source = UsageReader(clock=self._clock).read
        return self._source

    def _tell_deed(self, deed: Deed) -> None:
        at, response, step, detail, error = deed
        self._events.publish(
            BudgetResponded(budget=self.name, response=response, step=step, detail=detail, error=error, at=at)
        )

    def _in_child(self) -> None:
        """New locks; whoever waited or was responding is in the parent."""
        self._lock = threading.Lock()
        self._gate.start_over()
        self._responding.start_over()
