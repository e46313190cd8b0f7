"""A whole service of real parts, broken and brought back by requests, on the virtual clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import CircuitOpenError
from selfheal.events import ActionAudited, Alert, EventBus
from selfheal.healing import Healer, Outcome
from selfheal.integrations.http import Request, Response, SteeringApi
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import FeatureFlags
from selfheal.status import StatusReport, Steering
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

TOKEN = "write-token-0123456789"


class World:
    """A provider that needs a key, the breaker on it, a healer, tasks, and the API over all of them."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.events, self.key = FakeClock(), EventBus(), "k-1"
        self.audited: list[ActionAudited] = []
        self.events.subscribe(self.audited.append, ActionAudited, inline=True)
        self.breakers = BreakerRegistry()
        self.provider = CircuitBreaker("provider", clock=self.clock, events=self.events, registry=self.breakers)
        self.dormancy = DormantController(
            clock=self.clock,
            events=self.events,
            checks={"api key": lambda: None if self.key else "there is no key"},
            resume_conditions=("an API key is set",),
        )
        self.healer = Healer(
            self._heal,
            flags=FeatureFlags(directory, {}),
            dormancy=self.dormancy,
            breaker=CircuitBreaker(
                "healer", permanent_on=(), clock=self.clock, events=self.events, registry=BreakerRegistry()
            ),
            clock=self.clock,
            events=self.events,
        )
        self.runs = 0
        self.tasks = TaskRegistry(clock=self.clock, events=self.events, start=False)
        self.tasks.register_interval("detect", self._detect, every=300)
        parts: dict[str, Any] = {"healer": self.healer, "breakers": self.breakers, "tasks": self.tasks}
        report = StatusReport(**parts, clock=self.clock, section_timeout=None)
        steering = Steering(**parts, events=self.events, clock=self.clock)
        self.api = SteeringApi(report, steering, token=TOKEN, clock=self.clock)

    def _heal(self, alert: Alert) -> None:
        if not self.key:
            raise PermissionError("no active api keys")

    def _detect(self) -> None:
        self.runs += 1

    def call_provider(self) -> str:
        return self.provider.call(self._answer)

    def _answer(self) -> str:
        if not self.key:
            raise PermissionError("401 unauthorized")
        return "summary"

    def fail(self, times: int) -> None:
        """Let so many healings fail, each when its wait is over."""
        failed = 0
        while failed < times:
            self.clock.advance(60.0)
            failed += self.healer.handle(Alert(kind="no_key")).outcome is Outcome.FAILED

    def status(self) -> Any:
        return self.api.dispatch(Request(path="/api/status")).json()

    def post(self, path: str, body: dict[str, Any]) -> Response:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        return self.api.dispatch(
            Request(method="POST", path=path, headers=headers, body=json.dumps(body).encode(), client="10.0.0.7")
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A healthy service."""
    made = World(tmp_path)
    yield made
    made.tasks.shutdown()


def test_at_first_it_is_healthy(world: World) -> None:
    """A service at rest has no issue, and says how many attempts an hour can hold."""
    found = world.status()

    assert (found["status"], found["issues"]) == ("healthy", [])
    assert found["selfHealing"]["enabled"] is True
    assert found["limits"] == {"maxAttemptsPerHour": 720, "maxFailingAttemptsPerHour": 10, "attemptsLastHour": 0}
    assert [one["name"] for one in found["circuitBreakers"]] == ["healer", "provider"]


def test_five_failures_warn_and_show_the_growing_wait(world: World) -> None:
    """After five failures in a row the status warns, with the backoff at 80 s in milliseconds."""
    world.key = ""
    world.fail(5)
    found = world.status()

    assert found["status"] == "warning"
    assert found["selfHealing"]["consecutiveFailures"] == 5
    assert found["selfHealing"]["backoffDelay"] == 80_000
    assert any(issue.startswith("5 healings failed in a row") for issue in found["issues"])


def test_a_dormant_healer_is_resumed_by_the_call_that_the_status_names(world: World) -> None:
    """Ten failures end in dormancy; the request the status shows is refused without the key and works with it."""
    world.key = ""
    world.fail(10)
    found = world.status()
    assert found["status"] == "critical"
    assert found["issues"][0].startswith("CRITICAL: self-healing is dormant")
    assert found["dormancy"]["resumeConditions"] == ["an API key is set"]
    assert world.healer.handle(Alert(kind="no_key")).outcome is Outcome.REFUSED
    _, path, body = found["dormancy"]["resumeCall"]["http"].split(" ", 2)

    refused = world.post(path, json.loads(body))
    assert refused.status == 409
    assert refused.json()["error"]["failedCheck"] == "api key"
    assert world.dormancy.is_dormant

    world.key = "k-2"
    assert world.post(path, json.loads(body)).json()["resumed"] is True
    after = world.status()
    assert after["selfHealing"] | {"totalAttempts": 0, "failedHealings": 0} == {
        "enabled": True,
        "isDormant": False,
        "dormantReason": None,
        "consecutiveFailures": 0,
        "backoffDelay": 0,
        "totalAttempts": 0,
        "successfulHealings": 0,
        "failedHealings": 0,
    }
    assert after["healing"]["probation"] is True
    assert after["dormancy"]["lastResume"]["by"] == "your name"
    assert world.healer.handle(Alert(kind="no_key")).outcome is Outcome.HEALED
    assert world.status()["healing"]["probation"] is False
    assert [record.allowed for record in world.audited] == [False, True]


def test_a_permanently_open_breaker_is_closed_by_the_call_that_the_status_names(world: World) -> None:
    """An unauthorized answer opens the breaker for good; the request the status shows closes it again."""
    world.key = ""
    with pytest.raises(PermissionError):
        world.call_provider()
    world.clock.advance(1e6)
    with pytest.raises(CircuitOpenError):
        world.call_provider()
    found = world.status()
    assert found["status"] == "critical"
    assert found["issues"][0].startswith("CRITICAL: circuit breaker 'provider' is PERMANENT_OPEN")

    world.key = "k-2"
    call = found["recommendations"][0].split(" or POST ")[1].removesuffix(".")
    path, body = call.split(" ", 1)
    assert world.post(path, {"reason": "key renewed"}).status == 409
    assert world.post(path, json.loads(body)).json()["state"] == "CLOSED"

    assert world.call_provider() == "summary"
    after = world.status()
    assert after["status"] == "healthy"
    last = after["circuitBreakerDetails"]["provider"]["lastReset"]
    assert (last["by"], last["forced"], last["was"]) == ("your name", True, "PERMANENT_OPEN")


def test_the_healers_own_breaker_is_reset_over_http(world: World) -> None:
    """The breaker that guards healings stands in no registry of the host and can be steered all the same."""
    world.key = ""
    world.fail(3)
    assert {one["name"]: one["state"] for one in world.status()["circuitBreakers"]}["healer"] == "OPEN"

    assert world.post("/api/breakers/healer/reset", {"reason": "key renewed"}).json()["state"] == "CLOSED"
    assert str(world.healer.breaker.state) == "CLOSED"


def test_a_paused_task_does_not_run_until_it_is_resumed(world: World) -> None:
    """Pausing over HTTP holds the real task back, resuming lets it run, and the status follows."""
    world.clock.advance(300)
    world.tasks.run_due()
    assert world.runs == 1

    world.post("/api/tasks/detect/pause", {"reason": "noisy", "by": "maria"})
    world.clock.advance(3000)
    world.tasks.run_due()
    assert world.runs == 1
    paused = world.status()["backgroundTasks"]
    assert (paused["activeTasks"], paused["tasks"][0]["enabled"]) == (0, False)

    world.post("/api/tasks/detect/resume", {})
    world.clock.advance(300)
    world.tasks.run_due()
    assert world.runs == 2
    assert world.status()["backgroundTasks"]["tasks"][0]["executionCount"] == 2


def test_a_failing_task_is_an_issue_until_it_works_again(world: World) -> None:
    """A task that raises is named with its error, and the issue goes when it succeeds."""
    works = False

    def sync() -> None:
        if not works:
            raise OSError("disk full")

    world.tasks.register_interval("sync", sync, every=10)
    world.clock.advance(10)
    world.tasks.run_due()
    found = world.status()
    assert found["status"] == "warning"
    assert any("'sync' fails" in issue and "disk full" in issue for issue in found["issues"])
    assert any("POST /api/tasks/sync/pause" in advice for advice in found["recommendations"])

    works = True
    world.clock.advance(10)
    world.tasks.run_due()
    assert world.status()["status"] == "healthy"


def test_a_flag_flipped_in_the_file_is_seen_at_once(world: World, tmp_path: Path) -> None:
    """Switching healing off in .env.local shows in the next status, with where it came from."""
    (tmp_path / ".env.local").write_text("FEATURE_AUTO_HEALING_ENABLED=false\n")
    found = world.status()

    assert found["selfHealing"]["enabled"] is False
    assert found["flags"]["FEATURE_AUTO_HEALING_ENABLED"] == {"value": False, "origin": ".env.local", "problem": None}
    assert any("switched off" in issue for issue in found["issues"])
