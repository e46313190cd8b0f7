"""Approvals: asked for, given, refused, over; and what people are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ApprovalClosedError
from selfheal.events import ApprovalRequested
from selfheal.healing.actions import ActionCall, ActionRegistry, BaseAction, Plan, Receipt
from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import USELESS


def test_a_critical_level_waits_for_a_person_who_is_asked_once() -> None:
    """The healing ends without a failure, a request is published, and looking again asks nobody a second time."""
    rig = Rig(strategy({"level": "critical", "actions": ["restart"]}))
    records = rig.raise_alert()
    assert [(one.outcome, one.guard) for one in records] == [("interrupted", "approval")]
    rig.pass_time(600)
    assert [one.level for one in rig.of(ApprovalRequested)] == ["critical"]
    assert [one.title for one in rig.told] == ["cure: level critical needs approval"]
    assert rig.world.calls == []
    assert rig.engine.healer.snapshot().consecutive_failures == 0


def test_a_person_is_asked_on_a_clock_that_never_stands_still() -> None:
    """A request is published although time passes between asking and telling of it."""
    rig = Rig(strategy({"level": "critical", "actions": ["restart"]}), clock=SYSTEM_CLOCK)
    rig.engine.handle(ALERT)
    assert len(rig.of(ApprovalRequested)) == 1


def test_what_was_approved_goes_on_at_that_level_and_only_once() -> None:
    """After the approval the critical level runs at once, the soft one is not repeated, and the next time is asked."""
    rig = Rig(
        {
            "name": "cure",
            "trigger": "cpu > 80 clear 70",
            "settle": 0,
            "grace_period": 900,
            "max_attempts_per_hour": 9,
            "verify": {"samples": 1, "within": 10},
            "levels": [{"level": "soft", "actions": ["turn"]}, {"level": "critical", "actions": ["restart"]}],
        },
        fates=[USELESS],
    )
    rig.pass_time(60, observe={"cpu": 90.0})
    asked = rig.engine.snapshot().approvals[0]
    rig.engine.approve(asked.id, by="maria", reason="nothing else helps")
    rig.pass_time(60, observe={"cpu": 90.0})
    assert [kind for kind, _, _ in rig.world.calls] == ["run", "run"]
    assert rig.engine.history[-1].guard == "grace"
    with pytest.raises(ApprovalClosedError):
        rig.engine.approve(asked.id, by="maria", reason="once more")


def test_an_approval_lifts_the_grace_period_and_not_the_hourly_limit() -> None:
    """With one healing an hour a level that was approved waits for the hour to pass, and the guard says so."""
    rig = Rig(strategy({"level": "critical", "actions": ["restart"]}, max_attempts_per_hour=1))
    rig.raise_alert()
    rig.engine.approve(rig.engine.snapshot().approvals[0].id, by="maria", reason="go")
    assert [one.guard for one in rig.raise_alert()] == ["strategy_budget"]
    assert rig.world.calls == []


def test_an_approval_is_good_for_one_healing_also_after_a_crash(tmp_path: Path) -> None:
    """The next process does not take an approval that was used for one that stands."""
    path = tmp_path / "journal.jsonl"
    critical = strategy({"level": "critical", "actions": ["restart"]}, grace_period=0, max_attempts_per_hour=9)
    first = Rig(critical, fates=[USELESS], path=path)
    first.raise_alert()
    first.engine.approve(first.engine.snapshot().approvals[0].id, by="maria", reason="go")
    first.raise_alert()
    assert len(first.world.calls) == 1
    first.die()
    second = Rig(critical, path=path, world=first.world)
    second.clock.advance(60)
    assert [one.guard for one in second.raise_alert()] == ["approval"]
    assert len(first.world.calls) == 1


def test_what_was_approved_and_not_used_stands_after_a_crash(tmp_path: Path) -> None:
    """The next process goes on with a level that a person approved before the last one died."""
    path = tmp_path / "journal.jsonl"
    critical = strategy({"level": "critical", "actions": ["restart"]})
    first = Rig(critical, path=path)
    first.raise_alert()
    first.engine.approve(first.engine.snapshot().approvals[0].id, by="maria", reason="go")
    first.die()
    second = Rig(critical, path=path, world=first.world)
    assert [one.outcome for one in second.raise_alert()] == ["healed"]


@pytest.mark.parametrize("deny", [True, False])
def test_what_is_denied_or_not_decided_is_not_done_and_asked_again_when_it_is_over(deny: bool) -> None:
    """Until the request expires nothing is done; then the next healing asks anew."""
    rig = Rig(strategy({"level": "critical", "actions": ["restart"]}))
    rig.raise_alert()
    asked = rig.engine.snapshot().approvals[0]
    if deny:
        rig.engine.deny(asked.id, by="maria", reason="it is being debugged")
    rig.clock.advance(1800)
    [refused] = rig.raise_alert()
    assert refused.guard == "approval"
    assert ("was denied by maria: it is being debugged" if deny else "waits for a person") in refused.reason
    rig.clock.advance(1801)
    rig.raise_alert()
    assert len(rig.of(ApprovalRequested)) == 2
    assert rig.world.calls == []


def test_an_action_that_asks_waits_for_a_person_whatever_else_is_said() -> None:
    """Neither a soft level nor ``auto_critical`` lets it pass; with the approval it runs, once."""

    class Grave(BaseAction):
        """Not to be done by itself."""

        name = "grave"
        asks = True

        def run(self, call: ActionCall, plan: Plan) -> Receipt:
            done.append(call.target)
            return {}

        def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
            return True

    done: list[str] = []
    rig = Rig(strategy(["grave"], grace_period=0), actions=ActionRegistry([Grave()]), auto_critical=True)
    assert [one.guard for one in rig.raise_alert()] == ["approval"]
    assert done == []
    rig.engine.approve(rig.engine.snapshot().approvals[0].id, by="maria", reason="go")
    assert [one.outcome for one in rig.pass_time(10)] == ["healed"]
    assert done == ["web"]
