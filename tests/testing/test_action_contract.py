"""The contract for actions: each check finds the action that breaks it, and nothing in one that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from selfheal.errors import ConfigError
from selfheal.healing.actions import (
    ActionCall,
    ActionRegistry,
    BaseAction,
    Effect,
    LeverNeed,
    NoParams,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
)
from selfheal.levers import Pausing, RateLimiting
from selfheal.testing import ActionContract, ActionScene, ContractBreachError, RecordingLevers, check_action


class Good(BaseAction):
    """Halves the rate."""

    name = "good"
    effect = Effect.REVERSIBLE
    needs = (LeverNeed(role="rate_limiter", protocol=RateLimiting),)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        old = call.lever("rate_limiter", RateLimiting).rate
        return {"rate": old / 2, "old": old}

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        call.lever("rate_limiter", RateLimiting).set_rate(plan["rate"])
        return {"rate": plan["rate"]}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        rate = call.lever("rate_limiter", RateLimiting).rate
        return Probed.DONE if rate == plan["rate"] else Probed.NOT_DONE if rate == plan["old"] else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        return bool(call.lever("rate_limiter", RateLimiting).rate == plan["rate"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        lever = call.lever("rate_limiter", RateLimiting)
        if lever.rate == plan["rate"]:
            lever.set_rate(plan["old"])
        return None if lever.rate == plan["old"] else f"left at {lever.rate}"


def scene() -> ActionScene:
    levers = RecordingLevers()

    def meddle() -> None:
        levers.rate_limiter.rate = 7.0

    return ActionScene(levers=levers, look=lambda: levers.rate_limiter.rate, meddle=meddle)


def lever(call: ActionCall) -> Any:
    return call.levers["rate_limiter"]


class Harmful(Good):
    """Neutral by its own word, and destructive."""

    effect = Effect.NEUTRAL
    destructive = True


class Timeless(Good):
    timeout = 0.0


@attrs.define(kw_only=True)
class SoftParams:
    factor: float = 2.0


class Soft(Good):
    params = SoftParams


class Undemanding(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        return super().plan(call) if call.levers else Skip("there is no lever")


class PlansAhead(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        plan = super().plan(call)
        lever(call).set_rate(50.0)
        return plan


class Unwritable(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        plan = super().plan(call)
        assert not isinstance(plan, Skip)
        return {**plan, "set": {1, 2}}


class Endless(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        plan = super().plan(call)
        assert not isinstance(plan, Skip)
        return {**plan, "limit": float("inf")}


class Tuples(Good):
    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        super().run(call, plan)
        return {"pair": (1, 2)}


class Lengthy(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        plan = super().plan(call)
        assert not isinstance(plan, Skip)
        return {**plan, "all": "x" * 40_000}


class Idle(Good):
    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        return {"rate": lever(call).rate}


class Swallows(Good):
    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        try:
            return super().run(call, plan)
        except Exception:
            return {"rate": 0}


class Renames(Good):
    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        error = None
        try:
            return super().run(call, plan)
        except Exception:
            error = ValueError("something")
        raise error


class NotNeutral(Good):
    effect = Effect.NEUTRAL


class SaysDoneFirst(Good):
    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        return Probed.DONE


class SaysNotDone(Good):
    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        return Probed.NOT_DONE


class ProbesByDoing(Good):
    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        lever(call).set_rate(plan["rate"])
        return Probed.UNKNOWN


class ProbesInWords(Good):
    probe: Any = staticmethod(lambda call, plan: "done")


class Doubtful(Good):
    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        return False


class Boastful(Good):
    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        return True


class VerifiesByDoing(Good):
    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        lever(call).set_rate(1.0)
        return None


class Twice(Good):
    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        lever(call).set_rate(lever(call).rate / 2)
        return {}


class Forgets(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        return None


class NeedsReceipt(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        return super().rollback(call, plan, receipt) if receipt else None


class DoublesBack(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        lever(call).set_rate(lever(call).rate * 2)
        return "doubled"


class Remembers(Good):
    old = 0.0

    def plan(self, call: ActionCall) -> Plan | Skip:
        plan = super().plan(call)
        assert not isinstance(plan, Skip)
        self.old = plan["old"]
        return {"rate": plan["rate"], "old": 0}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        return Probed.UNKNOWN

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        return super().rollback(call, {"rate": plan["rate"], "old": self.old}, receipt)


class SwallowsBack(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        try:
            return super().rollback(call, plan, receipt)
        except Exception:
            return "could not"


class Tramples(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        lever(call).set_rate(plan["old"])
        return None


class Silent(Good):
    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        super().rollback(call, plan, receipt)
        return None


class Raises(Good):
    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        raise KeyError("rate")


class SkipsAlways(Good):
    def plan(self, call: ActionCall) -> Plan | Skip:
        return Skip("no")


BROKEN: list[tuple[type[Good], str, str]] = [
    (Harmful, "declares_what_can_be", "destructive is not neutral"),
    (Timeless, "declares_what_can_be", "timeout must be seconds, more than 0"),
    (Soft, "declares_what_can_be", "SoftParams is not frozen"),
    (Undemanding, "needs_its_levers", "lever 'rate_limiter' is missing, and neither plan nor run says so"),
    (PlansAhead, "plan_changes_nothing", "plan changed something: 100.0 -> 50.0"),
    (Unwritable, "plan_and_receipt_are_json", "the plan is not made of what JSON has"),
    (Endless, "plan_and_receipt_are_json", "the plan is not made of what JSON has"),
    (Tuples, "plan_and_receipt_are_json", "the receipt comes back from JSON as something else"),
    (Lengthy, "plan_and_receipt_are_json", "at most 32768"),
    (Idle, "acts_through_levers_and_raises", "run pulls none of its levers"),
    (Swallows, "acts_through_levers_and_raises", "run swallowed an error of rate_limiter.set_rate"),
    (Renames, "acts_through_levers_and_raises", "raised ValueError without it as its cause"),
    (NotNeutral, "neutral_changes_nothing", "a neutral action changed something: 100.0 -> 50.0"),
    (SaysDoneFirst, "probe_does_not_lie", "done before it ran"),
    (SaysNotDone, "probe_does_not_lie", "not done after it ran"),
    (ProbesByDoing, "probe_does_not_lie", "probe changed something"),
    (ProbesInWords, "probe_does_not_lie", "must give a Probed, it gave 'done'"),
    (Raises, "probe_does_not_lie", "probe raised KeyError"),
    (SkipsAlways, "plan_changes_nothing", "plan skipped in a scene where there was something to do"),
    (Doubtful, "verify_changes_nothing_and_does_not_lie", "does not hold after it ran"),
    (Boastful, "verify_changes_nothing_and_does_not_lie", "holds after it was undone"),
    (VerifiesByDoing, "verify_changes_nothing_and_does_not_lie", "verify changed something"),
    (Twice, "repeats_as_declared", "a second time it did something more, and it declares same"),
    (Forgets, "rollback_restores", "did not put things back: 100.0 -> 50.0"),
    (NeedsReceipt, "rollback_restores", "in doubt whether it ran, rollback did not put things back"),
    (DoublesBack, "rollback_twice_is_once", "a second rollback changed something: 100.0 -> 200.0"),
    (DoublesBack, "rollback_of_what_never_ran", "rollback of what never ran changed something"),
    (Remembers, "rollback_from_the_journal", "another instance, given the plan as it was written"),
    (SwallowsBack, "rollback_raises", "rollback swallowed an error of rate_limiter.set_rate"),
    (Tramples, "rollback_leaves_what_others_changed", "undid what somebody else had changed since: 7.0 -> 100.0"),
    (Silent, "rollback_leaves_what_others_changed", "does not say so"),
]


def test_the_good_one_keeps_it() -> None:
    """An action that does everything right keeps every check."""
    assert ActionContract(Good(), scene).breaches() == ()
    check_action(Good(), scene)


@pytest.mark.parametrize(("kind", "check", "told"), BROKEN, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_a_breach_is_found(kind: type[Good], check: str, told: str) -> None:
    """Each check finds the action that was broken for it, and says in which way."""
    with pytest.raises(ContractBreachError) as caught:
        ActionContract(kind(), scene).check(check)
    assert told in str(caught.value)


def test_every_check_has_a_breach() -> None:
    """No check is without an action that it finds."""
    assert {check for _, check, _ in BROKEN} | {"ends_early"} == set(ActionContract.CHECKS)


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_goes_on_when_cancelled_is_found(asks: bool) -> None:
    """An action of many steps that is told to end and goes on all the same is found; one that asks is not."""

    class Work:
        def __init__(self) -> None:
            self.on = {"a", "b", "c"}

        def active(self) -> list[str]:
            return sorted(self.on)

        def suspended(self) -> list[str]:
            return sorted({"a", "b", "c"} - self.on)

        def suspend(self, id: str) -> bool:
            self.on.discard(id)
            return True

        def resume(self, id: str) -> bool:
            return True

    class Suspends(BaseAction):
        name = "suspends"
        needs = (LeverNeed(role="work", protocol=Pausing),)
        repeat = Repeat.SAME

        def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
            for id in ("a", "b", "c"):
                if asks:
                    call.go_on()
                call.lever("work", Pausing).suspend(id)
            return {}

    def busy() -> ActionScene:
        work = Work()
        return ActionScene(levers={"work": work}, look=work.active)

    told = ActionContract(Suspends(), busy).breaches()
    assert told == (() if asks else ("ends_early: cancelled from the start, run still pulled work.suspend 3 times",))


def test_all_breaches_come_at_once() -> None:
    """The one error of all checks names the action and each check that it breaks."""
    with pytest.raises(ContractBreachError) as caught:
        check_action(Forgets(), scene)

    told = str(caught.value)
    assert "action 'good' does not keep the contract" in told
    assert "- rollback_restores: " in told
    assert "- rollback_from_the_journal: " in told


def test_an_unknown_check_is_refused() -> None:
    """A check that does not exist is no check that passes."""
    with pytest.raises(ConfigError, match="declares_what_can_be"):
        ActionContract(Good(), scene).check("declares")


def test_scenes_are_closed() -> None:
    """What a scene started is ended after each check, also when the check fails."""
    closed: list[int] = []

    def counted() -> ActionScene:
        return attrs.evolve(scene(), close=lambda: closed.append(1))

    ActionContract(Good(), counted).check("plan_changes_nothing")
    with pytest.raises(ContractBreachError):
        ActionContract(PlansAhead(), counted).check("plan_changes_nothing")

    assert len(closed) == 2


def test_a_declared_function_keeps_it_too() -> None:
    """An action made of functions is checked like any other."""
    registry = ActionRegistry()

    @registry.action("halve", needs=Good.needs, effect=Effect.REVERSIBLE, params=NoParams, repeat=Repeat.SAME)
    def halve(call: ActionCall, plan: Plan) -> Receipt | None:
        return Good().run(call, plan)

    good: dict[str, Callable[..., Any]] = {s: getattr(Good(), s) for s in ("plan", "probe", "verify", "rollback")}
    for step, function in good.items():
        getattr(halve, step)(function)

    check_action(registry.get("halve"), scene)
