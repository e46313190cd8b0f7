"""Detection says what is wrong and when it is over; repair tries for real and raises when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.detection import Detection
from examples.reference_app.keys import VARIABLE, ApiKey, KeyPool, NoActiveKeysError
from examples.reference_app.provider_process import ProviderProcess
from examples.reference_app.repair import NeedsAPersonError, Repair
from examples.reference_app.request_log import Entry, RequestLog
from examples.reference_app.upstream import ProviderFailedError, ProviderUnreachableError, Upstream
from selfheal import Alert, CircuitBreaker, EventBus, FeatureFlags
from selfheal.errors import HealingInterruptedError
from selfheal.events import AlertCleared, Event
from selfheal.policies.breaker import BreakerRegistry
from selfheal.testing import FakeClock

ALERT = Alert(kind="breaker_opened", target="provider")


class Process(ProviderProcess):
    """A process that only remembers what was done to it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.running = True
        self.done: list[str] = []

    def alive(self) -> bool:
        return self.running

    def start(self) -> None:
        self.done.append("start")
        self.running = True

    def restart(self) -> None:
        self.done.append("restart")
        self.running = True


class Provider(Upstream):
    """An upstream that accepts some keys, and fails as told."""

    def __init__(self, keys: KeyPool, process: Process) -> None:
        super().__init__(lambda: None, keys)
        self.pool = keys
        self.process = process
        self.accepted = {"good"}
        self.error: Exception | None = None
        self.hung = False

    def summarise(self, text: str, sentences: int = 3) -> str:
        self._answer()
        return text[:10]

    def validate(self, key: ApiKey) -> bool:
        self._answer()
        self.pool.mark(key, accepted=key.secret in self.accepted)
        return key.secret in self.accepted

    def _answer(self) -> None:
        if self.hung and "restart" not in self.process.done:
            raise ProviderUnreachableError("the provider does not answer: timed out")
        if self.error is not None:
            raise self.error


class Parts:
    """Detection and repair with real flags, keys, log and breaker, on the virtual clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.environ = {VARIABLE: "good"}
        self.workers_failed = ""
        self.flags = FeatureFlags(directory, {})
        self.events = EventBus()
        self.told: list[Event] = []
        self.events.subscribe(self.told.append, Alert, AlertCleared, inline=True)
        self.keys = KeyPool(directory, self.environ)
        self.process = Process(directory)
        self.provider = Provider(self.keys, self.process)
        self.log = RequestLog(directory / "requests.sqlite")
        self.breaker = CircuitBreaker("provider", clock=self.clock, events=self.events, registry=BreakerRegistry())
        self.detection = Detection(
            keys=self.keys,
            process=self.process,
            breaker=self.breaker,
            log=self.log,
            flags=self.flags,
            events=self.events,
            clock=self.clock,
            workers_failed=lambda: self.workers_failed,
        )
        self.repair = Repair(
            keys=self.keys,
            process=self.process,
            upstream=self.provider,
            breaker=self.breaker,
            flags=self.flags,
            workers_failed=lambda: self.workers_failed,
        )

    def kinds(self) -> list[str]:
        return [alert.kind for alert in self.detection.look()]

    def request(self, outcome: str, times: int = 1) -> None:
        for _ in range(times):
            error = "" if outcome == "ok" else "away"
            self.log.add(
                Entry(at=1.0, document="d", size=1, outcome=outcome, provider="", error=error, duration_ms=1.0)
            )


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.log.close()


def go_on() -> None:
    """Nothing stands against it."""


def test_nothing_wrong_is_nothing_said(parts: Parts) -> None:
    """A healthy service raises no alert."""
    parts.request("ok", 10)

    assert parts.kinds() == []
    assert parts.told == []


def test_each_problem_has_its_alert(parts: Parts) -> None:
    """Keys, process, breaker, degraded replies and summary workers are told apart."""
    del parts.environ[VARIABLE]
    parts.process.running = False
    parts.breaker.trip("three failures")
    parts.request("ok", 8)
    parts.request("degraded", 2)
    parts.workers_failed = "6 unplanned ends of workers"

    assert parts.kinds() == [
        "no_active_keys",
        "process_dead",
        "breaker_opened",
        "degraded_replies",
        "workers_failed",
    ]
    assert parts.detection.open[3].message == "2 of the last 10 replies were degraded: away"


def test_a_few_degraded_replies_are_no_problem(parts: Parts) -> None:
    """Below a fifth of the replies since the last look nothing is said; each look counts only what came after it."""
    parts.request("ok", 9)
    parts.request("degraded", 2)
    assert parts.kinds() == []
    parts.request("degraded")

    assert parts.kinds() == ["degraded_replies"]
    assert parts.kinds() == []


def test_a_problem_that_goes_on_is_one_alert(parts: Parts) -> None:
    """It is raised anew under the same fingerprint, and cleared once when it is gone."""
    del parts.environ[VARIABLE]
    parts.detection.look()
    parts.detection.look()
    parts.environ[VARIABLE] = "good"
    parts.detection.look()
    parts.detection.look()

    raised = [event.fingerprint for event in parts.told if isinstance(event, Alert)]
    cleared = [event.fingerprint for event in parts.told if isinstance(event, AlertCleared)]
    assert raised == ["no_active_keys|key-pool|active_keys"] * 2
    assert cleared == raised[:1]


def test_detection_switched_off_looks_at_nothing(parts: Parts) -> None:
    """The flag counts at the next look; switched on again it finds what is there."""
    del parts.environ[VARIABLE]
    parts.flags.override("FEATURE_AUTO_DETECTION_MONITORING", False)
    assert parts.kinds() == []
    parts.flags.clear_override("FEATURE_AUTO_DETECTION_MONITORING")

    assert parts.kinds() == ["no_active_keys"]


def test_process_monitoring_switched_off_leaves_the_process_alone(parts: Parts) -> None:
    """A dead process is then neither found nor started."""
    parts.process.running = False
    parts.flags.override("FEATURE_PROCESS_MONITORING_ENABLED", False)
    parts.provider.hung = True

    assert parts.kinds() == []
    with pytest.raises(ProviderUnreachableError):
        parts.repair.heal(ALERT, go_on)
    assert parts.process.done == []


def test_a_dead_process_is_started(parts: Parts) -> None:
    """Repair starts it, tries it, and says so."""
    parts.process.running = False

    told = parts.repair.heal(ALERT, go_on)

    assert parts.process.done == ["start"]
    assert told == "started the provider, the provider answers"


def test_a_hung_process_is_restarted(parts: Parts) -> None:
    """It runs and does not answer: that is what a restart is for, once."""
    parts.provider.hung = True

    told = parts.repair.heal(ALERT, go_on)

    assert parts.process.done == ["restart"]
    assert told == "restarted the provider, the provider answers"


def test_a_provider_that_says_no_is_not_restarted(parts: Parts) -> None:
    """A 503 is its own statement; repair fails with it and touches nothing."""
    parts.provider.error = ProviderFailedError("the provider answered 503: away")

    with pytest.raises(ProviderFailedError):
        parts.repair.heal(ALERT, go_on)
    assert parts.process.done == []


def test_no_key_is_a_failure(parts: Parts) -> None:
    """Repair cannot make keys, and says so in the words that a breaker knows."""
    del parts.environ[VARIABLE]

    with pytest.raises(NoActiveKeysError, match="no active api keys"):
        parts.repair.heal(ALERT, go_on)


def test_a_refused_key_is_tried_again(parts: Parts) -> None:
    """A key that the provider accepts after all is active again; one that it does not stays failed."""
    parts.environ[VARIABLE] = "good,bad"
    for key in parts.keys.all():
        parts.keys.mark(key, accepted=False)

    told = parts.repair.heal(ALERT, go_on)

    assert told == "1 of 2 keys accepted, the provider answers"
    assert parts.keys.counts().active == 1


def test_an_open_breaker_is_closed_after_the_probe(parts: Parts) -> None:
    """The gateway's breaker opens the way again at once, with the reason on record."""
    parts.breaker.trip("three failures")

    told = parts.repair.heal(ALERT, go_on)

    assert told
    assert parts.breaker.state == "CLOSED"
    last = parts.breaker.snapshot().last_reset
    assert last is not None
    assert (last.by, last.reason) == ("healer", "the provider answers again")


def test_a_permanently_open_breaker_is_left_to_a_person(parts: Parts) -> None:
    """Everything works again, and repair still does not call that healed."""
    parts.breaker.trip_permanently("unauthorized")

    with pytest.raises(NeedsAPersonError, match="a person must reset it"):
        parts.repair.heal(ALERT, go_on)
    assert parts.breaker.state == "PERMANENT_OPEN"


def test_workers_that_gave_up_are_left_to_a_person(parts: Parts) -> None:
    """What the pool's own limit ended is not started again by a healing, round and round."""
    parts.breaker.trip("three failures")
    parts.workers_failed = "6 unplanned ends of workers"

    with pytest.raises(NeedsAPersonError, match="gave up: 6 unplanned ends"):
        parts.repair.heal(ALERT, go_on)
    assert parts.breaker.state == "CLOSED"


def test_told_to_stop_it_takes_no_further_step(parts: Parts) -> None:
    """A flag switched off in the middle of a repair ends it before the next step."""
    parts.breaker.trip("three failures")

    def stop() -> None:
        raise HealingInterruptedError("flags", "switched off")

    with pytest.raises(HealingInterruptedError, match="switched off"):
        parts.repair.heal(ALERT, stop)
    assert parts.breaker.state == "OPEN"


def test_prevention_tries_every_key(parts: Parts) -> None:
    """Before anything is wrong it finds the key that has gone bad."""
    parts.environ[VARIABLE] = "good,bad"

    result = parts.repair.prevent()

    assert result.reason == "1 of 2 keys accepted, the provider answers"
    assert parts.keys.counts().failed == 1
