"""The engine as a whole: where alerts come from, how it is driven, and several healings at once."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError
from selfheal.events import Alert, AlertCleared
from selfheal.healing.actions import ActionRegistry
from selfheal.healing.engine import Policies
from selfheal.healing.strategies import StrategySet
from selfheal.policies.protection import Protection
from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import USELESS

CURE = strategy(["turn"])


def test_alerts_of_the_bus_are_answered_once_somebody_listens() -> None:
    """Before ``subscribe`` they are nothing to it; a clearance takes one back before it is answered."""
    rig = Rig(CURE)
    rig.events.publish(ALERT)
    assert not rig.engine.open_alerts
    subscription = rig.engine.subscribe()
    rig.events.publish(ALERT)
    rig.events.publish(Alert(kind="ill", target="db", fingerprint="ill@db"))
    rig.events.publish(AlertCleared(at=0.0, fingerprint="ill@db"))
    assert rig.events.drain(60)
    assert [one.target for one in rig.engine.open_alerts] == ["web"]
    assert [(one.alert.target, one.outcome) for one in rig.engine.run_once()] == [("web", "healed")]
    subscription.cancel()


def test_a_scheduled_healing_begins_in_its_time_and_under_all_guards() -> None:
    """Not before, once, and refused like any other when a guard says so."""
    rig = Rig(CURE)
    rig.engine.schedule("cure", "web", after=60)
    rig.pass_time(55)
    assert rig.world.calls == []
    assert rig.engine.snapshot().queued == 1
    assert [one.outcome for one in rig.pass_time(20)] == ["healed"]
    rig.engine.schedule("cure", "web")
    assert [one.guard for one in rig.engine.run_once()] == ["grace"]
    with pytest.raises(NotFoundError, match="cure"):
        rig.engine.schedule("curee", "web")


def test_the_strategy_of_the_highest_priority_answers_and_file_order_decides_a_draw() -> None:
    """Of three that could, the first of the two highest does."""
    named = [strategy(["turn"], name=name, priority=priority) for name, priority in (("a", 1), ("b", 5), ("c", 5))]
    assert [one.strategy for one in Rig(*named).raise_alert()] == ["b"]


def test_a_dry_run_decides_everything_and_touches_nothing(tmp_path: Path) -> None:
    """All levels are planned and written down, the outcome is no success, and its own budget is spent."""
    cure = strategy(["turn"], ["pair"], {"level": "critical", "actions": ["restart"]})
    rig = Rig(cure, mode="dry_run", path=tmp_path / "journal.jsonl")
    [record] = rig.raise_alert()
    assert (record.outcome, record.details["verdict"]) == ("planned", "unknown")
    assert [entry.fields["action"] for entry in rig.entries("action_intent")] == ["turn", "pair", "restart"]
    [last] = rig.entries("healing_finished")
    assert (last.fields["success"], last.fields["dry_run"], last.fields["actions_executed"]) == (False, True, 0)
    assert rig.world.calls == []
    assert rig.engine.snapshot().actions_last_hour == 3
    assert [one.guard for one in rig.raise_alert()] == ["grace"]


def test_a_dry_run_obeys_protection_too() -> None:
    """What would be refused live is refused in a dry run."""
    rig = Rig(CURE, mode="dry_run", policies=Policies(protection=Protection(denied=["web"])))
    assert [one.guard for one in rig.raise_alert()] == ["protected"]


def test_in_an_event_loop_a_healing_waits_without_holding_it_up() -> None:
    """``arun_once`` and ``ahandle`` do what their plain ones do, actions beside the loop."""

    async def heal() -> tuple[list[Any], Any]:
        rig = Rig(CURE, strategy(["tell"], name="other", alerts=["odd"]), clock=SYSTEM_CLOCK, inline_actions=False)
        rig.engine.submit(ALERT)
        records = await rig.engine.arun_once()
        return records, await rig.engine.ahandle(Alert(kind="odd", target="db"))

    records, record = asyncio.run(heal())
    assert [one.outcome for one in records] == ["healed"]
    assert record.outcome == "healed"


def test_an_action_that_blocks_does_not_block_the_loop() -> None:
    """While an action waits in its thread, the loop goes on and frees it."""
    free = threading.Event()
    actions = ActionRegistry()
    actions.action("wait")(lambda call: {"free": free.wait(60)})

    async def heal() -> Any:
        rig = Rig(strategy(["wait"]), actions=actions, clock=SYSTEM_CLOCK, inline_actions=False)
        healing = asyncio.create_task(rig.engine.ahandle(ALERT))
        while not rig.engine.snapshot().under_way:
            await asyncio.sleep(0)
        free.set()
        return await healing

    assert "told by the actions" in asyncio.run(heal()).reason


def test_several_healings_act_at_the_same_time_on_different_targets_only() -> None:
    """With a concurrency of three, two actions meet in a barrier, and a third on a taken target is refused."""
    barrier = threading.Barrier(2)
    actions = ActionRegistry()

    @actions.action("meet")
    def meet(call: Any) -> dict[str, Any]:
        barrier.wait(60)
        return {}

    other = strategy(["meet"], name="other", alerts=["odd"])
    rig = Rig(strategy(["meet"]), other, actions=actions, concurrency=3, policies=Policies(blast_radius=None))
    for alert in (ALERT, Alert(kind="ill", target="db"), Alert(kind="odd", target="web")):
        rig.engine.submit(alert)
    records = rig.engine.run_once()
    assert sorted((one.alert.target, one.guard or "ran") for one in records) == [
        ("db", "ran"), ("web", "locked"), ("web", "ran"),
    ]  # fmt: skip
    assert rig.engine.snapshot().under_way == {}


def test_letting_things_settle_holds_neither_thread_nor_other_targets() -> None:
    """``run_once`` returns at once while a healing waits, and another target is healed meanwhile."""
    rig = Rig(strategy(["turn"], settle=60), concurrency=2, policies=Policies(blast_radius=None))
    rig.raise_alert()
    rig.engine.submit(Alert(kind="ill", target="db"))
    rig.engine.run_once()
    assert sorted(rig.engine.snapshot().under_way) == ["db", "web"]
    assert sorted(one.alert.target for one in rig.pass_time(65)) == ["db", "web"]


def test_handle_waits_for_the_verdict() -> None:
    """The blocking way lets the settle time pass and returns the record of the end."""
    rig = Rig(strategy(["turn"], settle=0.05), clock=SYSTEM_CLOCK)
    record = rig.engine.handle(ALERT)
    assert record.outcome == "healed"
    assert record.duration >= 0.05


def test_closing_ends_what_is_under_way_and_the_journal(tmp_path: Path) -> None:
    """A healing that waits is interrupted and written down, and nothing begins any more."""
    rig = Rig(strategy(["turn"], settle=60), path=tmp_path / "journal.jsonl")
    rig.raise_alert()
    rig.engine.close("a new version")
    assert [entry.type for entry in rig.entries()][-2:] == ["healing_finished", "clean_stop"]
    assert rig.entries("healing_finished")[0].fields["outcome"] == "interrupted"
    assert rig.engine.handle(ALERT).guard == "stopped"


def test_a_forked_child_heals_nothing_and_leaves_the_healing_to_its_parent(tmp_path: Path) -> None:
    """The child observes, takes nothing of the parent's on, and the parent goes on."""
    rig = Rig(strategy(["turn"], settle=60), path=tmp_path / "journal.jsonl")
    rig.raise_alert()
    pid = os.fork()
    if not pid:
        rig.clock.advance(61)
        records = rig.engine.run_once()
        good = [one.guard for one in records] == ["observing"] and not rig.engine.snapshot().under_way
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [one.outcome for one in rig.pass_time(65)] == ["healed"]


def test_strategies_that_cannot_work_here_are_refused_and_change_nothing() -> None:
    """An action that is not there is named at once, at the start and when strategies are exchanged."""
    with pytest.raises(InvalidConfigError, match="turnn"):
        Rig(strategy(["turnn"]))
    rig = Rig(CURE)
    with pytest.raises(InvalidConfigError, match="turnn"):
        rig.engine.use(StrategySet.from_data({"version": 1, "strategies": [strategy(["turnn"])]}))
    assert [one.outcome for one in rig.raise_alert()] == ["healed"]


def test_a_mode_that_is_none_is_refused() -> None:
    """The two that there are, are named."""
    with pytest.raises(ConfigError, match=r"'live' or 'dry_run'"):
        Rig(CURE, mode="dry")


def test_the_same_actions_run_with_other_strategies_from_the_next_alert_on() -> None:
    """A healing under way goes on as it began; the next is by the new set."""
    rig = Rig(strategy(["turn"], settle=60), fates=[USELESS])
    rig.raise_alert()
    rig.engine.use(StrategySet.from_data({"version": 1, "strategies": [strategy(["tell"], name="new")]}))
    assert [one.strategy for one in rig.pass_time(65) if one.outcome == "healed"] == ["cure"]
    assert [one.strategy for one in rig.raise_alert()] == ["new"]


def test_the_section_of_the_status_says_what_goes_on() -> None:
    """Camel case, durations in milliseconds, made of plain data."""
    rig = Rig(strategy([{"do": "turn", "undo_after": 60}]))
    rig.raise_alert()
    section = rig.engine.section()
    assert section["mode"] == "live"
    assert section["actionsLastHour"] == 1
    assert section["measures"] == [{"strategy": "cure", "target": "web", "action": "turn", "undoIn": 60_000}]
