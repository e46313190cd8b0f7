"""Numbers and orders of the host that can be changed and put back: how often is measured, what goes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import a_callable, between

_MOST_CHANGED = 10_000


@attrs.frozen(kw_only=True)
class _Pace:
    interval: float = attrs.field(validator=between(0.001, 86_400.0, "s"))
    apply: Callable[[float], object] = attrs.field(validator=a_callable())


class MonitoringPace:
    """How often is measured, and how that is changed.

    >>> applied = []
    >>> pace = MonitoringPace(10.0, applied.append)
    >>> pace.set_interval(2.0), pace.interval, applied
    (None, 2.0, [2.0])

    Args:
        interval: seconds between two measurements now.
        apply: called with the new seconds: registers the task anew, say. If it raises, the interval stays.

    Raises:
        ConfigError: if ``interval`` is out of range (0.001 to 86400) or ``apply`` cannot be called.
    """

    def __init__(self, interval: float, apply: Callable[[float], object]) -> None:
        self._pace = _Pace(interval=interval, apply=apply)

    @property
    def interval(self) -> float:
        """Seconds between two measurements."""
        return self._pace.interval

    def set_interval(self, seconds: float) -> None:
        """Measure so often from now on.

        Raises:
            ConfigError: if it is out of range.
        """
        wanted = attrs.evolve(self._pace, interval=seconds)
        wanted.apply(seconds)
        self._pace = wanted

    def __repr__(self) -> str:
        return f"MonitoringPace({self.interval:g})"


class ReprioritisingQueue(Protocol):
    """A queue whose tasks can be given another priority: a :class:`~selfheal.resources.TaskQueue`, or alike."""

    def reprioritise(self, task: int, *, priority: int | None = None) -> bool:
        """Give a task another priority; tell whether it is there."""


class QueueOrder:
    """Which tasks of a queue belong to what, with their priorities, and how these are changed.

    A queue does not look into its tasks. So the host says which of them belong to a target (a kind of job, a
    tenant), with the priorities they were put with; what is changed here is remembered beside.

    Args:
        queue: the queue.
        find: called with a target, gives the ids of its tasks, each with the priority it was put with.

    Raises:
        ConfigError: if ``find`` cannot be called.
    """

    def __init__(self, queue: ReprioritisingQueue, find: Callable[[str], Mapping[int, int]]) -> None:
        if not callable(find):
            raise ConfigError("QueueOrder.find", find, "a callable that gives task ids with their priorities")
        self._queue, self._find = queue, find
        self._changed: dict[int, int] = {}

    def priorities(self, target: str) -> dict[int, int]:
        """The tasks of a target, each with its priority now."""
        return {task: self._changed.get(task, priority) for task, priority in self._find(target).items()}

    def reprioritise(self, task: int, *, priority: int) -> bool:
        """Give a task another priority; tell whether it is there."""
        there = self._queue.reprioritise(task, priority=priority)
        self._changed.pop(task, None)
        if there:
            self._changed[task] = priority
            if len(self._changed) > _MOST_CHANGED:  # the oldest are long done
                del self._changed[next(iter(self._changed))]
        return there

    def __repr__(self) -> str:
        return f"QueueOrder({self._queue!r})"
