"""An action cut off by SIGKILL in one process, found and undone in another, from its plan alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import Alert
from selfheal.healing.actions import ActionCall, Probed, builtin_actions
from selfheal.levers import QueueOrder
from selfheal.resources import TaskQueue

PUT = (5, 6, 7, 8)
"""Priorities of the tasks, which are put in this order."""


def order_of(queue: TaskQueue) -> QueueOrder:
    """By ids, which count from 1 in a new file; the host knows the priorities as they were put."""
    return QueueOrder(queue, lambda target: dict(enumerate(PUT, 1)))


def call(queue: TaskQueue) -> ActionCall:
    return ActionCall(
        key="run:0",
        strategy="failing",
        target="mail",
        alert=Alert(kind="failing", target="mail"),
        params=builtin_actions().get("reorder_tasks").params(priority=0),
        levers={"order": order_of(queue)},
        clock=SYSTEM_CLOCK,
        deadline=SYSTEM_CLOCK.monotonic() + 60,
    )


def dies(path: str, after: int) -> None:
    """In a process of its own: plan, tell the plan, and be killed after so many tasks."""
    import attrs

    queue = TaskQueue("jobs", path=path)
    order, action = order_of(queue), builtin_actions().get("reorder_tasks")

    class Deadly:
        left = after

        def priorities(self, target: str) -> Any:
            return order.priorities(target)

        def reprioritise(self, task: int, *, priority: int) -> bool:
            if not self.left:
                signal.raise_signal(signal.SIGKILL)
            self.left -= 1
            return order.reprioritise(task, priority=priority)

    made = attrs.evolve(call(queue), levers={"order": Deadly()})
    plan = action.plan(made)
    print(json.dumps(plan), flush=True)
    assert isinstance(plan, dict)
    action.run(made, plan)
    signal.raise_signal(signal.SIGKILL)


@pytest.mark.parametrize("after", range(len(PUT) + 1))
def test_undone_from_the_plan_alone(tmp_path: Path, after: int) -> None:
    """Killed before, between and after its moves, the order of a durable queue is put back exactly, also twice."""
    path = str(tmp_path / "jobs.db")
    queue = TaskQueue("jobs", path=path)
    for rank in PUT:
        queue.put(rank, priority=rank)
    queue.close()
    code = f"from tests.integration.test_actions_crash import dies; dies({path!r}, {after})"
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr

    queue, action, plan = TaskQueue("jobs", path=path), builtin_actions().get("reorder_tasks"), json.loads(child.stdout)
    made = call(queue)
    assert action.probe(made, plan) is Probed.UNKNOWN, "this process does not know of the changes"
    for _ in range(2):
        assert action.rollback(made, plan, None) is None
    taken = [queue.take() for _ in PUT]
    queue.close()

    assert [one.priority for one in taken if one] == sorted(PUT, reverse=True)
    assert [one.payload for one in taken if one] == sorted(PUT, reverse=True)
