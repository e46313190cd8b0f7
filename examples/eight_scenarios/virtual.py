"""The eight scenarios on the virtual clock: real parts, default numbers, hours in milliseconds."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.eight_scenarios.proofs import Facts, Place, Proof
from examples.reference_app.keys import VARIABLE, KeyPool
from selfheal import (
    Alert,
    CircuitBreaker,
    CircuitOpenError,
    DormantController,
    EventBus,
    ExponentialBackoff,
    FeatureFlags,
    Healer,
    StatusReport,
    TaskRegistry,
)
from selfheal.errors import ResetRefusedError, ResumeRefusedError, TaskLimitError
from selfheal.events import Severity
from selfheal.policies.breaker import BreakerRegistry, BreakerState
from selfheal.testing import FakeClock

HOUR = 3600.0
DAY = 24 * HOUR


class World:
    """A service with selfheal's parts at their defaults, on a clock that moves when told.

    Args:
        directory: where flags are looked for; empty.
    """

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.events = EventBus()
        self.environ = {VARIABLE: "a-key"}
        self.keys = KeyPool(directory, self.environ)
        self.breakers = BreakerRegistry()
        self.provider = CircuitBreaker("provider", clock=self.clock, events=self.events, registry=self.breakers)
        self.guard = CircuitBreaker(
            "healer", clock=self.clock, events=self.events, registry=self.breakers, permanent_on=()
        )
        self.dormancy = DormantController(
            clock=self.clock, events=self.events, checks={"api keys": self._a_key_is_there}
        )
        self.dormancy.on_resume(lambda resumed: self.provider.reset(force=True, reason=resumed.reason, by=resumed.by))
        self.attempts: list[float] = []
        self.healer = Healer(
            self.heal,
            flags=FeatureFlags(directory, {}),
            dormancy=self.dormancy,
            breaker=self.guard,
            backoff=ExponentialBackoff(),
            clock=self.clock,
            events=self.events,
        )
        self.tasks = TaskRegistry(clock=self.clock, events=self.events, start=False)
        self.looks = 0
        self.tasks.register_interval("detection", self._look, every=300)
        self.tasks.register_interval("healing", self.healer.run_once, every=1)
        self.report = StatusReport(healer=self.healer, breakers=self.breakers, tasks=self.tasks, clock=self.clock)

    def ask_provider(self) -> str:
        """One request, as the service makes it."""
        return self.provider.call(self._answer)

    def go_on(self, seconds: float, until: Callable[[], object] | None = None) -> float:
        """Let time pass second by second, running what is due; returns the seconds that passed."""
        passed = 0.0
        while passed < seconds and not (until and until()):
            self.clock.advance(1.0)
            self.tasks.run_due()
            passed += 1.0
        return passed

    def stand_by(self, hours: int) -> None:
        """Let hours pass, looking for due work once an hour."""
        for _ in range(hours):
            self.clock.advance(HOUR)
            self.tasks.run_due()

    def close(self) -> None:
        """End what may run."""
        self.tasks.shutdown()

    def _answer(self) -> str:
        self.keys.need_active()
        return "a summary"

    def _look(self) -> None:
        self.looks += 1
        if not self.keys.counts().active:
            problem = Alert(at=self.clock.wall(), kind="no_active_keys", target="key-pool", severity=Severity.CRITICAL)
            self.healer.submit(problem)

    def heal(self, alert: Alert) -> None:
        """One healing: without a key it fails."""
        self.attempts.append(self.clock.monotonic())
        self.keys.need_active()

    def _a_key_is_there(self) -> None:
        self.keys.need_active()


@contextmanager
def world() -> Iterator[World]:
    """A fresh world, ended at the end."""
    with tempfile.TemporaryDirectory() as directory:
        made = World(Path(directory))
        try:
            yield made
        finally:
            made.close()


def initial_state(facts: Facts) -> None:
    """Nothing is wrong, and after an hour of looking nothing still is."""
    with world() as it:
        facts.equal("status at the start", it.report.status, "healthy")
        it.go_on(HOUR)
        snapshot = it.healer.snapshot()
        facts.equal("looks in an hour", it.looks, 12)
        facts.equal("status an hour later", it.report.status, "healthy")
        facts.equal("healings attempted", snapshot.total_attempts, 0)
        facts.equal("dormant", snapshot.is_dormant, False)


def key_removed(facts: Facts) -> None:
    """The next look finds it, and healing fails for want of a key."""
    with world() as it:
        it.go_on(400)
        del it.environ[VARIABLE]
        passed = it.go_on(HOUR, until=lambda: it.healer.snapshot().failed_healings)
        facts.true("detected within 300 s of the removal", passed <= 301, f"{passed:.0f} s")
        facts.true(
            "the healing says why", "no active api keys" in it.healer.history[-1].error, it.healer.history[-1].error
        )
        facts.equal("failures in a row", it.healer.snapshot().consecutive_failures, 1)


def five_failures(facts: Facts) -> None:
    """The wait doubles with each failure, and the fifth is a warning."""
    with world() as it:
        del it.environ[VARIABLE]
        delays = []
        for failures in range(1, 6):
            it.go_on(HOUR, until=functools.partial(_has_failed, it, failures))
            delays.append(it.healer.snapshot().backoff_delay)
            if failures == 4:
                facts.true(
                    "four failures in a row are not reported yet",
                    not _failures_in_a_row(it),
                    it.report.as_dict()["issues"],
                )
        waits = [later - earlier for earlier, later in zip(it.attempts, it.attempts[1:], strict=False)]
        facts.equal("backoff after each failure, s", delays, [5.0, 10.0, 20.0, 40.0, 80.0])
        kept = all(wait >= delay for wait, delay in zip(waits, delays, strict=False))
        facts.true("no attempt came before its time", kept, f"waited {waits} s")
        facts.true("five failures in a row are", _failures_in_a_row(it), _failures_in_a_row(it))


def _has_failed(it: World, times: int) -> bool:
    return it.healer.snapshot().consecutive_failures == times


def _failures_in_a_row(it: World) -> list[str]:
    return [issue for issue in it.report.as_dict()["issues"] if "healings failed in a row" in issue]


def ten_failures(facts: Facts) -> None:
    """The tenth failure is the last: then nothing is tried, however long nobody comes."""
    with world() as it:
        del it.environ[VARIABLE]
        passed = it.go_on(DAY, until=lambda: it.dormancy.is_dormant)
        facts.equal("attempts until dormant", len(it.attempts), 10)
        facts.true("within an hour, at the policy's pace", 1200 < passed < HOUR, f"{passed:.0f} s")
        it.stand_by(24)
        facts.equal("attempts a day later", len(it.attempts), 10)
        facts.equal("status", it.report.status, "critical")
        record = it.dormancy.record
        facts.true("the record says why", record and record.manual_reset_required, record and record.reason)


def permanently_open(facts: Facts) -> None:
    """By ten failures, or at once by an error that only a person can mend; never left by time."""
    with world() as it:
        del it.environ[VARIABLE]
        it.go_on(DAY, until=lambda: it.dormancy.is_dormant)
        facts.equal("the healer's breaker after ten failures", it.guard.state, BreakerState.PERMANENT_OPEN)
        _expect_error(facts, "the request without a key", it.ask_provider, Exception, "no active api keys")
        snapshot = it.provider.snapshot()
        facts.equal("the provider's breaker at its first failure", snapshot.state, BreakerState.PERMANENT_OPEN)
        facts.true(
            "its reason names the condition",
            "no active api keys" in str(snapshot.permanent_open_reason),
            snapshot.reason,
        )
        it.clock.advance(7 * DAY)
        facts.equal("a week later", it.provider.state, BreakerState.PERMANENT_OPEN)
        _expect_error(facts, "the next request", it.ask_provider, CircuitOpenError, "call rejected, not attempted")
        _expect_error(facts, "a reset without force", it.provider.reset, ResetRefusedError, "force=True")
    with world() as it:
        del it.environ[VARIABLE]
        healer = Healer(it.heal, flags=it.healer.flags, clock=it.clock, events=it.events)
        healer.handle(Alert(kind="no_active_keys", target="key-pool"))
        record = healer.dormancy.record
        by = None if record is None else record.triggered_by
        facts.equal(
            "a healer whose own breaker knows the text is dormant at its first failure, by", by, "circuit_breaker"
        )


def no_duplicates(facts: Facts) -> None:
    """Registering again replaces; it does not add, nor run twice."""
    with world() as it:
        for _ in range(20):
            it.tasks.register_interval("detection", it._look, every=300)
        snapshot = it.tasks.snapshot()
        facts.equal("tasks after registering one of them twenty times more", snapshot.total_tasks, 2)
        it.go_on(HOUR)
        facts.equal("looks in an hour", it.looks, 12)
        for number in range(8):
            it.tasks.register_interval(f"more-{number}", lambda: None, every=HOUR)
        _expect_error(
            facts,
            "the eleventh task",
            lambda: it.tasks.register_interval("one-too-many", lambda: None, every=HOUR),
            TaskLimitError,
            "detection, healing",
        )


def recovery(facts: Facts) -> None:
    """A person with a reason, once the cause is gone; then everything works again."""
    with world() as it:
        del it.environ[VARIABLE]
        _expect_error(facts, "the request without a key", it.ask_provider, Exception, "no active api keys")
        it.go_on(DAY, until=lambda: it.dormancy.is_dormant)
        _expect_error(
            facts, "resuming without a key", lambda: it.dormancy.resume("try"), ResumeRefusedError, "api keys"
        )
        it.environ[VARIABLE] = "a-new-key"
        _expect_error(facts, "resuming without a reason", lambda: it.dormancy.resume(" "), ResumeRefusedError, "reason")
        it.go_on(HOUR)
        facts.equal("dormant an hour after the key came back", it.dormancy.is_dormant, True)
        facts.equal("resuming with a reason", it.dormancy.resume("key renewed", by="operator"), True)
        facts.equal("the request", it.ask_provider(), "a summary")
        facts.equal("breakers", {str(breaker.state) for breaker in it.breakers}, {"CLOSED"})
        record = it.healer.handle(Alert(kind="no_active_keys", target="key-pool"))
        facts.equal("the next healing", str(record.outcome), "healed")
        it.go_on(HOUR)
        facts.equal("status", it.report.status, "healthy")


def backoff_reset(facts: Facts) -> None:
    """A success, and a resume, make the next wait the first one of the table again."""
    with world() as it:
        alert = Alert(kind="no_active_keys", target="key-pool")
        del it.environ[VARIABLE]
        for _ in range(2):
            it.healer.handle(alert)
            it.clock.advance(it.healer.snapshot().backoff_delay)
        facts.equal("backoff after two failures, s", it.healer.snapshot().backoff_delay, 10.0)
        it.environ[VARIABLE] = "a-new-key"
        it.healer.handle(alert)
        facts.equal("backoff after a success, s", it.healer.snapshot().backoff_delay, 0.0)
        facts.equal("failures in a row", it.healer.snapshot().consecutive_failures, 0)
        del it.environ[VARIABLE]
        it.healer.handle(alert)
        facts.equal("backoff after the next failure, s", it.healer.snapshot().backoff_delay, 5.0)
        it.go_on(DAY, until=lambda: it.dormancy.is_dormant)
        facts.equal("backoff when dormant, s", it.healer.snapshot().backoff_delay, 600.0)
        it.environ[VARIABLE] = "another-key"
        it.dormancy.resume("key renewed", by="operator")
        facts.equal("backoff after the resume, s", it.healer.snapshot().backoff_delay, 0.0)


_SCENARIOS = (
    initial_state,
    key_removed,
    five_failures,
    ten_failures,
    permanently_open,
    no_duplicates,
    recovery,
    backoff_reset,
)


def prove() -> Iterator[Proof]:
    """Run all eight, each in a world of its own."""
    for number, scenario in enumerate(_SCENARIOS, start=1):
        facts = Facts()
        scenario(facts)
        yield facts.proof(number, Place.VIRTUAL)


def _expect_error(facts: Facts, what: str, call: Callable[[], object], kind: type[Exception], text: str) -> None:
    try:
        returned = call()
    except kind as error:
        facts.true(f"{what} is refused", text in str(error), error)
    else:
        facts.true(f"{what} is refused", False, f"it returned {returned!r}")
