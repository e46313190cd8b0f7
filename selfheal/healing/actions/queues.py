"""Actions on work in hand: given to others, put in another order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.errors import LeverUnsupportedError
from selfheal.healing.actions.protocol import (
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
)
from selfheal.levers import Reordering, TaskRedistribution
from selfheal.validators import between

EVERYBODY = "*"
_MOST_TASKS = 1000


@attrs.frozen(kw_only=True)
class RedistributeParams:
    """Whose tasks go to others.

    Args:
        worker: its name; empty: the target; ``*``: everybody who holds some, by what the queue tells.
    """

    worker: str = ""


class RedistributeTasks(BaseAction):
    """Take what a worker has in hand away from it, so that others do it. At-least-once: it may be done twice."""

    name = "redistribute_tasks"
    effect = Effect.IRREVERSIBLE
    timeout = 30.0
    needs = (LeverNeed(role="queue", protocol=TaskRedistribution),)
    params = RedistributeParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Whose tasks, and how many where the queue tells.

        Raises:
            LeverUnsupportedError: if everybody's are wanted, and the queue does not tell who holds some.
        """
        params: RedistributeParams = call.params
        held = _holders(call)
        worker = params.worker or call.target
        if worker == EVERYBODY and held is None:
            raise LeverUnsupportedError("queue", "tell who holds tasks", "name the worker in params.worker")
        wanted = sorted(held or ()) if worker == EVERYBODY else [worker]
        if held is not None and not any(held.get(name) for name in wanted):
            return Skip("nobody holds tasks" if worker == EVERYBODY else f"{worker} holds no tasks")
        return {"targets": wanted, "held": {name: (held or {}).get(name) for name in wanted}}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Take them away, worker by worker."""
        queue = call.lever("queue", TaskRedistribution)
        moved: dict[str, int] = {}
        for worker in plan["targets"]:
            call.go_on()
            moved[worker] = queue.redistribute(worker)
        return {"moved": moved}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Done where none of them holds any. One who does may have taken new ones: that cannot be told."""
        held = _holders(call)
        return Probed.DONE if held is not None and not _left(held, plan) else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """Whether none of them holds any; not told where they do, since those may be new ones."""
        held = _holders(call)
        return True if held is not None and not _left(held, plan) else None


def _left(held: Mapping[str, int], plan: Plan) -> bool:
    return any(held.get(worker) for worker in plan["targets"])


def _holders(call: ActionCall) -> Mapping[str, int] | None:
    """Who holds how many tasks, where the queue's snapshot tells."""
    snapshot: Any = getattr(call.lever("queue", TaskRedistribution), "snapshot", None)
    holders = getattr(snapshot(), "holders", None) if callable(snapshot) else None
    return holders if isinstance(holders, Mapping) else None


@attrs.frozen(kw_only=True)
class ReorderParams:
    """Where the tasks go.

    Args:
        priority: which they get, 0 to 9, the higher the earlier.
    """

    priority: int = attrs.field(default=0, validator=between(0, 9))


class ReorderTasks(BaseAction):
    """Put the tasks of the target behind others, or before them. Undone by their old priorities."""

    name = "reorder_tasks"
    effect = Effect.REVERSIBLE
    timeout = 30.0
    needs = (LeverNeed(role="order", protocol=Reordering),)
    params = ReorderParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Which tasks, with their old priorities. At most 1,000: a plan is one line of the journal."""
        params: ReorderParams = call.params
        there = call.lever("order", Reordering).priorities(call.target)
        old = {str(task): rank for task, rank in sorted(there.items()) if rank != params.priority}
        if not old:
            return Skip(f"no task of {call.target} has another priority than {params.priority}")
        return {"priority": params.priority, "old": dict(list(old.items())[:_MOST_TASKS])}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Give each the new one; those that are gone are left out."""
        lever = call.lever("order", Reordering)
        moved = 0
        for task in plan["old"]:
            call.go_on()
            moved += lever.reprioritise(int(task), priority=plan["priority"])
        return {"moved": moved}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Done where all that are there have the new one. Else it cannot be told.

        What a lever says of a priority may be what the task was put with, if its process does not know of the change.
        """
        now = call.lever("order", Reordering).priorities(call.target)
        there = [now[int(task)] for task in plan["old"] if int(task) in now]
        return Probed.DONE if there and all(rank == plan["priority"] for rank in there) else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether all that are still there have the new one."""
        now = call.lever("order", Reordering).priorities(call.target)
        return all(now.get(int(task), plan["priority"]) == plan["priority"] for task in plan["old"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Give each its old one, unless somebody gave it another one since."""
        lever = call.lever("order", Reordering)
        now, left = lever.priorities(call.target), list[str]()
        for task, old in plan["old"].items():
            if now.get(int(task), old) in (old, plan["priority"]):
                lever.reprioritise(int(task), priority=old)
            else:
                left.append(task)
        return f"tasks {', '.join(left)} are left as they are: somebody changed them since" if left else None
