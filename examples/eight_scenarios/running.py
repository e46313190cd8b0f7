"""The eight scenarios on the running reference app: a process, HTTP, a file that is edited, and real time."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from examples.eight_scenarios.proofs import Facts, Place, Proof
from examples.reference_app.app import HEALER, TASKS, UPSTREAM
from examples.reference_app.running import NotSeenError, RunningApp
from examples.reference_app.traffic import Traffic, answered_by
from selfheal import ExponentialBackoff
from selfheal.clock import SYSTEM_CLOCK

SPEED = 100.0
_POLICY = ExponentialBackoff()


class Incident:
    """One incident, from healthy to healthy, looked at from eight sides in its own order.

    Args:
        app: the running app.
    """

    def __init__(self, app: RunningApp) -> None:
        self._app = app
        self._traffic = Traffic(app.port)
        self._keys = app.keys()
        self._grown: dict[int, int] = {}
        self._levels: dict[int, str] = {}

    def initial_state(self, facts: Facts) -> None:
        """Healthy, and the provider answers."""
        status = self._app.status()
        facts.equal("status", status["status"], "healthy")
        facts.equal("failures in a row", status["selfHealing"]["consecutiveFailures"], 0)
        facts.equal("issues", status["issues"], [])
        facts.equal("ten documents", answered_by(self._traffic.send(10)), {"upstream": 10})

    def key_removed(self, facts: Facts) -> None:
        """The edit is seen, found at the next look, and healing fails for want of a key."""
        self._app.set_keys("")
        self._app.wait_for(lambda: self._look()["failedHealings"], "the first failed healing")
        status = self._app.status()
        facts.equal("keys", status["llm"]["keyManagement"], {"totalKeys": 0, "activeKeys": 0, "failedKeys": 0})
        facts.true("the problem found", "no active api keys" in str(status["gateway"]["problems"]), status["gateway"])
        facts.equal("a document", answered_by(self._traffic.send(1)), {"local": 1})

    def five_failures(self, facts: Facts) -> None:
        """Each failure shows the wait that the policy says, and the fifth a warning."""
        self._app.wait_for(lambda: self._look()["consecutiveFailures"] >= 5, "five failures in a row")
        wanted = {n: round(_POLICY.delay(n) * 1000 / SPEED) for n in self._grown}
        facts.equal("backoff by number of failures, ms", self._grown, wanted)
        facts.true("it was seen growing", len(self._grown) >= 4 and 5 in self._grown, sorted(self._grown))
        facts.equal("issue at five failures", self._levels.get(5, "none"), "5 healings failed in a row")

    def ten_failures(self, facts: Facts) -> None:
        """Dormant at the tenth, and not one attempt more."""
        self._app.wait_for(lambda: self._look()["isDormant"], "dormant", within=45)
        status = self._app.status()
        facts.equal("failures in a row", status["selfHealing"]["consecutiveFailures"], 10)
        facts.equal("status", status["status"], "critical")
        facts.true(
            "the issue says so", "CRITICAL: self-healing is dormant" in str(status["issues"]), status["issues"][0]
        )
        before = status["selfHealing"]["totalAttempts"]
        with_nothing_tried = self._attempts_after()
        facts.equal("attempts during the next look", with_nothing_tried - before, 0)

    def permanently_open(self, facts: Facts) -> None:
        """The healer's breaker by count, the gateway's by what the error said."""
        healer, upstream = self._app.breaker(HEALER), self._app.breaker(UPSTREAM)
        facts.equal("the healer's breaker", (healer["state"], healer["failureCount"]), ("PERMANENT_OPEN", 10))
        facts.equal("the gateway's breaker", (upstream["state"], upstream["failureCount"]), ("PERMANENT_OPEN", 1))
        reason = upstream["permanentOpenReason"]
        facts.true("its reason", "no active api keys" in reason, reason)
        answer = self._app.post(f"/api/breakers/{UPSTREAM}/reset", {"reason": "try it"})
        facts.equal("a reset without force", answer.status, 409)

    def no_duplicates(self, facts: Facts) -> None:
        """Registering everything again, five times, changes neither the tasks nor the threads."""
        process = psutil.Process(self._app.process.pid)
        before = process.num_threads()
        for _ in range(5):
            self._app.process.send_signal(signal.SIGUSR1)
            self._attempts_after(0.2)
        self._app.wait_for(lambda: self._generation() >= 2, "the tasks registered anew")
        status = self._app.status()
        ids = [task["id"] for task in status["backgroundTasks"]["tasks"]]
        facts.equal("tasks", sorted(ids), sorted(TASKS))
        facts.equal("total", status["backgroundTasks"]["totalTasks"], len(TASKS))
        facts.true("threads", process.num_threads() <= before + 1, f"{before} before, {process.num_threads()} after")
        facts.true("they were registered anew", self._generation() >= 2, f"generation {self._generation()}")

    def recovery(self, facts: Facts) -> None:
        """Refused without a key; with it, one call and the provider answers again."""
        facts.equal("resuming without a key", self._app.resume("try it").status, 409)
        self._app.set_keys(self._keys)
        facts.equal("dormant with the key back", self._app.healing()["isDormant"], True)
        answer = self._app.resume("key restored")
        facts.equal("resuming", (answer.status, answer.body["changed"]), (200, True))
        facts.equal("ten documents", answered_by(self._traffic.send(10)), {"upstream": 10})
        states = {one["name"]: one["state"] for one in self._app.status()["circuitBreakers"]}
        facts.equal("breakers", states, {HEALER: "CLOSED", UPSTREAM: "CLOSED"})

    def backoff_reset(self, facts: Facts) -> None:
        """Count and wait are at their beginning, and the service ends up healthy."""
        healing = self._app.healing()
        found = (healing["consecutiveFailures"], healing["backoffDelay"], healing["isDormant"])
        facts.equal("failures, backoff in ms, dormant", found, (0, 0, False))
        self._app.wait_for(lambda: self._app.status()["status"] == "healthy", "healthy again")
        facts.equal("status", self._app.status()["status"], "healthy")

    def _look(self) -> dict[str, int]:
        """Read the status once, and note the backoff and the issue by number of failures in a row."""
        status = self._app.status()
        healing = status["selfHealing"]
        failures = int(healing["consecutiveFailures"])
        if failures and failures not in self._grown:
            self._grown[failures] = int(healing["backoffDelay"])
            found = [issue for issue in status["issues"] if "healings failed in a row" in issue]
            self._levels[failures] = found[0].partition(";")[0] if found else "none"
        return dict(healing)

    def _attempts_after(self, seconds: float = 3.2) -> int:
        """Let real time pass, by default more than one detection takes to come; returns the attempts then."""
        SYSTEM_CLOCK.sleep(seconds)
        return int(self._app.healing()["totalAttempts"])

    def _generation(self) -> int:
        details = self._app.status()["backgroundTaskDetails"]
        return min(int(details[task]["generation"]) for task in TASKS)


def prove() -> Iterator[Proof]:
    """Run all eight on one app, in order. What was waited for in vain is a fact that does not hold."""
    with tempfile.TemporaryDirectory() as directory, RunningApp(Path(directory), speed=SPEED) as app:
        incident = Incident(app)
        scenarios = (
            incident.initial_state,
            incident.key_removed,
            incident.five_failures,
            incident.ten_failures,
            incident.permanently_open,
            incident.no_duplicates,
            incident.recovery,
            incident.backoff_reset,
        )
        for number, scenario in enumerate(scenarios, start=1):
            facts = Facts()
            try:
                scenario(facts)
            except NotSeenError as error:
                facts.true("everything that had to happen happened", False, error)
            yield facts.proof(number, Place.RUNNING)
