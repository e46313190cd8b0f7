"""Actions that end processes, each by id and start time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from selfheal.errors import HealingFailedError
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
from selfheal.levers import CleaningUp, EndingIdle, ProcessMark


class _Ending(Protocol):
    def alive(self, process: ProcessMark, /) -> bool: ...

    def end(self, process: ProcessMark, /) -> bool: ...


class _EndProcesses(BaseAction):
    """Ends the very processes of its plan: one started since, under whatever id, is left alone."""

    effect = Effect.IRREVERSIBLE
    destructive = True
    timeout = 60.0
    repeat = Repeat.ONCE

    def _lever(self, call: ActionCall) -> _Ending:
        raise NotImplementedError

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """End those that are alive, one by one.

        Raises:
            HealingFailedError: if one is not gone after that, once all were tried.
        """
        lever, ended, left = self._lever(call), list[int](), list[int]()
        for process in _marks(plan):
            call.go_on()
            if lever.alive(process):
                (ended if lever.end(process) else left).append(process.pid)
        if left:
            raise HealingFailedError(f"processes {', '.join(map(str, left))} were killed and are still there")
        return {"ended": ended}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether all of them are gone; where some are it cannot be told why."""
        alive = self._alive(call, plan)
        return Probed.DONE if not alive else Probed.NOT_DONE if alive == len(plan["processes"]) else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether all of them are gone."""
        return not self._alive(call, plan)

    def _alive(self, call: ActionCall, plan: Plan) -> int:
        lever = self._lever(call)
        return sum(lever.alive(process) for process in _marks(plan))


def _marks(plan: Plan) -> list[ProcessMark]:
    return [ProcessMark(**told) for told in plan["processes"]]


def _told(found: Sequence[ProcessMark]) -> list[dict[str, Any]]:
    return [process.as_dict() for process in found]


class ForceCleanup(_EndProcesses):
    """End the processes of the target, told to and then killed. What it held in hand: see ``redistribute_tasks``."""

    name = "force_cleanup"
    needs = (LeverNeed(role="processes", protocol=CleaningUp),)

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Which processes."""
        found = call.lever("processes", CleaningUp).processes(call.target)
        return {"processes": _told(found)} if found else Skip(f"{call.target} has no process")

    def _lever(self, call: ActionCall) -> _Ending:
        return call.lever("processes", CleaningUp)


class EndIdle(_EndProcesses):
    """End processes that do nothing."""

    name = "end_idle"
    needs = (LeverNeed(role="idle_processes", protocol=EndingIdle),)

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Which processes, and whose they are."""
        found = call.lever("idle_processes", EndingIdle).idle()
        if not found:
            return Skip("no process is idle")
        return {"processes": _told(found), "targets": sorted({process.owner for process in found})}

    def _lever(self, call: ActionCall) -> _Ending:
        return call.lever("idle_processes", EndingIdle)
