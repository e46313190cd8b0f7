"""Random lives of a healer: against a plain model, and against its own bounds."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from selfheal.healing import HealingContext
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from tests.healing.rig import ALERT, Rig

TABLE = (0, 5, 10, 20, 40, 80, 160, 320, 600)


@attrs.define
class Model:
    """What a healer of the default numbers is, in plain variables."""

    flag: bool = True
    reason: str | None = None
    streak: int = 0
    ready_at: float = 0.0
    settled_at: float = 0.0
    circuit: str = "closed"
    circuit_streak: int = 0
    open_until: float = 0.0
    begun: list[float] = attrs.field(factory=list)
    refused: dict[str, int] = attrs.field(factory=dict)
    probation: bool = False
    budget: int = 12

    def guard(self, now: float) -> str | None:
        """Which guard refuses."""
        if not self.flag:
            return "flags"
        if self.reason is not None:
            return "dormancy"
        if now < self.settled_at:
            return "settling"
        if self.circuit == "permanent":
            self.reason = "circuit_breaker"
            return "breaker"
        if self.circuit == "open" and now < self.open_until:
            return "breaker"
        if now < self.ready_at:
            return "backoff"
        if sum(now - start < 3600 for start in self.begun) >= self.budget:
            return "budget"
        if self.circuit == "open":
            self.circuit = "half open"
        return None

    def succeed(self) -> None:
        """A healing healed."""
        self.streak, self.ready_at, self.probation = 0, 0.0, False
        self.circuit, self.circuit_streak = "closed", 0

    def fail(self, now: float) -> None:
        """A healing failed."""
        self.streak += 1
        self.ready_at = now + TABLE[min(self.streak, 8)]
        if self.streak >= 10 and self.reason is None:
            self.reason = "automatic"
        self.circuit_streak += 1
        if self.circuit_streak >= 10:
            self.circuit = "permanent"
        elif self.circuit == "half open" or self.circuit_streak >= 3:
            self.circuit, self.open_until = "open", now + 60
        if self.circuit == "permanent" and self.reason is None:
            self.reason = "circuit_breaker"

    def resume(self) -> None:
        """A person resumed."""
        self.reason, self.streak, self.ready_at, self.probation = None, 0, 0.0, True
        self.circuit, self.circuit_streak = "closed", 0


class HealerAgainstModel(RuleBasedStateMachine):
    """A healer and its dormancy, breaker, backoff, flags, budget and settling against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(attempts_per_hour=12)
        self.model = Model()
        self.totals = {"healed": 0, "failed": 0, "interrupted": 0}

    def _handle(self, says: Any, outcome: str) -> None:
        now = self.rig.clock.monotonic()
        expected = self.model.guard(now)
        before = len(self.rig.began)
        record = self.rig.handle(says)
        if expected is not None:
            assert (record.outcome, record.guard) == ("refused", expected)
            assert len(self.rig.began) == before
            self.model.refused[expected] = self.model.refused.get(expected, 0) + 1
            return
        assert record.outcome == outcome
        assert len(self.rig.began) == before + 1
        self.model.begun.append(now)
        self.totals[outcome] += 1
        now = self.rig.clock.monotonic()
        if outcome == "healed":
            self.model.succeed()
        elif outcome == "failed":
            self.model.fail(now)

    @rule(took=st.sampled_from([0, 1, 30]))
    def heals(self, took: int) -> None:
        """A healing that works."""
        self._handle(lambda context: self.rig.clock.advance(took), "healed")

    @rule(took=st.sampled_from([0, 0, 2]), times=st.integers(1, 3))
    def fails(self, took: int, times: int) -> None:
        """Healings that do not work, each as soon as the healer allows."""

        def fail(context: HealingContext) -> bool:
            self.rig.clock.advance(took)
            return False

        for _ in range(times):
            self._handle(fail, "failed")
            self.rig.wait()

    @precondition(lambda self: self.model.flag)
    @rule()
    def is_stopped_on_the_way(self) -> None:
        """A healing during which the flag is switched off; a person switches it on again."""

        def heal(context: HealingContext) -> None:
            self.rig.switch_off()
            context.checkpoint()

        self._handle(heal, "interrupted")
        self.rig.switch_on()

    @rule(seconds=st.sampled_from([1, 5, 10, 60, 61, 300, 600, 3600]))
    def time_passes(self, seconds: int) -> None:
        """Nothing happens for a while; the wall clock is stepped."""
        self.rig.clock.advance(seconds)
        self.rig.clock.jump(-2 * seconds)

    @rule()
    def the_clock_jumps(self) -> None:
        """Somebody noticed a jump and told it."""
        self.rig.healer.settle()
        self.model.settled_at = self.rig.clock.monotonic() + 30

    @rule(on=st.booleans())
    def flag(self, on: bool) -> None:
        """A person flips the flag."""
        (self.rig.switch_on if on else self.rig.switch_off)()
        self.model.flag = on

    @rule()
    def a_person_stops_it(self) -> None:
        """Dormancy by hand."""
        assert self.rig.dormancy.enter("by hand") is (self.model.reason is None)
        self.model.reason = self.model.reason or "manual"

    @rule()
    def a_person_resumes_it(self) -> None:
        """A resume with a reason."""
        assert self.rig.dormancy.resume("fixed") is (self.model.reason is not None)
        if self.model.reason is not None:
            self.model.resume()

    @rule()
    def somebody_trips_the_breaker_for_good(self) -> None:
        """The breaker is opened permanently from outside."""
        self.rig.healer.breaker.trip_permanently("outside")
        self.model.circuit = "permanent"

    @invariant()
    def agrees(self) -> None:
        """Everything there is to see is what the model says."""
        snapshot, model, now = self.rig.healer.snapshot(), self.model, self.rig.clock.monotonic()
        record = self.rig.dormancy.record
        assert (None if record is None else record.triggered_by) == model.reason
        assert snapshot.consecutive_failures == model.streak
        assert snapshot.backoff_delay == TABLE[min(model.streak, 8)]
        assert self.rig.healer.backoff.failures == model.streak
        recent = [start for start in model.begun if now - start < 3600]
        until_budget = recent[0] + 3600 - now if len(recent) >= model.budget else 0.0
        assert snapshot.retry_in == max(0.0, model.ready_at - now, until_budget, model.settled_at - now)
        assert snapshot.settling == max(0.0, model.settled_at - now)
        assert snapshot.refused == model.refused
        assert snapshot.probation == model.probation
        assert (snapshot.total_attempts, snapshot.attempts_last_hour) == (len(model.begun), len(recent))
        counts = (snapshot.successful_healings, snapshot.failed_healings, snapshot.interrupted_healings)
        assert counts == tuple(self.totals.values())
        assert snapshot.running == 0
        assert (
            self.rig.healer.breaker.state
            == {
                "closed": "CLOSED",
                "open": "OPEN",
                "half open": "HALF_OPEN",
                "permanent": "PERMANENT_OPEN",
            }[model.circuit]
        )


TestHealerAgainstModel = HealerAgainstModel.TestCase
TestHealerAgainstModel.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def most_in_an_hour(starts: list[float]) -> int:
    """The most starts in any 3600 s."""
    most = first = 0
    for last, start in enumerate(starts):
        while starts[first] + 3600 <= start:
            first += 1
        most = max(most, last - first + 1)
    return most


CONFIGS = st.fixed_dictionaries(
    {
        "backoff": st.builds(
            ExponentialBackoff,
            base=st.sampled_from([0.0, 1.0, 5.0, 90.0, 700.0]),
            factor=st.sampled_from([1.0, 1.5, 2.0]),
            cap=st.sampled_from([700.0, 1800.0]),
            jitter=st.sampled_from(["none", "full", "equal", "decorrelated"]),
            seed=st.integers(0, 1000),
        ),
        "failure_limit": st.sampled_from([1, 3, 10, 50]),
        "attempts_per_hour": st.sampled_from([None, None, 1, 7, 40]),
    }
)


def lived(options: dict[str, Any], outcomes: Any, gaps: Any, *, resumes: bool) -> Rig:
    """A rig that had an alert, and was run, at each of many moments over some hours."""
    breaker = CircuitBreaker(
        "h", registry=BreakerRegistry(), failure_threshold=10_000, permanent_threshold=None, permanent_on=()
    )
    rig = Rig(breaker=breaker, **options)
    for moment, (outcome, gap) in enumerate(zip(outcomes, gaps, strict=False)):
        rig.says = outcome
        rig.healer.submit(ALERT)
        dormant, begun = rig.dormancy.is_dormant, len(rig.began)
        rig.healer.run_once()
        assert not (dormant and len(rig.began) > begun), "something ran while dormant"
        if resumes and rig.dormancy.is_dormant and moment % 3 == 0:
            rig.dormancy.resume("a person insists")
        rig.clock.advance(gap)
    return rig


@settings(max_examples=40, deadline=None)
@given(options=CONFIGS, gaps=st.lists(st.sampled_from([0.0, 0.5, 7.0, 60.0]), min_size=1, max_size=10))
def test_always_failing_stays_within_the_tighter_bound(options: dict[str, Any], gaps: list[float]) -> None:
    """While every healing fails and nobody resumes, no hour holds more than the computed number, then none runs."""
    rig = lived(options, itertools.repeat(False, 900), itertools.cycle([*gaps, 3.0]), resumes=False)

    assert most_in_an_hour(rig.began) <= rig.healer.max_failing_attempts_per_hour
    assert len(rig.began) <= options["failure_limit"]


@settings(max_examples=40, deadline=None)
@given(
    options=CONFIGS,
    pattern=st.lists(st.sampled_from([True, True, False, ValueError("x"), KeyError()]), min_size=1, max_size=12),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 1.0, 30.0]), min_size=1, max_size=12),
    resumes=st.booleans(),
)
def test_flapping_and_random_healings_stay_within_the_bound(
    options: dict[str, Any], pattern: list[object], gaps: list[float], resumes: bool
) -> None:
    """Whatever the healings bring, and however often a person resumes, no hour holds more than the bound."""
    rig = lived(
        options, itertools.islice(itertools.cycle(pattern), 900), itertools.cycle([*gaps, 2.0]), resumes=resumes
    )

    assert most_in_an_hour(rig.began) <= rig.healer.max_attempts_per_hour


def test_the_bound_is_reached_and_not_only_kept() -> None:
    """Healings that always succeed at once really use the whole budget of an hour, and no more."""
    rig = lived({}, itertools.repeat(True, 9000), itertools.repeat(1.0), resumes=False)

    assert most_in_an_hour(rig.began) == rig.healer.max_attempts_per_hour == 720


def test_the_tighter_bound_is_reached() -> None:
    """A healing that always fails really makes the computed number of attempts in its first hour."""
    rig = lived({"failure_limit": 50}, itertools.repeat(False, 7200), itertools.repeat(1.0), resumes=False)

    assert most_in_an_hour(rig.began) == rig.healer.max_failing_attempts_per_hour == 12
