"""Actions that make room: work put off and let go on, optional work stopped, a restart prepared."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

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
from selfheal.healing.actions.telling import in_words
from selfheal.levers import Pausing, PreparingRestart, StoppingOptional

_WORK = LeverNeed(role="low_priority", protocol=Pausing)


def all_or_none(found: Sequence[str], wanted: Sequence[str]) -> Probed:
    """Done where all of ``wanted`` are found, not done where none is; in between it cannot be told."""
    hits = len(set(found).intersection(wanted))
    return Probed.DONE if hits == len(wanted) else Probed.UNKNOWN if hits else Probed.NOT_DONE


class SuspendLowPriority(BaseAction):
    """Pause all work that can wait. Undone by letting go on what was paused."""

    name = "suspend_low_priority"
    effect = Effect.REVERSIBLE
    timeout = 30.0
    needs = (_WORK,)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """What is not paused yet."""
        active = sorted(call.lever("low_priority", Pausing).active())
        return {"targets": active} if active else Skip("no low-priority work is active")

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Pause each."""
        lever = call.lever("low_priority", Pausing)
        done = []
        for id in plan["targets"]:
            call.go_on()
            if lever.suspend(id):
                done.append(id)
        return {"suspended": done}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether none of it is active."""
        active = set(call.lever("low_priority", Pausing).active())
        return all_or_none([id for id in plan["targets"] if id not in active], plan["targets"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether none of it is active."""
        return self.probe(call, plan) is Probed.DONE

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Let each go on that is still paused; what went on since, or is gone, needs nothing."""
        lever = call.lever("low_priority", Pausing)
        active = set(lever.active())
        for id in plan["targets"]:
            if id not in active:
                lever.resume(id)
        return None


class ResumeLowPriority(BaseAction):
    """Let the work go on that was paused to make room. Undone by pausing it again."""

    name = "resume_low_priority"
    effect = Effect.REVERSIBLE
    timeout = 30.0
    needs = (_WORK,)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """What was paused to make room and still is."""
        suspended = sorted(call.lever("low_priority", Pausing).suspended())
        return {"targets": suspended} if suspended else Skip("no low-priority work is suspended")

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Let each go on."""
        lever = call.lever("low_priority", Pausing)
        done = []
        for id in plan["targets"]:
            call.go_on()
            if lever.resume(id):
                done.append(id)
        return {"resumed": done}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether all of it is active."""
        return all_or_none(call.lever("low_priority", Pausing).active(), plan["targets"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether all of it is active."""
        return self.probe(call, plan) is Probed.DONE

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Pause each again that is active; what somebody paused since is paused."""
        lever = call.lever("low_priority", Pausing)
        for id in set(lever.active()).intersection(plan["targets"]):
            lever.suspend(id)
        return None


class StopOptional(BaseAction):
    """Stop all optional work; a person starts it again."""

    name = "stop_optional"
    effect = Effect.IRREVERSIBLE
    destructive = True
    timeout = 120.0
    needs = (LeverNeed(role="optional", protocol=StoppingOptional),)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """What runs of it."""
        running = list(call.lever("optional", StoppingOptional).running())
        return {"targets": running} if running else Skip("no optional work is running")

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Stop what still runs of it, one by one."""
        lever = call.lever("optional", StoppingOptional)
        done = []
        for name in plan["targets"]:
            call.go_on()
            if name in lever.running():
                lever.stop(name, f"strategy {call.strategy}: {in_words(call.alert)}")
                done.append(name)
        return {"stopped": done}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether none of it runs."""
        running = set(call.lever("optional", StoppingOptional).running())
        return all_or_none([name for name in plan["targets"] if name not in running], plan["targets"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether none of it runs."""
        return self.probe(call, plan) is Probed.DONE


@attrs.frozen(kw_only=True)
class PrepareParams:
    """Why a restart is prepared.

    Args:
        reason: by default the strategy and what the alert tells.
    """

    reason: str = ""


class PrepareRestart(BaseAction):
    """Get ready for a restart: take in no more work, write down what is in memory. Undone by going on."""

    name = "prepare_restart"
    effect = Effect.REVERSIBLE
    timeout = 60.0
    needs = (LeverNeed(role="restart_preparation", protocol=PreparingRestart),)
    params = PrepareParams
    repeat = Repeat.ONCE

    def plan(self, call: ActionCall) -> Plan | Skip:
        """That it is not ready yet."""
        params: PrepareParams = call.params
        if call.lever("restart_preparation", PreparingRestart).prepared:
            return Skip("a restart is prepared already")
        return {"reason": params.reason or f"strategy {call.strategy}: {in_words(call.alert)}"}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Get ready, unless it is."""
        lever = call.lever("restart_preparation", PreparingRestart)
        if not lever.prepared:
            lever.prepare(plan["reason"])
        return {"prepared": lever.prepared}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Done where it is ready. Where it is not, some of its steps may have been done: that cannot be told."""
        prepared = call.lever("restart_preparation", PreparingRestart).prepared
        return Probed.DONE if prepared else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether it is ready."""
        return call.lever("restart_preparation", PreparingRestart).prepared

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Go on as before, if it is ready for a restart, or in doubt whether it is in part."""
        lever = call.lever("restart_preparation", PreparingRestart)
        if lever.prepared or receipt is None:
            lever.cancel(f"undone: {plan['reason']}")
        return None
