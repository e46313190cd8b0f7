"""Triggers of strategies: samples in, alerts out."""

from __future__ import annotations

from selfheal.conditions import ConditionIndex
from selfheal.events import Alert, AlertCleared, ClockJumped
from selfheal.healing.engine.triggers import Triggers
from selfheal.healing.strategies import StrategySet
from selfheal.testing import FakeClock
from tests.healing.engine.rig import Rig, strategy
from tests.healing.engine.world import USELESS

HOT = {
    "name": "hot",
    "trigger": "cpu > 80 for 60s clear 70",
    "settle": 10,
    "verify": {"samples": 1, "within": 10},
    "levels": [{"level": "soft", "actions": ["turn"]}],
}


def triggers(*specs: dict[str, object]) -> tuple[Triggers, FakeClock]:
    """Triggers of these strategies, and their clock."""
    clock = FakeClock()
    made = Triggers(clock, ConditionIndex(300.0, 64, 1000))
    made.use(StrategySet.from_data({"version": 1, "strategies": list(specs)}))
    return made, clock


def test_one_long_problem_is_one_alert_from_its_beginning_to_its_end() -> None:
    """Raised once after ``for``, with metric, value and target, and cleared once below ``clear``."""
    rig = Rig(HOT, fates=[USELESS])
    for value in [90.0] * 30 + [75.0] * 6 + [60.0] * 6:
        rig.clock.advance(10)
        rig.engine.observe("cpu", value, "web")
    [alert] = rig.of(Alert)
    assert (alert.kind, alert.target, alert.metric, alert.value) == ("hot", "web", "cpu", 90.0)
    assert [one.fingerprint for one in rig.of(AlertCleared)] == [alert.fingerprint]
    assert not rig.engine.open_alerts


def test_an_alert_of_a_trigger_goes_on_for_as_long_as_the_trigger_fires() -> None:
    """A problem of hours stays open although nothing raises it anew, and is answered again and again."""
    rig = Rig(HOT, fates=[USELESS])
    rig.pass_time(4 * 3600, step=60, observe={"cpu": 90.0})
    assert len([one for one in rig.engine.history if one.outcome == "failed"]) > 2
    assert len(rig.of(Alert)) == 1


def test_a_trigger_looks_at_the_targets_its_strategy_is_for() -> None:
    """Samples of other targets raise nothing."""
    made, clock = triggers({**HOT, "targets": ["web-*"], "trigger": "cpu > 80"})
    assert made.observe("cpu", 90.0, "db") == []
    [alert] = made.observe("cpu", 90.0, "web-1")
    assert isinstance(alert, Alert)
    assert alert.at == clock.wall()


def test_an_action_lets_its_target_settle_before_anything_new_fires_there() -> None:
    """What was pending on the target begins anew after the settle time; other targets are not touched."""
    made, clock = triggers(HOT)
    made.observe("cpu", 90.0, "web")
    made.observe("cpu", 90.0, "db")
    clock.advance(50)
    made.acted("web", 30)
    clock.advance(20)
    assert [one.target for one in made.tick() if isinstance(one, Alert)] == ["db"]
    made.observe("cpu", 90.0, "web")
    clock.advance(30)
    made.observe("cpu", 90.0, "web")
    assert made.tick() == []
    clock.advance(60)
    assert [one.target for one in made.tick() if isinstance(one, Alert)] == ["web"]


def test_after_a_jump_of_the_clock_nothing_is_known_to_have_lasted() -> None:
    """A condition that was about to fire has to hold for its whole time again."""
    rig = Rig(HOT, fates=[USELESS])
    rig.engine.observe("cpu", 90.0, "web")
    rig.clock.advance(59)
    rig.events.publish(ClockJumped(at=rig.clock.wall(), seconds=3600.0))
    rig.engine.observe("cpu", 90.0, "web")
    rig.clock.advance(30)
    rig.engine.observe("cpu", 90.0, "web")
    assert rig.of(Alert) == []
    rig.clock.advance(30)
    rig.engine.observe("cpu", 90.0, "web")
    assert len(rig.of(Alert)) == 1


def test_other_strategies_end_the_alerts_of_those_that_are_gone_and_keep_the_rest() -> None:
    """A strategy whose trigger did not change goes on as it is; one that is gone takes its alert back."""
    other = {**HOT, "name": "hotter"}
    rig = Rig({**HOT, "trigger": "cpu > 80"}, {**other, "trigger": "cpu > 85"}, fates=[USELESS])
    rig.engine.observe("cpu", 90.0, "web")
    assert {alert.kind for alert in rig.engine.open_alerts} == {"hot", "hotter"}
    kept = {**HOT, "trigger": "cpu > 80", "priority": 5}
    rig.engine.use(StrategySet.from_data({"version": 1, "strategies": [kept]}))
    assert [alert.kind for alert in rig.engine.open_alerts] == ["hot"]
    assert [one.fingerprint for one in rig.of(AlertCleared)] == ["hotter|web|cpu"]
    assert len(rig.of(Alert)) == 2


def test_a_strategy_that_is_switched_off_raises_and_answers_nothing() -> None:
    """It is loaded and checked, and no more."""
    rig = Rig({**HOT, "trigger": "cpu > 80", "enabled": False}, strategy(["turn"], enabled=False))
    rig.engine.observe("cpu", 90.0, "web")
    assert rig.of(Alert) == []
    assert [one.guard for one in rig.raise_alert()] == ["strategy"]
    assert rig.engine.snapshot().strategies == 0
