"""The guards of an engine: each with its refusal, in their order, and as ``explain()`` tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.events import Alert, ClockJumped
from selfheal.healing.engine import Policies
from selfheal.healing.records import GuardName
from selfheal.policies.blast_radius import BlastRadius
from selfheal.policies.inhibition import Inhibition, InhibitionRule
from selfheal.policies.matching import AlertMatch
from selfheal.policies.protection import Protection
from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import RAISES, STUCK

FIRE = Alert(kind="fire", target="web", fingerprint="fire@web")
INHIBITED = Inhibition(
    rules=[InhibitionRule(name="cause", source=AlertMatch(kind="fire"), target=AlertMatch(kind="ill"))]
)


def policies(**more: Any) -> Policies:
    """Policies under which everything may be harmed, but for what is given."""
    return Policies(**{"protection": Protection(allowed=["*"]), "blast_radius": None, **more})


def stop(rig: Rig) -> None:
    rig.engine.healer.stop("over")


def flag_off(rig: Rig) -> None:
    rig.flag("off")


def sleep(rig: Rig) -> None:
    rig.engine.healer.dormancy.enter("a person says so", "manual")


def jump(rig: Rig) -> None:
    rig.engine.healer.settle()


def silence(rig: Rig) -> None:
    rig.engine.silence({"target": "web"}, duration=600, by="maria", reason="new disk")


def burn(rig: Rig) -> None:
    rig.engine.submit(FIRE)


def ask(rig: Rig) -> None:
    rig.raise_alert()


def trip(rig: Rig) -> None:
    rig.engine.healer.breaker.trip("enough")


def fail(rig: Rig) -> None:
    rig.raise_alert()


def heal(rig: Rig) -> None:
    rig.raise_alert()


def heal_long_ago(rig: Rig) -> None:
    rig.raise_alert()
    rig.clock.advance(1000)


def spend(rig: Rig) -> None:
    rig.raise_alert(Alert(kind="ill", target="db"))


def spread(rig: Rig) -> None:
    for target in ("a", "b", "c"):
        rig.engine.submit(Alert(kind="other", target=target))


def hold(rig: Rig) -> None:
    rig.raise_alert()
    rig.engine.healer.dormancy.resume("looked at it", by="maria")


def begin(rig: Rig) -> None:
    rig.raise_alert(Alert(kind="ill", target="db", fingerprint="elsewhere"))


PLAIN = strategy(["turn"])
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "stopped": (stop, PLAIN, {}, "over"),
    "flags": (flag_off, PLAIN, {}, "FEATURE_AUTO_HEALING_ENABLED is off"),
    "dormancy": (sleep, PLAIN, {}, "dormant until a person resumes it: a person says so"),
    "settling": (jump, PLAIN, {}, "things settle"),
    "protected": (
        lambda rig: None,
        PLAIN,
        {"policies": policies(protection=Protection(denied=["w*"]))},
        "is protected",
    ),
    "silenced": (silence, PLAIN, {}, "silenced by maria: new disk"),
    "inhibited": (burn, PLAIN, {"policies": policies(inhibition=INHIBITED)}, "rule 'cause': 'fire' on 'web' is open"),
    "approval": (ask, strategy({"level": "critical", "actions": ["turn"]}, grace_period=0), {}, "waits for a person"),
    "breaker": (trip, PLAIN, {}, "circuit 'healer'"),
    "backoff": (fail, strategy(["turn"], grace_period=0), {"fates": [RAISES]}, "waiting after 1 failures in a row"),
    "grace": (heal, PLAIN, {}, "within its grace period"),
    "strategy_budget": (
        heal_long_ago,
        strategy(["turn"], max_attempts_per_hour=1),
        {},
        "began 1 times in the last hour",
    ),
    "budget": (spend, PLAIN, {"actions_per_hour": 1}, "1 automatic actions"),
    "blast_radius": (spread, PLAIN, {"policies": policies(blast_radius=BlastRadius(max_unhealthy=2))}, "4 of 4 known"),
    "held": (
        hold,
        strategy(["turn", "tell"], grace_period=0),
        {"fates": [STUCK, RAISES]},
        "'web' is held: not undone: turn on 'web'",
    ),
    "locked": (
        begin,
        strategy([{"do": "tell", "target": "web"}], settle=60),
        {"concurrency": 2},
        "another healing has 'web'",
    ),
    "busy": (begin, strategy(["turn"], settle=60), {}, "a healing is in progress"),
}


def made(name: str) -> tuple[Rig, str]:
    """A rig in which one guard refuses, and what it says."""
    arrange, cure, options, said = CASES[name]
    rig = Rig(cure, **{"policies": policies(), **options})
    arrange(rig)
    return rig, said


@pytest.mark.parametrize("name", CASES)
def test_each_guard_refuses_with_its_name_and_reason(name: str) -> None:
    """The refusal is recorded with the guard and in words, and nothing is touched."""
    rig, said = made(name)
    before = list(rig.world.calls)
    record = rig.engine.handle(ALERT)
    assert (record.outcome, record.guard) == ("refused", name)
    assert said in record.reason
    assert rig.world.calls == before


@pytest.mark.parametrize("name", CASES)
def test_explain_tells_of_the_refusal_before_it_happens(name: str) -> None:
    """The guard is named in the answer to "why not?", which itself counts and takes nothing."""
    rig, said = made(name)
    rig.engine.submit(ALERT)
    refused = dict(rig.engine.healer.snapshot().refused)
    explanation = rig.engine.explain("cure", "web")
    assert not explanation.would_heal
    assert explanation.open
    assert name in [one.guard for one in explanation.refusals]
    assert f"  {name}: " in str(explanation)
    assert said in str(explanation)
    assert dict(rig.engine.healer.snapshot().refused) == refused


def test_the_cases_are_all_guards_there_are_and_in_their_order() -> None:
    """Each guard an engine can refuse by has a case here, but for the two that need no alert of its own or a rival."""
    assert list(CASES) == [guard.value for guard in GuardName if guard not in ("strategy", "observing")]


def test_of_several_refusals_the_first_in_order_is_the_one_recorded() -> None:
    """With everything against it the flag is told first, and explain lists all in the order of the guards."""
    rig = Rig(strategy(["turn"]), policies=policies())
    for arrange in (heal, trip, silence, jump, sleep, flag_off):
        arrange(rig)
    told = [one.guard.value for one in rig.engine.explain("cure", "web").refusals]
    assert told == ["flags", "dormancy", "settling", "silenced", "breaker", "grace"]
    assert rig.engine.handle(ALERT).guard == "flags"
    rig.flag("on")
    assert rig.engine.handle(ALERT).guard == "dormancy"


def test_an_engine_beside_the_one_that_writes_the_journal_observes(tmp_path: Path) -> None:
    """The second engine refuses everything until the first has ended, and then takes over."""
    path = tmp_path / "journal.jsonl"
    first, second = Rig(PLAIN, path=path), Rig(PLAIN, path=path)
    assert [one.guard for one in second.raise_alert()] == ["observing"]
    assert second.engine.snapshot().observing
    first.die()
    second.clock.advance(1)
    assert [one.outcome for one in second.raise_alert()] == ["healed"]


def test_a_repeated_refusal_is_written_down_once(tmp_path: Path) -> None:
    """What goes on for an hour is one entry, with guard and reason."""
    rig = Rig(PLAIN, path=tmp_path / "journal.jsonl", policies=policies(protection=Protection(denied=["web"])))
    for _ in range(60):
        rig.raise_alert()
        rig.clock.advance(60)
    [entry] = rig.entries("healing_refused")
    assert entry.fields["guard"] == "protected"
    assert entry.fields["reason"] == "'web' is protected: 'web' is denied"


def test_a_target_that_an_action_finds_only_when_it_plans_is_protected_too() -> None:
    """What the plan lists is checked right before the action runs, which fails then without having begun."""
    rig = Rig(strategy(["pair"]), policies=policies(protection=Protection(denied=["*-twin"])))
    [record] = rig.raise_alert()
    assert record.outcome == "failed"
    assert "'web-twin' is protected" in record.reason
    assert rig.world.calls == []


def test_a_jump_of_the_clock_lets_things_settle() -> None:
    """An engine that listens begins nothing for 30 s after a jump, and then goes on."""
    rig = Rig(PLAIN)
    rig.engine.subscribe()
    rig.events.publish(ClockJumped(at=0.0, seconds=60.0))
    assert [one.guard for one in rig.raise_alert()] == ["settling"]
    rig.clock.advance(31)
    assert [one.outcome for one in rig.engine.run_once()] == ["healed"]


def test_a_strategy_of_more_actions_than_are_left_holds_up_no_other() -> None:
    """Where the budget has room for one action, a strategy of one is used although one of three waits before it."""
    three = strategy(["tell", "tell", "tell"], name="three", alerts=["big"], priority=9)
    rig = Rig(three, strategy(["turn"]), actions_per_hour=2, policies=policies())
    rig.engine.submit(Alert(kind="big", target="db", severity="critical"))
    records = {one.strategy: one for one in rig.raise_alert()}
    assert records["three"].guard == "strategy_budget"
    assert records["cure"].outcome == "healed"


def test_explain_says_what_would_have_to_happen_when_nothing_is_the_matter() -> None:
    """Without an open alert the answer names what the strategy waits for, and refuses nothing."""
    rig = Rig(strategy(["turn"], trigger="cpu > 80 for 5m"))
    explanation = rig.engine.explain("cure", "web")
    assert (explanation.open, explanation.would_heal, explanation.refusals) == (False, False, ())
    assert "none: its trigger, cpu > 80 for 5m or alert 'ill' does not fire" in str(explanation)


def test_explain_says_that_it_would_heal_and_that_it_is_healing() -> None:
    """An open alert with nothing against it would be healed; once begun it is being healed."""
    rig = Rig(strategy(["turn"], settle=60))
    rig.engine.submit(ALERT)
    assert "would be healed now" in str(rig.engine.explain("cure", "web"))
    rig.engine.run_once()
    assert "is being healed now" in str(rig.engine.explain("cure", "web"))
