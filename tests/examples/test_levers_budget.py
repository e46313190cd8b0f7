"""The app's budget pulls its three levers while it is exceeded, and lets them go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.budget import make_budget
from examples.reference_app.cache import SummaryCache
from selfheal import EventBus, TaskRegistry
from selfheal.levers import CacheControl
from selfheal.resources import ResourceBudget, TaskQueue, Usage
from selfheal.testing import FakeClock


class Parts:
    """A budget, and what it moves."""

    def __init__(self, directory: Path, cpu_limit: float = 80.0) -> None:
        events = EventBus()
        self.clock = FakeClock()
        self.directory = directory
        self.cache = SummaryCache(enabled=True)
        self.queue = TaskQueue("summaries", events=events)
        self.tasks = TaskRegistry(events=events, start=False)
        self.tasks.register_interval("trim", lambda: None, 3600.0)
        self.budget: ResourceBudget = make_budget(
            cpu_limit=cpu_limit,
            memory_limit=70.0,
            rate=50.0,
            cache=CacheControl("summaries", self.cache, events=events),
            queue=self.queue,
            tasks=self.tasks,
            suspended="trim",
            report_dir=directory,
            events=events,
            clock=self.clock,
        )

    def trimming(self) -> bool:
        return next(task.enabled for task in self.tasks.snapshot().tasks if task.id == "trim")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.budget.close()
    made.queue.close()
    made.tasks.shutdown()


def test_its_limits_follow_from_two_numbers(parts: Parts) -> None:
    """SHED begins half-way between the limit and all there is; each level is left ten below where it is entered."""
    config = parts.budget.config

    assert (config.cpu_enter, config.cpu_leave, config.cpu_shed_enter, config.cpu_shed_leave) == (80, 70, 90, 80)
    assert (config.memory_enter, config.memory_leave) == (70, 60)
    assert (config.memory_shed_enter, config.memory_shed_leave) == (85, 75)
    assert (config.slow_rate, config.shed_rate) == (25, 10)


def test_over_it_clears_slows_and_suspends_and_undoes_it(parts: Parts) -> None:
    """At SHED all three levers are pulled; closed, the queue is at full speed and the task runs again."""
    parts.cache.keep("text", 1, "summary")
    for _ in range(60):
        parts.budget.observe(Usage(cpu=99.0, memory=40.0))
        parts.clock.advance(1.0)

    assert parts.budget.level == "SHED"
    assert len(parts.cache) == 0
    assert parts.queue.snapshot().slow_factor == 5.0
    assert not parts.trimming()
    parts.budget.close()
    assert parts.queue.snapshot().slow_factor == 1.0
    assert parts.trimming()


def test_a_limit_of_a_hundred_is_none(tmp_path: Path) -> None:
    """What has no limit is not read, and so never over; what has one still is."""
    parts = Parts(tmp_path, cpu_limit=100.0)

    parts.budget.check()

    usage = parts.budget.snapshot().usage
    assert usage is not None
    assert usage.cpu is None
    assert usage.memory is not None
    assert (tmp_path / "resource_usage_report_latest.md").is_file()
    parts.budget.close()
    parts.tasks.shutdown()
