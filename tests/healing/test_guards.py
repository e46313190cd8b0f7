"""Tests of what lets a healing begin, and what its end means."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from selfheal.errors import CircuitOpenError, ConfigError, HealingFailedError
from selfheal.events import BreakerStateChanged, DormancyEntered
from selfheal.healing import GuardName, Healer, HealingContext, HealingResult, Outcome
from selfheal.healing.machine import Refused
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from tests.healing.rig import ALERT, Rig


@pytest.mark.parametrize("says", [None, True, HealingResult(success=True, reason="cache cleared")])
def test_what_counts_as_healed(says: object) -> None:
    """None, True and a result that says so are successes."""
    rig = Rig()
    record = rig.handle(says)
    snapshot = rig.healer.snapshot()

    assert (record.outcome, record.guard, record.error) == (Outcome.HEALED, None, "")
    assert (snapshot.total_attempts, snapshot.successful_healings, snapshot.failed_healings) == (1, 1, 0)
    assert snapshot.backoff_delay == 0.0


class UntellableError(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (False, "the healing returned False"),
        (ValueError("no such worker"), "ValueError: no such worker"),
        (HealingFailedError("still slow"), "still slow"),
        (HealingResult(success=False, reason="still slow"), "still slow"),
        (StopIteration(), "StopIteration"),
        ("restarted it", "the healing returned str, which is not None, True, False or a HealingResult"),
        (0, "the healing returned int, which is not None, True, False or a HealingResult"),
        (1, "the healing returned int, which is not None, True, False or a HealingResult"),
        (UntellableError(), "UntellableError: (its text cannot be read: RuntimeError)"),
    ],
)
def test_what_counts_as_failed(says: object, reason: str) -> None:
    """False, a result that says so, any exception, and any other value are failures with their reason."""
    rig = Rig()
    record = rig.handle(says)
    snapshot = rig.healer.snapshot()

    assert (record.outcome, record.reason) == (Outcome.FAILED, reason)
    assert (snapshot.total_attempts, snapshot.failed_healings, snapshot.consecutive_failures) == (1, 1, 1)
    assert (snapshot.backoff_delay, snapshot.retry_in) == (5.0, 5.0)
    assert rig.healer.breaker.snapshot().failures == 1


def test_a_result_carries_reason_and_details_into_the_record() -> None:
    """What a result says beyond success is kept."""
    record = Rig().handle(HealingResult(success=True, reason="2 of 2", details={"actions": 2}))

    assert (record.reason, record.details) == ("2 of 2", {"actions": 2})


def test_record_and_event_say_what_happened() -> None:
    """An attempt is recorded with its time and duration, and published once."""
    rig = Rig()
    record = rig.handle(lambda context: rig.clock.advance(2.5))
    (event,) = rig.finished()

    assert (record.alert, record.strategy, record.started, record.duration) == (ALERT, "Rig.heal", 1_700_000_000.0, 2.5)
    assert (event.alert, event.outcome, event.duration, event.at) == (ALERT, "healed", 2.5, 1_700_000_002.5)
    assert rig.healer.history == (record,)


def test_durations_and_waits_ignore_the_wall_clock() -> None:
    """A wall-clock step during a healing or a backoff changes neither."""
    rig = Rig()

    def step(context: HealingContext) -> bool:
        rig.clock.advance(1)
        rig.clock.jump(-3600)
        return False

    assert rig.handle(step).duration == 1
    rig.clock.jump(7200)
    assert rig.handle().guard is GuardName.BACKOFF


def test_the_wait_grows_with_each_failure_and_a_success_resets_it() -> None:
    """After failures 1, 2, 3 … the waits are 5, 10, 20 …; one success starts over."""
    rig = Rig(breaker=CircuitBreaker("h", registry=BreakerRegistry(), failure_threshold=100))
    waits = []
    for _ in range(8):
        rig.fail(1)
        waits.append(rig.healer.snapshot().retry_in)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600]
    assert rig.healer.backoff.failures == 8
    rig.wait()
    rig.handle(True)

    assert rig.healer.snapshot().consecutive_failures == 0
    assert rig.healer.backoff.failures == 0
    assert rig.handle(False).outcome is Outcome.FAILED
    assert rig.healer.snapshot().retry_in == 5


def test_time_alone_resets_nothing() -> None:
    """A day without alerts leaves the count of failures where it was."""
    rig = Rig()
    rig.fail(2)
    rig.clock.advance(86_400)
    rig.fail(1)

    assert rig.healer.snapshot().consecutive_failures == 3


def test_the_wait_begins_when_the_healing_ends() -> None:
    """A slow failing healing is not tried again right after it ended."""
    rig = Rig()

    def slow(context: HealingContext) -> bool:
        rig.clock.advance(100)
        return False

    rig.handle(slow)
    assert rig.healer.snapshot().retry_in == 5


def test_flags_come_first() -> None:
    """With the flag off nothing runs, whatever else stands against it, and it is no failure."""
    rig = Rig()
    rig.switch_off()
    rig.dormancy.enter("x")
    rig.healer.breaker.trip("x")
    record = rig.handle()

    assert (record.outcome, record.guard) == (Outcome.REFUSED, GuardName.FLAGS)
    assert record.reason == "FEATURE_AUTO_HEALING_ENABLED is off (environment)"
    assert rig.began == []


def test_a_flag_that_cannot_be_read_refuses_and_says_why() -> None:
    """A value that is no boolean stops healing, and the record tells the person what to mend."""
    rig = Rig()
    rig.environ["FEATURE_AUTO_HEALING_ENABLED"] = "maybe"

    assert "'maybe'" in rig.handle().reason


def test_dormancy_comes_before_the_breaker() -> None:
    """While dormant nothing runs, and the reason is told."""
    rig = Rig()
    rig.dormancy.enter("by hand")
    rig.healer.breaker.trip("x")
    record = rig.handle()

    assert (record.guard, record.retry_in) == (GuardName.DORMANCY, None)
    assert "by hand" in record.reason
    assert rig.began == []


def test_the_breaker_comes_before_the_backoff() -> None:
    """An open breaker refuses, also while a backoff runs, and says when to try again."""
    rig = Rig()
    rig.fail(3)
    record = rig.handle()

    assert (record.guard, record.retry_in) == (GuardName.BREAKER, 60.0)
    assert rig.healer.snapshot().retry_in == 20.0


def test_the_backoff_refuses_without_touching_the_breaker() -> None:
    """While a backoff runs longer than the breaker is open, no probe is taken and no state changes."""
    rig = Rig(backoff=ExponentialBackoff(base=500))
    rig.fail(3)
    rig.clock.advance(60)
    before = rig.healer.breaker.snapshot()
    for _ in range(3):
        assert rig.handle().guard is GuardName.BACKOFF
    after = rig.healer.breaker.snapshot()

    assert (after.state, after.cancelled, after.rejected) == ("OPEN", before.cancelled, before.rejected)
    rig.clock.advance(10_000)
    assert rig.handle(True).outcome is Outcome.HEALED
    assert rig.healer.breaker.state == "CLOSED"


def test_a_place_lost_at_the_last_moment_gives_the_probe_back() -> None:
    """A healing that loses its place between two guards keeps no probe of the breaker."""
    rig = Rig()
    rig.fail(3)
    rig.clock.advance(60)
    machine = rig.healer._attempts._machine
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(machine, "acquire", lambda *_, **__: Refused(GuardName.BUSY, "another was first"))
        assert rig.handle().guard is GuardName.BUSY

    assert rig.healer.breaker.state == "HALF_OPEN"
    assert rig.handle(True).outcome is Outcome.HEALED


def test_refusals_are_never_failures() -> None:
    """A thousand refusals by each guard leave all counts of failures where they were."""
    rig = Rig()
    rig.fail(3)
    for _ in range(1000):
        rig.handle(False)
    rig.switch_off()
    for _ in range(1000):
        rig.handle(False)
    rig.switch_on()
    snapshot = rig.healer.snapshot()

    assert (snapshot.consecutive_failures, snapshot.failed_healings, snapshot.total_attempts) == (3, 3, 3)
    assert snapshot.refused == {GuardName.BREAKER: 1000, GuardName.FLAGS: 1000}
    assert not snapshot.is_dormant
    assert len(rig.began) == 3


def test_repeated_refusals_are_one_record_and_one_event() -> None:
    """The same refusal again raises a count instead of flooding history and subscribers."""
    rig = Rig()
    rig.fail(1)
    for _ in range(50):
        rig.handle()
        rig.clock.advance(0.05)
    refusals = [record for record in rig.healer.history if record.outcome is Outcome.REFUSED]

    assert [(record.guard, record.count) for record in refusals] == [(GuardName.BACKOFF, 50)]
    assert refusals[0].last - refusals[0].started == pytest.approx(49 * 0.05)
    assert len(rig.finished()) == 2


def test_ten_failures_in_a_row_make_it_dormant() -> None:
    """The tenth failed healing in a row ends all healing, with one event, and the breaker is permanently open."""
    rig = Rig()
    rig.fail(9)
    assert not rig.healer.snapshot().is_dormant
    rig.fail(1)
    record = rig.dormancy.record

    assert record is not None
    assert record.triggered_by == "automatic"
    assert record.reason == "10 consecutive healings failed; the last: the healing returned False"
    assert rig.kinds().count("DormancyEntered") == 1
    assert rig.healer.breaker.state == "PERMANENT_OPEN"
    rig.clock.advance(1_000_000)
    assert rig.handle(True).guard is GuardName.DORMANCY
    assert len(rig.began) == 10


def test_a_success_in_between_starts_the_count_over() -> None:
    """Nine failures, a success, nine failures are no ten in a row."""
    rig = Rig()
    rig.fail(9)
    rig.wait()
    rig.handle(True)
    rig.fail(9)

    assert not rig.dormancy.is_dormant


def test_the_failure_limit_is_configurable() -> None:
    """A limit of 2 makes it dormant at the second failure."""
    rig = Rig(failure_limit=2)
    rig.fail(2)

    assert rig.dormancy.is_dormant
    assert rig.healer.failure_limit == 2


@pytest.mark.parametrize(
    "says",
    [
        RuntimeError("401 Unauthorized"),
        HealingResult(success=False, reason="no active API keys"),
        HealingResult(success=False, error=RuntimeError("Unauthorized")),
    ],
)
def test_an_error_that_no_waiting_mends_makes_it_dormant_at_once(says: object) -> None:
    """A healing that meets a permanent condition opens the breaker for good and ends all healing."""
    rig = Rig()
    rig.handle(says)
    record = rig.dormancy.record

    assert record is not None
    assert record.triggered_by == "circuit_breaker"
    assert "permanently open" in record.reason
    assert rig.handle().guard is GuardName.DORMANCY


def test_a_breaker_tripped_outside_makes_it_dormant_at_the_next_decision() -> None:
    """A permanently open breaker, whoever opened it, ends all healing."""
    rig = Rig()
    rig.healer.breaker.trip_permanently("contract ended", by="li")
    record = rig.handle()

    assert record.outcome is Outcome.REFUSED
    assert rig.began == []
    assert rig.dormancy.record is not None
    assert rig.dormancy.record.triggered_by == "circuit_breaker"
    assert "contract ended" in rig.dormancy.record.reason


def test_a_breaker_tripped_outside_is_noticed_by_event() -> None:
    """Subscribed, it goes dormant when the breaker opens for good, without waiting for an alert."""
    rig = Rig()
    rig.healer.subscribe()
    rig.healer.breaker.trip_permanently("contract ended")
    assert rig.events.drain()

    assert [e.triggered_by for e in rig.seen if isinstance(e, DormancyEntered)] == ["circuit_breaker"]
    assert [e.new for e in rig.seen if isinstance(e, BreakerStateChanged)] == ["PERMANENT_OPEN"]


def test_an_open_breaker_is_not_dormancy() -> None:
    """A breaker that only time has to close does not stop healing for good."""
    rig = Rig()
    rig.healer.breaker.trip("x")
    rig.handle()

    assert not rig.dormancy.is_dormant


def test_another_breaker_that_refuses_inside_the_healing_is_a_failure() -> None:
    """A healing stopped by somebody else's open circuit has failed; it was not refused."""
    rig = Rig()
    other = CircuitBreaker("provider", registry=BreakerRegistry(), events=rig.events)
    other.trip("down")

    def call(context: HealingContext) -> None:
        other.call(lambda: None)

    record = rig.handle(call)
    assert (record.outcome, record.guard) == (Outcome.FAILED, None)
    assert record.error.startswith("CircuitOpenError: circuit 'provider' is open")
    assert rig.healer.snapshot().consecutive_failures == 1


def test_an_error_of_the_healers_own_breaker_raised_inside_is_a_failure_too() -> None:
    """What the healing raises is its own failure even if it looks like the guard's refusal."""
    rig = Rig()
    record = rig.handle(CircuitOpenError("healer", "OPEN", 5.0, None))

    assert (record.outcome, rig.healer.snapshot().failed_healings) == (Outcome.FAILED, 1)


def test_resume_clears_counters_backoff_and_breaker() -> None:
    """After a resume healing starts from nothing: no failures, no wait, closed breaker, one at a time."""
    rig = Rig()
    rig.fail(10)
    assert rig.dormancy.resume("key replaced", by="maria") is True
    snapshot = rig.healer.snapshot()

    assert (snapshot.consecutive_failures, snapshot.backoff_delay, snapshot.retry_in) == (0, 0.0, 0.0)
    assert (snapshot.is_dormant, snapshot.probation) == (False, True)
    assert rig.healer.backoff.failures == 0
    assert rig.healer.breaker.state == "CLOSED"
    reset = rig.healer.breaker.snapshot().last_reset
    assert reset is not None
    assert (reset.by, reset.reason) == ("maria", "resumed: key replaced")
    assert rig.handle(False).outcome is Outcome.FAILED
    assert rig.healer.snapshot().retry_in == 5
    assert not rig.dormancy.is_dormant


def test_probation_lasts_until_a_healing_succeeds() -> None:
    """After a resume one healing at a time runs, however many could, until one has succeeded."""
    rig = Rig(concurrency=3)
    inside: list[object] = []

    def nested(context: HealingContext) -> bool:
        inside.append(rig.healer.handle(ALERT).guard)
        return not isinstance(rig.says, bool)

    rig.dormancy.enter("x")
    rig.dormancy.resume("y")
    assert rig.handle(nested).outcome is Outcome.HEALED
    assert inside == [GuardName.BUSY]
    assert not rig.healer.snapshot().probation

    def twice(context: HealingContext) -> bool:
        rig.says = True
        inside.append(rig.healer.handle(ALERT).guard)
        return True

    rig.handle(twice)
    assert inside == [GuardName.BUSY, None]


def test_a_held_breaker_is_not_reset_by_a_resume() -> None:
    """What a person put a breaker into by hand stays until that person takes it back."""
    rig = Rig()
    rig.healer.breaker.force_open("maintenance", by="li")
    rig.dormancy.enter("x")
    rig.dormancy.resume("y")

    assert rig.healer.breaker.state == "FORCED_OPEN"
    assert rig.handle().guard is GuardName.BREAKER


def test_one_healing_at_a_time() -> None:
    """Of twenty threads that come with an alert while one heals, all are refused as busy."""
    rig = Rig()
    begun, go = threading.Event(), threading.Event()

    def block(context: HealingContext) -> None:
        begun.set()
        go.wait(60)

    rig.says = block
    first = threading.Thread(target=rig.healer.handle, args=(ALERT,))
    first.start()
    begun.wait(60)
    guards: list[Any] = []
    others = [threading.Thread(target=lambda: guards.append(rig.healer.handle(ALERT).guard)) for _ in range(20)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    go.set()
    first.join()

    assert guards == [GuardName.BUSY] * 20
    assert len(rig.began) == 1
    assert rig.healer.snapshot().running == 0


def test_a_late_failure_from_before_a_resume_does_not_count() -> None:
    """A healing that began before dormancy and fails after the resume says nothing about the time after it."""
    rig = Rig()

    def outlast(context: HealingContext) -> bool:
        rig.dormancy.enter("by hand")
        rig.dormancy.resume("go on")
        return False

    record = rig.handle(outlast)
    snapshot = rig.healer.snapshot()
    assert record.outcome is Outcome.FAILED
    assert (snapshot.consecutive_failures, snapshot.retry_in, snapshot.probation) == (0, 0.0, True)
    assert rig.healer.breaker.snapshot().failure_count == 0


def test_a_late_success_from_before_a_resume_does_not_end_probation() -> None:
    """Only a healing begun after the resume can end the probation."""
    rig = Rig()

    def outlast(context: HealingContext) -> bool:
        rig.dormancy.enter("by hand")
        rig.dormancy.resume("go on")
        return True

    rig.handle(outlast)
    assert rig.healer.snapshot().probation


def test_the_budget_bounds_the_hour_whatever_comes_of_the_healings() -> None:
    """Healings that all succeed are bounded too: no more than the budget in any hour, then again."""
    rig = Rig(attempts_per_hour=3)
    for _ in range(3):
        rig.handle(True)
        rig.clock.advance(600)
    record = rig.handle(True)

    assert (record.guard, record.retry_in) == (GuardName.BUDGET, 1800.0)
    assert rig.healer.snapshot().retry_in == 1800.0
    rig.clock.advance(1800)
    assert rig.handle(True).outcome is Outcome.HEALED
    assert rig.handle(True).guard is GuardName.BUDGET


def test_a_resume_does_not_refill_the_budget() -> None:
    """However often a person resumes, the hour's bound holds."""
    rig = Rig(attempts_per_hour=2)
    rig.handle(True)
    rig.handle(True)
    rig.dormancy.enter("x")
    rig.dormancy.resume("y")

    assert rig.handle(True).guard is GuardName.BUDGET


@pytest.mark.parametrize(
    ("options", "most", "failing"),
    [
        ({}, 720, 10),
        ({"attempts_per_hour": 6}, 6, 6),
        ({"backoff": ExponentialBackoff(base=7)}, 514, 10),
        ({"backoff": ExponentialBackoff(base=600)}, 6, 6),
        ({"backoff": ExponentialBackoff(base=3600, cap=7200)}, 1, 1),
        ({"backoff": ExponentialBackoff(base=7200, cap=7200)}, 1, 1),
        ({"backoff": ExponentialBackoff(base=0)}, 100_000, 10),
        ({"backoff": ExponentialBackoff(jitter="full")}, 720, 10),
        ({"failure_limit": 1000}, 720, 12),
        ({"failure_limit": 1000, "backoff": ExponentialBackoff(jitter="equal")}, 720, 18),
        ({"failure_limit": 1000, "backoff": ExponentialBackoff(jitter="decorrelated")}, 720, 720),
        ({"failure_limit": 4, "concurrency": 3}, 720, 6),
    ],
)
def test_the_bounds_are_computed_from_the_configuration(options: Any, most: int, failing: int) -> None:
    """Both bounds follow from backoff, failure limit, budget and concurrency, and are shown."""
    healer = Rig(**options).healer
    snapshot = healer.snapshot()

    assert (healer.max_attempts_per_hour, healer.max_failing_attempts_per_hour) == (most, failing)
    assert (snapshot.max_attempts_per_hour, snapshot.max_failing_attempts_per_hour) == (most, failing)


@pytest.mark.parametrize(
    "options",
    [
        {"failure_limit": 0},
        {"attempts_per_hour": 0},
        {"concurrency": 0},
        {"pending_limit": 0},
        {"alert_ttl": 0.0},
        {"history_limit": 0},
        {"check_every": -1.0},
        {"settle": -1.0},
    ],
)
def test_an_option_out_of_range_is_refused_by_name(options: Any) -> None:
    """A bad limit is refused with its name at construction."""
    with pytest.raises(ConfigError, match=f"HealerConfig.{next(iter(options))} must be"):
        Healer(lambda alert: True, **options)


def test_stopping_is_for_good() -> None:
    """After stop() nothing begins, and the record says why."""
    rig = Rig()
    rig.healer.stop("shutting down")
    record = rig.handle()

    assert (record.guard, record.reason) == (GuardName.STOPPED, "shutting down")
