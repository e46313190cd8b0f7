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
from selfheal.levers import TaskRedistribution

EVERYBODY = "*"


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
        return {"workers": wanted, "held": {name: (held or {}).get(name) for name in wanted}}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Take them away, worker by worker."""
        queue = call.lever("queue", TaskRedistribution)
        moved: dict[str, int] = {}
        for worker in plan["workers"]:
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
    return any(held.get(worker) for worker in plan["workers"])


def _holders(call: ActionCall) -> Mapping[str, int] | None:
    """Who holds how many tasks, where the queue's snapshot tells."""
    snapshot: Any = getattr(call.lever("queue", TaskRedistribution), "snapshot", None)
    holders = getattr(snapshot(), "holders", None) if callable(snapshot) else None
    return holders if isinstance(holders, Mapping) else None
