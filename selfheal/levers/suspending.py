"""Work that can wait, and work that can be done without."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from selfheal.errors import ConfigError, NotFoundError


class PausableTask(Protocol):
    """What is told of one task."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def enabled(self) -> bool:
        """Whether it is not paused."""

    @property
    def owner(self) -> str | None:
        """Who registered it."""


class PausableTasks(Protocol):
    """Tasks by id that can be paused: a :class:`~selfheal.tasks.TaskRegistry`, or alike."""

    def pause(self, id: str) -> bool:
        """Hold one back; tell whether that changed anything."""

    def resume(self, id: str) -> bool:
        """Let one run again; tell whether that changed anything."""

    def snapshot(self) -> Any:
        """How all stand: ``tasks``, each a :class:`PausableTask`."""


class LowPriorityWork:
    """The tasks of a registry that can wait: paused while there is something more important, and resumed.

    What a person paused is never resumed through it: it resumes what was running when it was suspended.

    >>> from selfheal.tasks import TaskRegistry
    >>> tasks = TaskRegistry(start=False)
    >>> _ = tasks.register_interval("reports", print, every=60), tasks.register_interval("poll", print, every=1)
    >>> work = LowPriorityWork(tasks, ["reports"])
    >>> work.active(), work.suspend("reports"), work.active(), work.suspended()
    (('reports',), True, (), ('reports',))

    Args:
        tasks: the registry.
        ids: ids of tasks that can wait; they need not be there yet.
        owners: owners all of whose tasks can wait.

    Raises:
        ConfigError: if neither is given.
    """

    def __init__(self, tasks: PausableTasks, ids: Iterable[str] = (), *, owners: Iterable[str] = ()) -> None:
        self._tasks, self._ids, self._owners = tasks, frozenset(ids), frozenset(owners)
        if not self._ids and not self._owners:
            raise ConfigError("LowPriorityWork.ids", (), "the ids, or the owners, of the tasks that can wait")
        self._suspended: dict[str, None] = {}

    def active(self) -> tuple[str, ...]:
        """The ids of those that are there and not paused."""
        return tuple(task.id for task in self._there() if task.enabled)

    def suspended(self) -> tuple[str, ...]:
        """The ids of those that were paused here and still are."""
        paused = {task.id for task in self._there() if not task.enabled}
        return tuple(id for id in list(self._suspended) if id in paused)

    def suspend(self, id: str) -> bool:
        """Pause one; tell whether that changed anything. One that is gone needs no pausing.

        Raises:
            ConfigError: if it is none of those that can wait.
        """
        changed = self._may(id) and self._tasks.pause(id)
        if changed:
            self._suspended[id] = None
        return changed

    def resume(self, id: str) -> bool:
        """Let one run again; tell whether that changed anything. One that is gone is left out.

        Raises:
            ConfigError: if it is none of those that can wait.
        """
        changed = self._may(id) and self._tasks.resume(id)
        self._suspended.pop(id, None)
        return changed

    def __repr__(self) -> str:
        return f"LowPriorityWork({', '.join(sorted(self._ids | self._owners))})"

    def _there(self) -> list[PausableTask]:
        tasks: Iterable[PausableTask] = self._tasks.snapshot().tasks
        return [task for task in tasks if task.id in self._ids or task.owner in self._owners]

    def _may(self, id: str) -> bool:
        """Whether it is there; refuses what was not declared."""
        there = {task.id for task in self._there()}
        if id not in there and id not in self._ids and id not in self._suspended:
            known = ", ".join(sorted(there | self._ids)) or "none"
            raise ConfigError("task to suspend or resume", id, f"one of those that can wait ({known})")
        return id in there


class StoppableServices(Protocol):
    """Services by name that can be stopped: a :class:`~selfheal.supervision.Supervisor`, or alike."""

    def stop(self, name: str, *, reason: str) -> object:
        """Stop it, and keep it stopped."""

    def status(self, name: str, /) -> object:
        """How it is; what comes back has a ``pid``, ``None`` when it is stopped."""


class OptionalServices:
    """Services that can be done without: stopped in need, and kept stopped until a person starts them.

    Args:
        services: the supervisor.
        names: which of its services are optional; stopped in this order.

    Raises:
        ConfigError: if no name is given.
    """

    def __init__(self, services: StoppableServices, names: Sequence[str]) -> None:
        self._services, self._names = services, tuple(names)
        if not self._names or isinstance(names, str):
            raise ConfigError("OptionalServices.names", names, "a list of the names of optional services")

    def running(self) -> tuple[str, ...]:
        """Those that have a process."""
        return tuple(name for name in self._names if getattr(self._services.status(name), "pid", None) is not None)

    def stop(self, name: str, reason: str) -> object:
        """Stop one, and wait for its end.

        Raises:
            NotFoundError: if it is not one of the optional ones.
        """
        if name not in self._names:
            raise NotFoundError("optional service", name, self._names)
        return self._services.stop(name, reason=reason)

    def __repr__(self) -> str:
        return f"OptionalServices({', '.join(self._names)})"
