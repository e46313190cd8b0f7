"""Six faults and a guided incident: ``python -m examples.reference_app.demo``. Exit code 0 only if all went well.

``--within 300`` gives it 300 s in all instead of 90, for a machine that is busy with other work.

The app runs with the default policy, a hundred times faster: detection every 3 s instead of 300, a backoff
from 50 ms to 6 s instead of 5 s to 600, breakers open for 0.6 s instead of 60, the six strategies that ship with
all their durations divided by 100. The processes and the faults are real, and every step is what an operator would do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from examples.reference_app.app import HEALER, UPSTREAM
from examples.reference_app.config import AppConfig
from examples.reference_app.drills import VARIABLE as DRILLS
from examples.reference_app.faults import OPTIONS, Faults
from examples.reference_app.observer import Observer
from examples.reference_app.running import NotSeenError, RunningApp, is_free, survivors
from examples.reference_app.story import Story
from examples.reference_app.traffic import answered_by, refused, told
from examples.reference_app.week import make
from selfheal import ExponentialBackoff
from selfheal.clock import SYSTEM_CLOCK

SPEED = 100.0
LIMIT = 90.0
MEASURED = 3.0
_OPEN_FOR = AppConfig().faster(SPEED).open_for
_POLICY = ExponentialBackoff()
_NO_KEY = ("unauthorized", "no active api keys")  # the latter where detection has tried the key before
_NEWS = "all resume checks pass"
_HEADER = """selfheal: a service that heals itself and knows when to stop. Six faults, and a guided incident.

The policy is the default one, 100 times faster: detection every 3 s (300), healing again after 50 ms, 100 ms
… 6 s (5 s, 10 s … 600 s), circuit breakers open for 0.6 s (60 s), the strategies that ship by 3 s for 5 min.
A second in which the queue stands still counts for 20. The processes and the faults are real.
State and log of the service: {directory}"""


class Demo:
    """The incident, step by step.

    Args:
        app: the service.
        story: tells it.
    """

    def __init__(self, app: RunningApp, story: Story) -> None:
        self._app = app
        self._story = story
        self._seen = Observer(app, story)

    def run(self) -> None:
        """Everything, in order.

        Raises:
            NotSeenError: if something that must happen does not, in time.
        """
        self.starts()
        self.serves()
        Faults(self._app, self._story, self._seen).run()
        self.heals_a_killed_provider()
        self.outlasts_a_failing_provider()
        keys = self._app.keys()
        self.meets_a_wrong_key()
        self.loses_its_keys()
        self.stands_still()
        self.refuses_to_resume()
        self.gets_its_keys_back(keys)
        self.is_resumed()
        self.serves_again()
        self.leaves_nothing()

    def starts(self) -> None:
        """The service comes up healthy."""
        self._story.chapter("The service starts")
        self._story.typed(" ".join(["python", *self._app.command[1:]]))
        self._app.start()
        status = self._seen.see("status", "selfHealing", "llm.keyManagement")
        healing = status["selfHealing"]
        self._story.expect("it starts healthy", status["status"] == "healthy", status["status"])
        self._story.expect("no failure yet", healing["consecutiveFailures"] == 0, healing["consecutiveFailures"])
        ids = [task["id"] for task in status["backgroundTasks"]["tasks"]]
        self._story.expect("each background task is there once", len(ids) == len(set(ids)) == 5, f"{len(ids)} tasks")

    def serves(self) -> None:
        """Documents are summarised by the provider."""
        self._story.chapter("Ten real documents are summarised")
        sent = self._seen.send(10)
        self._story.shown(f"{sent[-1].document}: {sent[-1].summary[:300]}…")
        self._story.expect("the provider answers all of them", answered_by(sent) == {"upstream": 10}, told(sent))

    def heals_a_killed_provider(self) -> None:
        """A dead process is found and restarted with nobody's help."""
        before = self._seen.provider()
        pid = before["pid"]
        self._story.chapter("The provider process is killed")
        self._story.typed(f"kill -KILL {pid}")
        os.kill(pid, signal.SIGKILL)
        self._app.wait_for(lambda: self._seen.provider()["pid"] not in (None, pid), "the provider healed")
        self._app.wait_for(lambda: not self._seen.problems(), "no problem left")
        status = self._seen.see("selfHealing", "gateway.provider")
        provider = status["gateway"]["provider"]
        self._story.expect(
            "a killed provider is healed by itself",
            provider["running"] and provider["pid"] != pid and provider["restarts"] == before["restarts"] + 1,
            f"process {pid} replaced by {provider['pid']}, {self._story.seconds:.0f} s into the demo",
        )
        sent = self._seen.send(2)
        self._story.expect("and answers again", answered_by(sent) == {"upstream": 2}, told(sent))

    def outlasts_a_failing_provider(self) -> None:
        """A provider that answers 503: the breaker opens, the backoff grows, and it heals once the fault ends."""
        self._story.chapter("The provider fails: every call gets a 503, and a restart does not cure that")
        self._seen.fault("failing")
        began = SYSTEM_CLOCK.monotonic()
        sent = self._seen.send(5)
        self._story.shown("\n".join(f"{one.document}: {one.provider}, {one.reason}" for one in sent))
        self._story.expect("every document is answered, degraded", answered_by(sent) == {"local": 5}, told(sent))
        breaker = self._app.breaker(UPSTREAM)
        probes = int((SYSTEM_CLOCK.monotonic() - began) / _OPEN_FOR)  # none, where the machine is quick
        self._seen.see("circuitBreakers")
        self._story.expect(
            "three failures open the breaker, the rest is not attempted",
            breaker["state"] in ("OPEN", "HALF_OPEN") and 3 <= breaker["failureCount"] <= 3 + probes,
            f"{breaker['state']} at {breaker['failureCount']} failures, {refused(sent)} refused",
        )
        grown = self._seen.watch_failures(4)
        self._story.expect("the healer's backoff grows", _as_policy(grown), _steps(grown))
        self._story.tell("the fault ends; nobody touches the service")
        self._seen.fault("none")
        self._app.wait_for(self._seen.is_well, "healed after the fault ended")
        status = self._seen.see("selfHealing", "circuitBreakers")
        healing = status["selfHealing"]
        states = [breaker["state"] for breaker in status["circuitBreakers"]]
        self._story.expect("it healed by itself", set(states) == {"CLOSED"}, ", ".join(states))
        self._story.expect(
            "the success reset count and backoff",
            healing["consecutiveFailures"] == 0 and healing["backoffDelay"] == 0,
            f"{healing['consecutiveFailures']} failures, backoff {healing['backoffDelay']} ms",
        )

    def meets_a_wrong_key(self) -> None:
        """A key that the provider refuses opens the gateway's breaker for good, at the first answer."""
        self._story.chapter("Somebody puts a wrong key into .env.local")
        self._set_keys("sum-mistyped")
        sent = self._seen.send(2)
        breaker = self._app.breaker(UPSTREAM)
        self._seen.see("circuitBreakers", "llm.keyManagement")
        self._story.expect(
            "one 'unauthorized' opens the breaker for good",
            breaker["state"] == "PERMANENT_OPEN" and any(why in breaker["permanentOpenReason"] for why in _NO_KEY),
            f"{breaker['state']} at failure {breaker['failureCount']}",
        )
        self._story.expect("documents are answered all the same", answered_by(sent) == {"local": 2}, told(sent))

    def loses_its_keys(self) -> None:
        """No key is left: healing fails, slower each time, and stops at the tenth failure."""
        self._story.chapter("The wrong key is taken out: there is no key any more")
        self._set_keys("")
        self._app.wait_for(lambda: "no active api keys" in str(self._seen.problems()), "the missing keys detected")
        self._seen.see("llm.keyManagement", "gateway.problems")
        grown = self._seen.watch_failures(10)
        self._story.expect("the backoff grew as the policy says", _as_policy(grown), _steps(grown))
        self._app.wait_for(self._has_stopped, "dormant, with the healer's breaker permanently open")
        status = self._seen.see("status", "selfHealing", "circuitBreakers", "issues", "recommendations")
        healing = status["selfHealing"]
        breaker = self._app.breaker(HEALER)
        self._story.expect(
            "the fifth failure in a row was reported as an issue",
            self._seen.warned,
            f"at failure {self._seen.warned}" if self._seen.warned else "not seen",
        )
        self._story.expect(
            "the healer's breaker opened, then for good",
            self._seen.opened and breaker["state"] == "PERMANENT_OPEN",
            f"OPEN seen: {self._seen.opened}, then {breaker['state']}: {breaker['permanentOpenReason']}",
        )
        self._story.expect(
            "ten failures made it dormant",
            healing["isDormant"] and healing["consecutiveFailures"] == 10,
            healing["dormantReason"],
        )
        self._story.expect("which is critical", status["status"] == "critical", status["status"])

    def _set_keys(self, keys: str, shown: str | None = None) -> None:
        edit = f"s/^SUMMARY_API_KEYS=.*/SUMMARY_API_KEYS={keys if shown is None else shown}/"
        self._story.typed(f"sed -i '{edit}' {self._app.state_dir / '.env.local'}")
        self._app.set_keys(keys)

    def _has_stopped(self) -> bool:
        return bool(self._app.healing()["isDormant"]) and self._app.breaker(HEALER)["state"] == "PERMANENT_OPEN"

    def stands_still(self) -> None:
        """Dormant means that nothing is tried, and that the service goes on as far as it can."""
        self._story.chapter("It has stopped: nothing is tried any more")
        before = self._app.healing()["totalAttempts"]
        SYSTEM_CLOCK.sleep(2.0)
        sent = self._seen.send(2)
        after = self._app.healing()["totalAttempts"]
        self._story.expect("no attempt while dormant", before == after, f"{before} attempts before, {after} 2 s later")
        self._story.expect("documents are answered all the same", answered_by(sent) == {"local": 2}, told(sent))

    def refuses_to_resume(self) -> None:
        """Not without the token, and not while the cause is there."""
        self._story.chapter("Resuming is refused without the token, and while there is no key")
        self._story.typed(_resume_command(self._app.port, "key restored"))
        stranger = self._app.post("/api/system/heal/resume", {"reason": "let me"}, token="not-the-token-at-all")
        early = self._app.resume("key restored")
        self._story.shown(stranger.body)
        self._story.shown(early.body)
        self._story.expect("a wrong token is refused", stranger.status == 401, stranger.status)
        self._story.expect("no key, no resume", early.status == 409 and self._app.healing()["isDormant"], early.status)

    def gets_its_keys_back(self, keys: str) -> None:
        """The cause is mended. Nothing resumes by itself."""
        self._story.chapter("The keys are put back. Nothing resumes by itself")
        self._set_keys(keys, shown="sum-…,sum-…")
        self._app.wait_for(lambda: _NEWS in self._app.log(), "the news that a resume looks possible")
        self._story.typed(f"grep '{_NEWS}' {self._app.state_dir / 'app.log'}")
        self._story.shown(next(line for line in self._app.log().splitlines() if _NEWS in line))
        status = self._seen.see("llm.keyManagement", "selfHealing.isDormant")
        counts = status["llm"]["keyManagement"]
        self._story.expect("the keys are seen without a restart", counts["activeKeys"] == 2, counts)
        self._story.expect("it waits for a person", status["selfHealing"]["isDormant"], "still dormant")

    def is_resumed(self) -> None:
        """A person says so, with a reason."""
        self._story.chapter("A person resumes")
        self._story.typed(_resume_command(self._app.port, "key restored"))
        answer = self._app.resume("key restored")
        self._story.shown(answer.body)
        status = self._seen.see("selfHealing", "circuitBreakers")
        healing = status["selfHealing"]
        states = [breaker["state"] for breaker in status["circuitBreakers"]]
        self._story.expect("the resume is accepted", answer.status == 200 and answer.body["changed"], answer.status)
        self._story.expect("both breakers are closed", states == ["CLOSED", "CLOSED"], ", ".join(states))
        self._story.expect(
            "failures and backoff are reset",
            not healing["isDormant"] and healing["consecutiveFailures"] == 0 and healing["backoffDelay"] == 0,
            f"{healing['consecutiveFailures']} failures, backoff {healing['backoffDelay']} ms",
        )

    def serves_again(self) -> None:
        """Traffic succeeds and the service is healthy."""
        self._story.chapter("Ten more documents")
        sent = self._seen.send(10)
        self._story.expect("the provider answers all of them", answered_by(sent) == {"upstream": 10}, told(sent))

        def well() -> bool:
            status = self._app.status()
            return status["status"] == "healthy" and not status["gateway"]["problems"]

        self._app.wait_for(well, "healthy, with no problem left")
        status = self._seen.see("status", "selfHealing", "gateway.requests")
        self._story.expect("the service is healthy again", status["status"] == "healthy", status["status"])

    def leaves_nothing(self) -> None:
        """It ends when told to, and nothing stays behind."""
        self._story.chapter("The service is stopped. What is left of it?")
        family = self._app.family()
        pids = ", ".join(str(process.pid) for process in family)
        self._story.typed(f"kill -TERM {self._app.process.pid}")
        said = self._app.end(signal.SIGTERM).strip()
        self._story.shown(said)
        left = survivors(family)
        self._story.expect(
            "it ended by itself", self._app.process.returncode == 0, f"exit code {self._app.process.returncode}"
        )
        self._story.expect("no task, timer or thread was left", "stopped clean" in said, said)
        self._story.expect("no process is left", len(family) == 5 and not left, f"{pids}: {left or 'all gone'}")
        self._story.expect("its port is free", is_free(self._app.port), f"port {self._app.port}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo in a fresh directory, which is removed when all went well."""
    parser = argparse.ArgumentParser(prog="python -m examples.reference_app.demo", description="A guided incident.")
    parser.add_argument("--within", type=float, default=LIMIT, help=f"seconds that it may take ({LIMIT:g})")
    limit: float = parser.parse_args(argv).within
    story = Story()
    directory = Path(tempfile.mkdtemp(prefix="selfheal-demo-"))
    print(_HEADER.format(directory=directory))
    history = directory / "week.json"
    app = RunningApp(directory, speed=SPEED, options=(*OPTIONS, "--history", str(history)), environ={DRILLS: "1"})
    try:
        _record(history, story)
        Demo(app, story).run()
    except (NotSeenError, OSError, RuntimeError) as error:
        story.expect("everything that had to happen happened", False, f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        app.close()
    story.expect(f"all within {limit:.0f} s", story.seconds <= limit, f"{story.seconds:.1f} s")
    healed = story.verdict()
    if healed:
        shutil.rmtree(directory)
    return 0 if healed else 1


def _record(history: Path, story: Story) -> None:
    """Have a week to learn from."""
    story.chapter("A week to learn from: the service is measured for some seconds, and the days are made of that")
    story.typed(f"python -m examples.reference_app.week --seconds {MEASURED:g} {history}")
    story.shown(make(history, MEASURED))


def _as_policy(grown: dict[int, int]) -> bool:
    """Whether each backoff seen is what the default policy says for that many failures, at this speed."""
    return len(grown) > 1 and all(ms == round(_POLICY.delay(n) * 1000 / SPEED) for n, ms in grown.items())


def _steps(grown: dict[int, int]) -> str:
    return " → ".join(str(grown[n]) for n in sorted(grown)) + " ms"


def _resume_command(port: int, reason: str) -> str:
    return (
        f'curl -s -X POST http://127.0.0.1:{port}/api/system/heal/resume -H "Authorization: Bearer $SELFHEAL_TOKEN" '
        f'-H \'Content-Type: application/json\' -d \'{{"reason": "{reason}", "by": "operator"}}\''
    )


if __name__ == "__main__":
    sys.exit(main())
