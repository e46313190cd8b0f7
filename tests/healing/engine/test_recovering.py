"""What a new process finds in the journal of one that died: counted, ended, undone, or left to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.events import EventBus
from selfheal.healing.engine import Policies
from selfheal.journal import Journal
from selfheal.policies.dormancy import DormantController
from selfheal.policies.protection import Protection
from selfheal.state import MemoryStore
from selfheal.testing import FakeClock
from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import RAISES, World

RUN = "0123456789abcdef0123456789abcdef"
CURE = strategy(["turn", "restart"], grace_period=300, max_attempts_per_hour=3)


def written(path: Path, world: World, *entries: tuple[str, dict[str, Any]]) -> None:
    """A journal with these entries, whose process died after the last."""
    journal = Journal(path, clock=world.clock, sync="never")
    for kind, fields in entries:
        journal.append(kind, run=RUN, **fields)
    journal._let_go()


def started(**more: Any) -> tuple[str, dict[str, Any]]:
    """The entry of a beginning."""
    alert: dict[str, Any] = {
        "kind": "ill", "target": "web", "metric": "", "value": None, "severity": "warning", "fingerprint": "ill@web",
        "message": "", "labels": {}, "at": 1.0,
    }  # fmt: skip
    fields = {"strategy": "cure", "target": "web", "alert": alert, "mode": "live", "level": "soft", "actions_total": 2}
    return "healing_started", {**fields, "trigger": "alert", **more}


def intent(step: int, action: str, new: int, **more: Any) -> tuple[str, dict[str, Any]]:
    """The entry of an intent; an action whose ``new`` is divisible by 4 cannot be probed."""
    effect = "reversible" if action == "turn" else "irreversible"
    plan = {"old": {"web": 0}, "new": new, "targets": ["web"], "fate": "ok"}
    fields = {
        "step": step, "action": action, "target": "web", "key": f"{RUN}:{step}", "plan": plan, "effect": effect,
        "destructive": action == "restart", "params": {}, "levers": {}, "undo_after": None, "dry_run": False,
    }  # fmt: skip
    return "action_intent", {**fields, **more}


def done(step: int) -> tuple[str, dict[str, Any]]:
    """The entry of a step that took effect."""
    return "action_done", {"step": step, "receipt": {}, "recovered": False}


def world_with(*effects: int) -> World:
    """A world in which these steps of the healing took effect."""
    world = World()
    world.receipts |= {f"{RUN}:{step}" for step in effects}
    return world


def test_what_was_done_is_undone_and_what_was_not_is_told_so(tmp_path: Path) -> None:
    """A done step is put back, one in doubt that took no effect is not, and the report says both."""
    path, world = tmp_path / "journal.jsonl", world_with(0)
    written(path, world, started(), intent(0, "turn", 1), done(0), intent(1, "restart", 2))
    rig = Rig(CURE, path=path, world=world)
    report = rig.engine.recover()
    [run] = report.runs
    assert (run.strategy, run.target, run.done, run.not_done, run.undone, run.held) == ("cure", "web", 0, 1, 1, ())
    assert [kind for kind, _, _ in world.calls] == ["undo"]
    [last] = rig.entries("healing_finished")
    assert (last.fields["outcome"], last.fields["success"]) == ("interrupted", False)
    assert rig.engine.snapshot().recovered


def test_a_step_in_doubt_that_took_effect_is_undone(tmp_path: Path) -> None:
    """The probe finds it done; then it is put back like any other."""
    path, world = tmp_path / "journal.jsonl", world_with(0)
    written(path, world, started(), intent(0, "turn", 1))
    [run] = Rig(CURE, path=path, world=world).engine.recover().runs
    assert (run.done, run.undone) == (1, 1)


def test_a_destructive_step_that_nobody_can_tell_of_holds_its_target(tmp_path: Path) -> None:
    """The target is left alone until a person has looked, also by the process after."""
    path, world = tmp_path / "journal.jsonl", World()
    written(path, world, started(), intent(0, "restart", 4))
    first = Rig(CURE, path=path, world=world)
    [run] = first.engine.recover().runs
    assert run.held == ("web",)
    world.clock.advance(1000)
    assert first.engine.handle(ALERT).guard == "held"
    first.die()
    second = Rig(CURE, path=path, world=world)
    assert second.engine.recover().held == ("web",)
    second.engine.release("web", by="maria", reason="looked at it")
    assert second.engine.handle(ALERT).outcome == "healed"


def test_what_was_recovered_is_not_recovered_again(tmp_path: Path) -> None:
    """A third process finds a healing that ended, and undoes nothing."""
    path, world = tmp_path / "journal.jsonl", world_with(0)
    written(path, world, started(), intent(0, "turn", 1), done(0))
    first = Rig(CURE, path=path, world=world)
    first.engine.recover()
    first.die()
    assert Rig(CURE, path=path, world=world).engine.recover().runs == ()
    assert len(world.calls) == 1


def test_nothing_is_undone_while_healing_is_switched_off(tmp_path: Path) -> None:
    """Recovery waits for the flag, and holds the target meanwhile."""
    path, world = tmp_path / "journal.jsonl", world_with(0)
    written(path, world, started(), intent(0, "turn", 1), done(0))
    rig = Rig(CURE, path=path, world=world)
    rig.flag("off")
    assert rig.engine.recover().runs == ()
    assert not rig.engine.snapshot().recovered
    rig.flag("on")
    rig.engine.run_once()
    assert len(rig.engine.recover().runs) == 1


def test_budgets_and_grace_periods_outlive_the_process(tmp_path: Path) -> None:
    """A restart gives neither a new grace period nor a new budget, nor fewer failures in a row."""
    path = tmp_path / "journal.jsonl"
    first = Rig(CURE, path=path, fates=[RAISES], actions_per_hour=4)
    first.raise_alert()
    first.die()
    first.clock.advance(10)
    second = Rig(CURE, path=path, world=first.world, actions_per_hour=4)
    report = second.engine.recover()
    assert (report.begun, report.acted, report.failures) == (1, 1, 1)
    assert {one.guard.value for one in second.engine.explain("cure", "web").refusals} == {"backoff", "grace"}
    assert second.engine.snapshot().actions_last_hour == 1


def test_a_clock_set_back_between_two_processes_opens_nothing(tmp_path: Path) -> None:
    """What lies in the future counts as of now."""
    path = tmp_path / "journal.jsonl"
    first = Rig(CURE, path=path)
    first.raise_alert()
    first.die()
    first.clock.advance(290)
    first.clock.jump(-86_400)
    second = Rig(CURE, path=path, world=first.world)
    second.engine.recover()
    second.clock.advance(200)
    assert second.engine.handle(ALERT).guard == "grace"
    second.clock.advance(101)
    assert second.engine.handle(ALERT).outcome == "healed"


@pytest.mark.parametrize(
    "damage",
    [("action_done", {"step": 0, "receipt": 5}), ("action_intent", {"step": 1}), ("rollback_done", {"step": 0})],
)
def test_a_healing_whose_entries_make_no_sense_is_left_to_a_person(damage: tuple[str, Any], tmp_path: Path) -> None:
    """Nothing is guessed: nothing of it is undone, and its target is held."""
    path, world = tmp_path / "journal.jsonl", world_with(0)
    written(path, world, started(), intent(0, "turn", 1), damage)
    rig = Rig(CURE, path=path, world=world)
    [run] = rig.engine.recover().runs
    assert run.held == ("web",)
    assert world.calls == []


def test_dry_runs_and_live_ones_have_budgets_of_their_own(tmp_path: Path) -> None:
    """What a dry run planned is no action of a live one, and the other way round."""
    path = tmp_path / "journal.jsonl"
    dry = Rig(CURE, path=path, mode="dry_run", actions_per_hour=2)
    dry.raise_alert()
    assert dry.engine.snapshot().actions_last_hour == 2
    dry.die()
    live = Rig(CURE, path=path, world=dry.world, actions_per_hour=2)
    report = live.engine.recover()
    assert (report.begun, report.acted) == (0, 0)
    assert [one.outcome for one in live.raise_alert()] == ["healed"]
    assert len(live.world.calls) == 2
    live.die()
    again = Rig(CURE, path=path, world=dry.world, mode="dry_run", actions_per_hour=2)
    assert again.engine.recover().acted == 2
    assert again.engine.recover().runs == ()


def test_a_journal_that_cannot_be_opened_refuses_everything(tmp_path: Path) -> None:
    """An engine whose journal is closed under it observes, and heals nothing."""
    rig = Rig(CURE, path=tmp_path / "journal.jsonl", world=World())
    assert rig.journal is not None
    rig.journal.close("by mistake")
    assert [one.guard for one in rig.raise_alert()] == ["observing"]
    assert isinstance(rig.clock, FakeClock)


def test_what_is_protected_since_is_not_undone_but_held(tmp_path: Path) -> None:
    """A target that nobody may touch any more is not put back either: a person has to look."""
    path, world = tmp_path / "journal.jsonl", world_with(0, 1)
    written(path, world, started(), intent(0, "turn", 1), done(0), intent(1, "turn", 2, target="db"), done(1))
    rig = Rig(CURE, path=path, world=world, policies=Policies(protection=Protection(denied=["web"], allowed=["*"])))
    [run] = rig.engine.recover().runs
    assert (run.undone, run.held) == (1, ("web",))
    assert [target for kind, _, target in world.calls if kind == "undo"] == ["db"]
    assert "protected now" in rig.entries("target_held")[0].fields["reason"]


def test_dormancy_outlives_the_process_by_the_journal_alone(tmp_path: Path) -> None:
    """Without a store of its own, what the journal says of dormancy counts, until a person has resumed it."""
    path, world = tmp_path / "journal.jsonl", World()
    first = Rig(CURE, path=path, world=world)
    first.engine.run_once()
    first.engine.healer.dormancy.enter("the disk smells", "manual")
    first.die()
    second = Rig(CURE, path=path, world=world)
    second.engine.run_once()
    assert "the disk smells" in str(second.engine.healer.snapshot().dormant_reason)
    assert second.engine.handle(ALERT).guard == "dormancy"
    second.engine.healer.dormancy.resume("a new disk", by="maria")
    second.die()
    third = Rig(CURE, path=path, world=world)
    third.engine.run_once()
    assert not third.engine.healer.dormancy.is_dormant


def test_a_store_of_dormancy_knows_better_than_the_journal(tmp_path: Path) -> None:
    """What a person resumed while nobody wrote the journal stays resumed."""
    path, world, store = tmp_path / "journal.jsonl", World(), MemoryStore()

    def kept() -> DormantController:
        return DormantController(store=store, clock=world.clock, events=EventBus())

    first = Rig(CURE, path=path, world=world)
    first.engine.run_once()
    first.engine.healer.dormancy.enter("the disk smells", "manual")
    first.die()
    second = Rig(CURE, path=path, world=world, dormancy=kept())
    second.engine.run_once()
    assert not second.engine.healer.dormancy.is_dormant
