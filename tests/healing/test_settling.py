"""After the clock jumped no healing begins until things have settled."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from selfheal import TaskRegistry
from selfheal.events import Alert, ClockJumped
from selfheal.healing import GuardName, Outcome
from selfheal.policies.breaker import BreakerState, CircuitBreaker
from tests.healing.rig import ALERT, Rig


class Bench:
    """A healer and a task registry on one bus and one virtual clock."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.registry = TaskRegistry(clock=self.rig.clock, events=self.rig.events, start=False)
        self.rig.healer.subscribe()
        self.rig.healer.register(self.registry)

    def tick(self) -> None:
        """Let ten seconds pass and run what is due."""
        self.rig.clock.advance(10)
        self.registry.run_due()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.registry.shutdown()


def test_a_jump_that_the_registry_sees_holds_healing_back(bench: Bench) -> None:
    """The very run that notices the jump begins nothing; the alert waits, and is healed 30 s later by itself."""
    rig = bench.rig
    rig.healer.submit(ALERT)
    rig.clock.jump(3600)
    bench.tick()

    assert rig.began == []
    record = rig.healer.history[-1]
    assert (record.outcome, record.guard, record.retry_in) == (Outcome.REFUSED, GuardName.SETTLING, 30.0)
    assert record.reason == "the clock jumped; things settle for 30 s"
    assert (rig.healer.snapshot().settling, rig.healer.snapshot().pending) == (30.0, 1)
    began = rig.clock.monotonic()
    for _ in range(3):
        bench.tick()
    assert rig.began == [began + 30]
    assert (rig.healer.snapshot().settling, rig.healer.snapshot().pending) == (0.0, 0)
    assert rig.healer.snapshot().refused == {GuardName.SETTLING: 3}


def test_a_second_jump_starts_the_time_over(bench: Bench) -> None:
    """Forth and back again, 20 s apart: the 30 s begin with the latter."""
    rig = bench.rig
    rig.healer.submit(ALERT)
    rig.clock.jump(3600)
    bench.tick()
    bench.tick()
    rig.clock.jump(-3600)
    bench.tick()
    began = rig.clock.monotonic()
    assert rig.healer.snapshot().settling == 30.0
    for _ in range(3):
        bench.tick()

    assert rig.began == [began + 30]


def test_a_small_step_is_no_jump(bench: Bench) -> None:
    """A step of a second, as time services make them, holds nothing back."""
    bench.rig.healer.submit(ALERT)
    bench.rig.clock.jump(1)
    bench.tick()

    assert len(bench.rig.began) == 1


def test_a_jump_is_heard_before_publish_returns() -> None:
    """However busy the delivery thread is, whoever publishes the jump finds the healer settling at once."""
    rig = Rig()
    inside, go_on = threading.Event(), threading.Event()

    def heal(_: object) -> None:
        inside.set()
        assert go_on.wait(60)

    rig.says = heal
    rig.healer.subscribe(immediately=True)
    try:
        rig.events.publish(ALERT)
        assert inside.wait(60)
        rig.events.publish(ClockJumped(seconds=60.0))
        assert rig.healer.snapshot().settling == 30.0
    finally:
        go_on.set()
    assert rig.events.drain()

    assert rig.healer.history[-1].outcome is Outcome.HEALED  # it had begun before


def test_a_host_without_the_bus_says_so_itself() -> None:
    """settle() holds healing and prevention back for the configured time, which a resume does not end."""
    rig = Rig(preventive=lambda: None, settle=12.5)
    rig.healer.settle()
    rig.dormancy.enter("by hand")
    rig.dormancy.resume("fixed")

    assert (rig.handle().guard, rig.handle().retry_in) == (GuardName.SETTLING, 12.5)
    assert rig.healer.prevent().guard is GuardName.SETTLING
    rig.clock.advance(12.5)
    assert rig.handle().outcome is Outcome.HEALED
    assert rig.healer.prevent().outcome is Outcome.HEALED


def test_it_is_asked_after_dormancy_and_before_the_breaker() -> None:
    """Of several that refuse, dormancy is named before it, and the breaker, whose probe is left alone, after it."""
    rig = Rig()
    rig.healer.settle()
    rig.dormancy.enter("by hand")
    assert rig.handle().guard is GuardName.DORMANCY
    rig.dormancy.resume("fixed")
    rig.healer.breaker.trip("test")
    rig.healer.settle()

    assert rig.handle().guard is GuardName.SETTLING
    assert rig.healer.breaker.state is BreakerState.OPEN
    rig.clock.advance(30)
    assert rig.handle().guard is GuardName.BREAKER


def test_a_jump_while_the_guards_are_asked_is_not_missed() -> None:
    """One that comes after settling was asked, and before the healing begins, refuses it and frees the probe."""
    rig = Rig()
    breaker = rig.healer.breaker
    breaker.trip("test")
    rig.clock.advance(60)
    asked = CircuitBreaker.guard

    def guard(asking: CircuitBreaker) -> object:
        rig.healer.settle()
        return asked(asking)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CircuitBreaker, "guard", guard)
        assert rig.handle().guard is GuardName.SETTLING
    rig.clock.advance(30)

    assert rig.handle().outcome is Outcome.HEALED


def test_switched_off_a_jump_changes_nothing() -> None:
    """With settle=0 a healing begins in the moment of the jump."""
    rig = Rig(settle=0.0)
    rig.healer.subscribe()
    rig.events.publish(ClockJumped(seconds=60.0))

    assert rig.handle().outcome is Outcome.HEALED


def test_a_stopped_healer_no_longer_listens() -> None:
    """After stop() a jump is nothing to it."""
    rig = Rig()
    rig.healer.subscribe()
    rig.healer.stop()
    rig.events.publish(ClockJumped(seconds=60.0))

    assert rig.healer.snapshot().settling == 0.0


def test_alerts_come_in_while_things_settle() -> None:
    """What is raised meanwhile waits its turn, the critical one first."""
    rig = Rig()
    rig.healer.settle()
    rig.healer.submit(ALERT)
    rig.healer.submit(Alert(kind="down", target="db", severity="critical"))
    assert [record.guard for record in rig.healer.run_once()] == [GuardName.SETTLING]
    rig.clock.advance(30)

    assert [record.alert.target for record in rig.healer.run_once()] == ["db", "api"]
