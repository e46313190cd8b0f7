"""The status report: its exact JSON shape, what it collects, and that nothing breaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from selfheal.errors import ConfigError, NotFoundError
from selfheal.events import EventBus
from selfheal.healing.records import GuardName, HealerSnapshot
from selfheal.policies.breaker import BreakerRegistry, BreakerSnapshot, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import FeatureFlags
from selfheal.status import StatusReport
from selfheal.status.shape import OWN_KEYS
from selfheal.testing import FakeClock
from tests.status.records import a_breaker, a_healer, a_registry, a_task


class Breakers:
    """A source of breakers that a test writes down."""

    def __init__(self, *snapshots: BreakerSnapshot) -> None:
        self._snapshots = snapshots

    def get(self, name: str) -> CircuitBreaker:
        raise NotFoundError("breaker", name, [snapshot.name for snapshot in self._snapshots])

    def snapshots(self) -> list[BreakerSnapshot]:
        return list(self._snapshots)


class Tasks:
    """A source of tasks that a test writes down."""

    def __init__(self, snapshot: Any) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> Any:
        return self._snapshot


@attrs.define
class HealerStub:
    """What the report asks of a healer."""

    shown: HealerSnapshot
    dormancy: DormantController
    flags: FeatureFlags = attrs.field(factory=lambda: FeatureFlags(directory="/nonexistent", environ={}))
    breaker: CircuitBreaker = attrs.field(
        factory=lambda: CircuitBreaker("healer", events=EventBus(), registry=BreakerRegistry())
    )

    def snapshot(self) -> HealerSnapshot:
        return self.shown


def _report(clock: FakeClock | None = None, **parts: Any) -> StatusReport:
    parts.setdefault("breakers", Breakers())
    return StatusReport(clock=clock or FakeClock(), section_timeout=None, **parts)


def _dormancy(clock: FakeClock) -> DormantController:
    return DormantController(clock=clock, events=EventBus())


def test_a_bare_report_is_healthy_and_whole() -> None:
    """Without any part the report is healthy and has every key, all at rest."""
    found = _report().as_dict()

    assert tuple(found) == OWN_KEYS
    assert found["status"] == "healthy"
    assert found["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert found["selfHealing"] == {
        "enabled": False,
        "isDormant": False,
        "dormantReason": None,
        "consecutiveFailures": 0,
        "backoffDelay": 0,
        "totalAttempts": 0,
        "successfulHealings": 0,
        "failedHealings": 0,
    }
    assert found["circuitBreakers"] == []
    assert found["backgroundTasks"] == {"totalTasks": 0, "activeTasks": 0, "tasks": []}
    assert found["issues"] == found["recommendations"] == []


def test_self_healing_has_exactly_its_eight_keys() -> None:
    """The healer's snapshot is shown in camelCase, durations in whole milliseconds."""
    clock = FakeClock()
    snapshot = a_healer(
        consecutive_failures=5,
        backoff_delay=80.0,
        retry_in=33.3333,
        settling=12.0,
        total_attempts=12,
        successful_healings=7,
        failed_healings=5,
        refused={GuardName.BACKOFF: 4},
        attempts_last_hour=12,
        pending=2,
    )
    found = _report(healer=HealerStub(snapshot, _dormancy(clock))).as_dict()

    assert found["selfHealing"] == {
        "enabled": True,
        "isDormant": False,
        "dormantReason": None,
        "consecutiveFailures": 5,
        "backoffDelay": 80_000,
        "totalAttempts": 12,
        "successfulHealings": 7,
        "failedHealings": 5,
    }
    assert found["healing"] == {
        "retryIn": 33_333,
        "settling": 12_000,
        "pending": 2,
        "running": 0,
        "probation": False,
        "preventiveFailures": 0,
        "interruptedHealings": 0,
        "droppedAlerts": 0,
        "expiredAlerts": 0,
        "refused": {"backoff": 4},
    }
    assert found["limits"] == {
        "maxAttemptsPerHour": 720,
        "maxFailingAttemptsPerHour": 10,
        "attemptsLastHour": 12,
    }
    assert found["status"] == "warning"


def test_a_circuit_breaker_has_exactly_its_five_keys() -> None:
    """A breaker's entry has the five keys, and everything else stands in the details."""
    one = a_breaker("db", "OPEN", failure_count=3, last_failure_ago=1.25, retry_after=58.75, failures=3, last_error="x")
    found = _report(breakers=Breakers(one)).as_dict()

    assert found["circuitBreakers"] == [
        {"name": "db", "state": "OPEN", "failureCount": 3, "lastFailureAgo": 1250, "permanentOpenReason": None}
    ]
    assert found["circuitBreakerDetails"]["db"]["retryAfter"] == 58_750
    assert found["circuitBreakerDetails"]["db"]["lastError"] == "x"


def test_a_task_has_exactly_its_nine_keys() -> None:
    """A task's entry has the nine keys, with its durations in milliseconds and its next run as a moment."""
    one = a_task(
        "detect", execution_count=4, last_duration=0.0125, uptime=1200.0, next_run=1_700_000_300.5, next_in=300.5
    )
    found = _report(tasks=Tasks(a_registry(one))).as_dict()

    assert found["backgroundTasks"] == {
        "totalTasks": 1,
        "activeTasks": 1,
        "tasks": [
            {
                "id": "detect",
                "type": "interval",
                "enabled": True,
                "executionCount": 4,
                "failureCount": 0,
                "lastError": None,
                "lastDuration": 12,
                "uptime": 1_200_000,
                "nextRun": "2023-11-14T22:18:20.500Z",
            }
        ],
    }
    assert found["backgroundTaskDetails"]["detect"]["nextIn"] == 300_500


def test_dormancy_tells_why_since_when_and_how_to_end_it() -> None:
    """While dormant the report is critical and has the reason, the time, the trigger, the conditions and the call."""
    clock = FakeClock()
    dormancy = _dormancy(clock)
    dormancy.enter("no active api keys", "circuit_breaker", ["an API key is active"])
    clock.advance(90.0)
    report = _report(clock, dormancy=dormancy, base_url="http://127.0.0.1:3001")
    found = report.as_dict()

    assert found["status"] == report.status == report.level == "critical"
    assert found["selfHealing"]["isDormant"] is True
    assert found["selfHealing"]["dormantReason"] == "no active api keys"
    call = found["dormancy"].pop("resumeCall")
    assert found["dormancy"] == {
        "isDormant": True,
        "reason": "no active api keys",
        "since": "2023-11-14T22:13:20.000Z",
        "dormantFor": 90_000,
        "triggeredBy": "circuit_breaker",
        "resumeConditions": ["an API key is active"],
        "manualResetRequired": True,
        "lastResume": None,
    }
    assert call["python"] == 'healer.dormancy.resume("what you fixed", by="your name")'
    assert call["curl"].startswith("curl -X POST http://127.0.0.1:3001/api/system/heal/resume -H ")
    assert found["issues"][0].startswith("CRITICAL: self-healing is dormant: no active api keys")
    assert "http://127.0.0.1:3001/api/system/heal/resume" in found["recommendations"][0]


def test_the_last_resume_stays_visible() -> None:
    """After a resume the report is healthy again and still tells who resumed and why."""
    clock = FakeClock()
    dormancy = _dormancy(clock)
    dormancy.enter("tired")
    dormancy.resume("slept", by="maria")
    found = _report(clock, dormancy=dormancy).as_dict()

    assert found["status"] == "healthy"
    assert found["dormancy"]["lastResume"] == {
        "at": "2023-11-14T22:13:20.000Z",
        "reason": "slept",
        "by": "maria",
        "problems": [],
    }


def test_flags_tell_value_origin_and_problem(tmp_path: Any) -> None:
    """Each flag shows where its value came from, and an unreadable one makes a warning."""
    (tmp_path / ".env.local").write_text("FEATURE_AUTO_HEALING_ENABLED=ture\n")
    flags = FeatureFlags(directory=tmp_path, environ={"FEATURE_PREVENTIVE_HEALING_ENABLED": "off"})
    found = _report(flags=flags).as_dict()

    assert found["flags"]["FEATURE_PREVENTIVE_HEALING_ENABLED"] == {
        "value": False,
        "origin": "environment",
        "problem": None,
    }
    assert found["flags"]["FEATURE_AUTO_HEALING_ENABLED"]["value"] is False
    assert found["flags"]["FEATURE_AUTO_HEALING_ENABLED"]["origin"] == ".env.local"
    assert found["flags"]["FEATURE_PROCESS_MONITORING_ENABLED"]["origin"] == "default"
    assert found["status"] == "warning"


def test_the_healers_flags_and_dormancy_are_taken_unless_others_are_given() -> None:
    """A healer brings its own flags and dormancy along."""
    clock = FakeClock()
    dormancy = _dormancy(clock)
    dormancy.enter("x")
    found = _report(clock, healer=HealerStub(a_healer(), dormancy)).as_dict()

    assert len(found["flags"]) == 4
    assert found["dormancy"]["reason"] == "x"


def test_a_healer_that_says_dormant_is_believed() -> None:
    """The snapshot's word for dormancy counts even where no record can be had."""
    clock = FakeClock()
    snapshot = a_healer(is_dormant=True, dormant_reason="worn out")
    found = _report(clock, healer=HealerStub(snapshot, _dormancy(clock))).as_dict()

    assert found["status"] == "critical"
    assert found["selfHealing"]["dormantReason"] == "worn out"


def test_critical_issues_stand_first() -> None:
    """Whoever reads only the first line reads the worst."""
    clock = FakeClock()
    dormancy = _dormancy(clock)
    dormancy.enter("x")
    breakers = Breakers(a_breaker("a", "OPEN"), a_breaker("b", "PERMANENT_OPEN", permanent_open_reason="unauthorized"))
    found = _report(clock, dormancy=dormancy, breakers=breakers).as_dict()

    assert [issue.startswith("CRITICAL: ") for issue in found["issues"]] == [True, True, False]


def test_host_sections_are_top_level_keys() -> None:
    """A section of the host stands beside selfheal's own keys, without its secrets."""
    report = _report(sections={"llm": lambda: {"keyManagement": {"totalKeys": 3, "activeKeys": 2, "failedKeys": 1}}})
    report.add_section("billing", lambda: {"apiKey": "k-1"})
    found = report.as_dict()

    assert found["llm"] == {"keyManagement": {"totalKeys": 3, "activeKeys": 2, "failedKeys": 1}}
    assert found["billing"] == {"apiKey": "[redacted]"}
    assert found["status"] == "healthy"


def test_a_broken_section_is_an_issue_and_breaks_nothing() -> None:
    """A section that raises leaves the rest whole and makes the status a warning; liveness does not ask it."""

    def broken() -> Mapping[str, Any]:
        raise RuntimeError("no")

    report = _report(sections={"llm": broken})
    found = report.as_dict()

    assert "raised RuntimeError" in found["llm"]["error"]
    assert found["issues"] == [found["llm"]["error"]]
    assert found["status"] == "warning"
    assert report.level == "healthy"


@pytest.mark.parametrize("name", ["status", "issues", "selfHealing", "flags", "limits"])
def test_a_section_cannot_take_a_key_of_selfheal(name: str) -> None:
    """A host cannot shadow what selfheal reports."""
    with pytest.raises(ConfigError, match=name):
        _report(sections={name: dict})


def test_a_part_that_cannot_be_read_is_an_issue(caplog: pytest.LogCaptureFixture) -> None:
    """When a part of selfheal itself fails, the report says so and shows the rest."""

    class Broken(Breakers):
        def snapshots(self) -> list[BreakerSnapshot]:
            raise OSError("store away")

    found = _report(breakers=Broken(), tasks=Tasks(a_registry(a_task()))).as_dict()

    assert found["status"] == "warning"
    assert found["issues"] == ["The circuit breakers could not be read (OSError); the log of selfheal.status has more."]
    assert found["backgroundTasks"]["totalTasks"] == 1
    assert "could not read the circuit breakers" in caplog.text


def test_credentials_in_reasons_are_redacted() -> None:
    """A key that an upstream put in its error message does not get into the status."""
    key = "sk-abcdefghijklmnop"
    one = a_breaker("llm", "PERMANENT_OPEN", permanent_open_reason=f"unauthorized: {key}", last_error=key)
    report = _report(breakers=Breakers(one), tasks=Tasks(a_registry(a_task(consecutive_failures=1, last_error=key))))

    assert key not in report.as_json()
    assert key not in report.as_markdown()
    assert "unauthorized: [redacted]" in report.as_json()


def test_json_is_strict_and_round_trips() -> None:
    """The JSON text is the dict, with no NaN in it."""
    one = a_breaker("db", failure_rate=0.5)
    report = _report(breakers=Breakers(one), sections={"host": lambda: {"rate": float("nan"), "name": "Zürich"}})

    assert json.loads(report.as_json()) == report.as_dict()
    assert report.as_dict()["host"] == {"rate": None, "name": "Zürich"}


def test_real_breakers_are_reported() -> None:
    """A real registry's breakers appear sorted by name with their state."""
    clock, registry = FakeClock(), BreakerRegistry()
    for name in ("b", "a"):
        CircuitBreaker(name, clock=clock, events=EventBus(), registry=registry)
    registry.get("a").trip_permanently("unauthorized", by="maria")
    found = _report(clock, breakers=registry).as_dict()

    assert [(one["name"], one["state"]) for one in found["circuitBreakers"]] == [
        ("a", "PERMANENT_OPEN"),
        ("b", "CLOSED"),
    ]
    assert found["circuitBreakers"][0]["permanentOpenReason"] == "unauthorized"
    assert found["status"] == "critical"


def test_without_a_registry_the_default_one_is_reported() -> None:
    """A breaker made without naming a registry is found without naming one."""
    from selfheal.policies.breaker import DEFAULT_REGISTRY

    name = "tests.status.default"
    CircuitBreaker(name)
    try:
        names = [one["name"] for one in StatusReport().as_dict()["circuitBreakers"]]
    finally:
        DEFAULT_REGISTRY.remove(name)

    assert name in names
