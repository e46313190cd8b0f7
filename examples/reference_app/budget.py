"""The budget of CPU and memory, and what is done while it is exceeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selfheal import TaskRegistry
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.events import EventBus
from selfheal.levers import CacheControl
from selfheal.resources import BudgetLevel, ClearCaches, Do, ResourceBudget, Suspend, TaskQueue, Usage, UsageReader

_SLOWER = {BudgetLevel.SLOW: 2.0, BudgetLevel.SHED: 5.0}


def make_budget(
    *,
    cpu_limit: float,
    memory_limit: float,
    rate: float,
    cache: CacheControl,
    queue: TaskQueue,
    tasks: TaskRegistry,
    suspended: str,
    report_dir: Path,
    events: EventBus,
    clock: Clock = SYSTEM_CLOCK,
) -> ResourceBudget:
    """A budget that delays and sheds, and pulls three levers meanwhile: caches, the queue, a task that can wait.

    Args:
        cpu_limit: percent of the CPU from which on it is at SLOW, and half-way from there to 100 at SHED; 100: never.
        memory_limit: the same for memory.
        rate: requests a second in ordinary times; half of it at SLOW, a fifth at SHED.
        cache: emptied.
        queue: its deliveries are spaced.
        tasks: has the task that can wait.
        suspended: id of that task.
        report_dir: where ``resource_usage_report_latest.md`` is kept.
        events: where the budget tells what it does.
        clock: the time it goes by.
    """

    def slow_down(level: BudgetLevel) -> str:
        queue.slow_down(_SLOWER[level], f"the budget is at {level}")
        return f"{_SLOWER[level]:g} times slower"

    return ResourceBudget(
        source=_source(cpu=cpu_limit < 100.0, memory=memory_limit < 100.0),
        responses=[
            ClearCaches(cache),
            Do("slow the queue", slow_down, lambda: queue.slow_down(1.0, "the budget is kept"), targets=[queue.name]),
            Suspend(tasks, suspended),
        ],
        report_dir=report_dir,
        events=events,
        clock=clock,
        slow_rate=rate / 2,
        shed_rate=rate / 5,
        cpu_enter=cpu_limit,
        cpu_leave=cpu_limit - 10.0,
        cpu_shed_enter=_half_way(cpu_limit),
        cpu_shed_leave=_half_way(cpu_limit) - 10.0,
        memory_enter=memory_limit,
        memory_leave=memory_limit - 10.0,
        memory_shed_enter=_half_way(memory_limit),
        memory_shed_leave=_half_way(memory_limit) - 10.0,
    )


def _half_way(limit: float) -> float:
    return (limit + 100.0) / 2


def _source(*, cpu: bool, memory: bool) -> Callable[[], Usage]:
    """Readings without what has no limit: a value that is not known exceeds none."""
    reader = UsageReader()
    hidden: dict[str, Any] = {name: None for name, wanted in (("cpu", cpu), ("memory", memory)) if not wanted}
    return lambda: attrs.evolve(reader.read(), **hidden)
