"""Tests of alerts on their way to a healing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from selfheal.errors import ConfigError, StateError
from selfheal.events import Alert, AlertCleared, ResumeLooksPossible
from selfheal.healing import GuardName, Healer, HealingContext, Outcome, Strategy
from tests.healing.rig import ALERT, Rig


def alert(target: str, severity: str = "warning") -> Alert:
    """An alert about a target."""
    return Alert(kind="slow", target=target, severity=severity)


def test_an_alert_waits_for_the_next_run_and_is_healed_once() -> None:
    """A submitted alert is healed by run_once and waits no more."""
    rig = Rig()
    assert rig.healer.submit(ALERT) is True
    assert rig.healer.snapshot().pending == 1
    records = rig.healer.run_once()

    assert [(record.alert, record.outcome) for record in records] == [(ALERT, Outcome.HEALED)]
    assert rig.healer.snapshot().pending == 0
    assert rig.healer.run_once() == []


def test_one_problem_is_one_alert() -> None:
    """An alert raised a hundred times waits once, with what was raised last."""
    rig = Rig()
    for value in range(100):
        rig.healer.submit(Alert(kind="slow", target="api", value=float(value)))
    (record,) = rig.healer.run_once()

    assert record.alert.value == 99.0
    assert len(rig.began) == 1


def test_critical_alerts_come_first_then_the_oldest() -> None:
    """The order is by severity and, within one, by arrival; raising again keeps the turn."""
    rig = Rig()
    for target, severity in (("a", "info"), ("b", "warning"), ("c", "critical"), ("d", "critical"), ("b", "warning")):
        rig.healer.submit(alert(target, severity))

    assert [record.alert.target for record in rig.healer.run_once()] == ["c", "d", "b", "a"]


def test_a_cleared_alert_is_not_healed() -> None:
    """A problem that is gone is not healed, also when it goes while another is being healed."""
    rig = Rig()
    rig.healer.submit(alert("a"))
    rig.healer.submit(alert("b"))
    rig.healer.submit(alert("c"))
    assert rig.healer.clear(alert("a").fingerprint) is True
    assert rig.healer.clear(alert("a").fingerprint) is False
    rig.says = lambda context: rig.healer.clear(alert("c").fingerprint)

    assert [record.alert.target for record in rig.healer.run_once()] == ["b"]


def test_a_refused_alert_waits_until_a_guard_lets_it() -> None:
    """A guard that refuses ends the run after one record, and the alerts wait on."""
    rig = Rig()
    rig.switch_off()
    rig.healer.submit(alert("a"))
    rig.healer.submit(alert("b"))
    for _ in range(5):
        assert [record.guard for record in rig.healer.run_once()] == [GuardName.FLAGS]
    assert rig.healer.snapshot().pending == 2
    rig.switch_on()

    assert [record.outcome for record in rig.healer.run_once()] == [Outcome.HEALED, Outcome.HEALED]


def test_a_failed_alert_is_tried_again_after_the_backoff() -> None:
    """A failed healing keeps its alert waiting, and the run stops there."""
    rig = Rig()
    rig.healer.submit(alert("a"))
    rig.healer.submit(alert("b"))
    rig.says = False
    assert [(record.alert.target, record.outcome) for record in rig.healer.run_once()] == [
        ("a", Outcome.FAILED),
        ("b", Outcome.REFUSED),
    ]
    rig.clock.advance(5)
    rig.says = True

    assert [record.alert.target for record in rig.healer.run_once()] == ["a", "b"]


def test_an_alert_not_raised_again_expires() -> None:
    """An alert waits 300 s since it was last raised, and what expired is counted."""
    rig = Rig()
    rig.switch_off()
    rig.healer.submit(alert("old"))
    rig.healer.submit(alert("goes on"))
    rig.clock.advance(200)
    rig.healer.submit(alert("goes on"))
    rig.clock.advance(101)
    rig.switch_on()

    assert [record.alert.target for record in rig.healer.run_once()] == ["goes on"]
    assert rig.healer.snapshot().expired == 1


def test_the_wall_clock_expires_nothing() -> None:
    """A step of the wall clock does not make an alert old."""
    rig = Rig()
    rig.healer.submit(ALERT)
    rig.clock.jump(86_400)

    assert len(rig.healer.run_once()) == 1


def test_what_does_not_fit_is_refused_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A full set takes no further problem, says so once in the log, and shows how many it did not take."""
    rig = Rig(pending_limit=3)
    taken = [rig.healer.submit(alert(str(n))) for n in range(8)]

    assert taken == [True] * 3 + [False] * 5
    assert rig.healer.submit(alert("0")) is True
    assert (rig.healer.snapshot().pending, rig.healer.snapshot().dropped) == (3, 5)
    assert caplog.text.count("is not taken") == 1


def test_expired_alerts_make_room() -> None:
    """A set full of expired alerts takes a new one."""
    rig = Rig(pending_limit=1, alert_ttl=10.0)
    rig.healer.submit(alert("old"))
    rig.clock.advance(11)

    assert rig.healer.submit(alert("new")) is True


def test_only_alerts_are_taken() -> None:
    """Something that is no alert is refused by name."""
    text: Any = "slow"
    with pytest.raises(ConfigError, match=r"alert of Healer\.submit"):
        Rig().healer.submit(text)


def test_handling_directly_also_ends_the_waiting() -> None:
    """An alert healed by handle() waits no more; one that failed waits on."""
    rig = Rig()
    rig.healer.submit(ALERT)
    rig.handle(False)
    assert rig.healer.snapshot().pending == 1
    rig.wait()
    rig.handle(True)
    assert rig.healer.snapshot().pending == 0


def test_alerts_come_in_as_events_in_order() -> None:
    """Subscribed, it takes alerts and their ends from the bus in the order in which they were published."""
    rig = Rig()
    subscription = rig.healer.subscribe()
    assert rig.healer.subscribe() is subscription
    for turn in range(200):
        rig.events.publish(alert(str(turn % 7)))
        rig.events.publish(AlertCleared(fingerprint=alert(str(turn % 7)).fingerprint))
    rig.events.publish(alert("last"))
    assert rig.events.drain()

    assert [record.alert.target for record in rig.healer.run_once()] == ["last"]


def test_healing_at_once_on_an_event() -> None:
    """Asked to, it heals as soon as the alert comes, without a task."""
    rig = Rig()
    rig.healer.subscribe(immediately=True)
    rig.events.publish(ALERT)
    assert rig.events.drain()

    assert len(rig.began) == 1
    assert rig.healer.snapshot().pending == 0


def test_after_stop_no_event_comes_in() -> None:
    """stop() ends the subscription."""
    rig = Rig()
    rig.healer.subscribe()
    rig.healer.stop()
    rig.events.publish(ALERT)
    assert rig.events.drain()

    assert rig.healer.snapshot().pending == 0


@attrs.define
class Clearing:
    """A strategy for one kind of alert."""

    name: str
    kind: str
    healed: list[str] = attrs.field(factory=list)

    def answers(self, alert: Alert) -> bool:
        """By kind."""
        if self.kind == "broken":
            raise KeyError("kind")
        return alert.kind == self.kind

    def heal(self, alert: Alert, context: HealingContext) -> object:
        """Note it."""
        self.healed.append(alert.target)
        return True


def test_the_first_strategy_that_answers_heals() -> None:
    """Of several strategies the first that answers the alert runs, and the record names it."""
    strategies = [Clearing("clear", "memory"), Clearing("restart", "slow"), Clearing("never", "slow")]
    rig = Rig(heal=strategies)
    record = rig.healer.handle(alert("api"))

    assert (record.strategy, record.outcome) == ("restart", Outcome.HEALED)
    assert [strategy.healed for strategy in strategies] == [[], ["api"], []]
    assert all(isinstance(strategy, Strategy) for strategy in strategies)


def test_one_strategy_alone_is_taken_too() -> None:
    """A single strategy object needs no list."""
    rig = Rig(heal=Clearing("restart", "slow"))

    assert rig.healer.handle(alert("api")).strategy == "restart"


def test_an_alert_that_nothing_answers_is_refused_and_does_not_wait() -> None:
    """Without a strategy for it an alert is recorded as refused, the next one is still healed."""
    rig = Rig(heal=[Clearing("clear", "memory")])
    rig.healer.submit(alert("api"))
    rig.healer.submit(Alert(kind="memory", target="worker"))
    records = rig.healer.run_once()

    assert [(record.guard, record.strategy, record.outcome) for record in records] == [
        (GuardName.STRATEGY, "", Outcome.REFUSED),
        (None, "clear", Outcome.HEALED),
    ]
    assert records[0].reason == "no strategy answers 'slow'"
    assert rig.healer.snapshot().pending == 0


def test_a_strategy_that_cannot_be_asked_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A raising answers() is recorded and logged, and the healer goes on."""
    rig = Rig(heal=[Clearing("broken", "broken")])
    record = rig.healer.handle(ALERT)

    assert (record.guard, rig.healer.snapshot().failed_healings) == (GuardName.STRATEGY, 0)
    assert "could not be asked" in record.reason
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    "heal",
    [None, 7, "heal", [], [7], [lambda alert: True], lambda: None, lambda a, b, c: None, [Clearing("a", "x")] * 2],
)
def test_what_cannot_heal_is_refused(heal: Any) -> None:
    """Something that is neither callable with an alert nor strategies is refused at construction."""
    with pytest.raises(ConfigError, match=r"Healer\.heal"):
        Healer(heal)


def test_a_callable_is_given_what_it_takes() -> None:
    """One argument gets the alert, two the alert and the context, and a default of its own stays."""
    got: list[Any] = []

    def one(alert: Alert) -> None:
        got.append(alert)

    def two(alert: Alert, how: HealingContext) -> None:
        got.append(how.strategy)

    def own(alert: Alert, timeout: float = 5.0) -> None:
        got.append(timeout)

    def named(alert: Alert, context: HealingContext | None = None) -> None:
        got.append(context is not None)

    def many(*given: Any) -> None:
        got.append(len(given))

    for heal in (one, two, own, named, many):
        assert Rig(heal=heal).healer.handle(ALERT).outcome is Outcome.HEALED
    assert got == [ALERT, got[1], 5.0, True, 2]
    assert got[1].endswith("two")


def test_a_preventive_callable_is_given_what_it_takes() -> None:
    """Prevention takes the context or nothing, and nothing else."""
    got: list[Any] = []

    def bare() -> None:
        got.append("bare")

    def asked(context: HealingContext) -> None:
        got.append(context.attempt)

    for preventive in (bare, asked):
        assert Rig(preventive=preventive).healer.prevent().outcome is Outcome.HEALED
    assert got == ["bare", 1]
    with pytest.raises(ConfigError, match=r"Healer\.preventive"):
        Rig(preventive=lambda a, b: None)


def test_history_keeps_attempts_apart_from_refusals() -> None:
    """However many different alerts are refused, the attempts stay remembered, and memory stays bounded."""
    rig = Rig(history_limit=5)
    rig.fail(2)
    for n in range(100):
        rig.healer.handle(alert(str(n)))
    records = rig.healer.history

    assert [record.outcome for record in records[:2]] == [Outcome.FAILED, Outcome.FAILED]
    assert [record.alert.target for record in records[2:]] == ["95", "96", "97", "98", "99"]
    assert [rig.healer.handle(alert(n)).count for n in ("0", "99", "0")] == [1, 2, 2]


def test_a_refusal_after_an_attempt_is_told_anew() -> None:
    """The same guard refusing again after an attempt is a new record, in order."""
    rig = Rig()
    for _ in range(2):
        rig.fail(1)
        rig.handle()
        rig.handle()

    assert [(record.outcome, record.count) for record in rig.healer.history] == [
        (Outcome.FAILED, 1),
        (Outcome.REFUSED, 2),
        (Outcome.FAILED, 1),
        (Outcome.REFUSED, 2),
    ]


def test_resume_checks_are_looked_at_slowly_while_dormant() -> None:
    """While dormant the checks run every 300 s at most, tell a person once, and resume nothing."""
    asked: list[float] = []

    def check() -> bool:
        asked.append(rig.clock.monotonic())
        return len(asked) >= 2

    rig = Rig(dormancy={"checks": {"upstream": check}})
    rig.healer.run_once()
    assert asked == []
    rig.dormancy.enter("x")
    for _ in range(100):
        rig.healer.run_once()
        rig.clock.advance(10)

    assert asked == [1000.0, 1300.0, 1600.0, 1900.0]
    assert sum(isinstance(event, ResumeLooksPossible) for event in rig.seen) == 1
    assert rig.dormancy.is_dormant


class Full:
    """A store that cannot be written."""

    def get(self, key: str) -> dict[str, Any] | None:
        """Nothing."""
        return None

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Fail."""
        raise StateError("disk", key, "no space left")

    def delete(self, key: str) -> None:
        """Nothing."""


def test_a_dormancy_that_cannot_be_written_still_holds_and_is_told() -> None:
    """Where the store fails at the tenth failure, healing ends all the same and the record says so."""
    rig = Rig(dormancy={"store": Full()})
    rig.fail(10)

    assert rig.healer.snapshot().is_dormant
    assert "no space left" in rig.healer.history[-1].reason
    assert rig.handle(True).guard is GuardName.DORMANCY


class Registry:
    """Takes tasks as a task registry does."""

    def __init__(self) -> None:
        self.tasks: dict[str, tuple[Any, float, str | None]] = {}

    def register_interval(self, id: str, fn: Any, every: float, *, owner: str | None = None) -> None:
        """Note the task."""
        self.tasks[id] = (fn, every, owner)


def test_it_registers_its_two_tasks() -> None:
    """Healing every 10 s and prevention every 600 s, and no second task where there is nothing to prevent."""
    registry, rig = Registry(), Rig(preventive=lambda: None)
    assert rig.healer.register(registry, owner="app") == ("healing", "preventive-healing")
    assert {key: (every, owner) for key, (_, every, owner) in registry.tasks.items()} == {
        "healing": (10.0, "app"),
        "preventive-healing": (600.0, "app"),
    }
    rig.healer.submit(ALERT)
    assert len(registry.tasks["healing"][0]()) == 1
    bare = Registry()
    assert Rig().healer.register(bare, every=2.0) == ("healing",)
    assert bare.tasks["healing"][1] == 2.0


def test_async_strategies_register_async_tasks() -> None:
    """For an async strategy the registry is given the async form."""

    async def heal(alert: Alert) -> None: ...

    registry, rig = Registry(), Rig(heal=heal)
    rig.healer.register(registry)

    assert registry.tasks["healing"][0] == rig.healer.arun_once
