"""The levers of the reference app while it runs: the door, the cache, workers that end, and who is told."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from examples.reference_app.running import RunningApp, survivors
from examples.reference_app.traffic import Traffic, answered_by
from selfheal.clock import SYSTEM_CLOCK

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."
Start = Callable[..., RunningApp]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[RunningApp] = []

    def begin(*options: str, speed: float = 1000.0) -> RunningApp:
        app = RunningApp(tmp_path / "state", speed=speed, options=options)
        made.append(app)
        app.start()
        return app

    yield begin
    for app in made:
        app.close()


def post(app: RunningApp, **headers: str) -> tuple[int, str | None, dict[str, Any]]:
    """Send a document; give status, Retry-After and body."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("POST", "/summaries", json.dumps({"text": TEXT}), given)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Retry-After"), json.loads(answer.read())
    finally:
        connection.close()


def test_the_door_turns_away_who_comes_too_often(start: Start) -> None:
    """429 with Retry-After beyond the burst; status calls go through all the while, and count it."""
    app = start("--rate-limit", "0.1", "--burst", "3")

    began = SYSTEM_CLOCK.monotonic()
    answers = [post(app) for _ in range(8)]
    come = (SYSTEM_CLOCK.monotonic() - began) * 0.1  # none, where the machine is quick

    statuses = [status for status, _, _ in answers]
    refused = [answer for answer in answers if answer[0] == 429]
    assert statuses[:3] == [200, 200, 200]
    assert statuses.count(200) + len(refused) == 8
    assert statuses.count(200) <= 3 + come
    assert 1 <= int(refused[-1][1] or "0") <= 20
    assert app.status()["door"]["tooOften"] == len(refused)
    assert app.get("/healthz").status == 200


def test_a_cache_answers_what_was_bought(start: Start) -> None:
    """The second time it is the cache, also when the provider has failed since; what differs is bought."""
    app = start()

    first = post(app)[2]
    second = post(app)[2]

    assert (first["provider"], second["provider"]) == ("upstream", "cache")
    assert first["summary"] == second["summary"]
    app.fault("failing")
    assert post(app)[2]["provider"] == "cache"
    assert app.status()["cache"] == {"enabled": True, "entries": 1, "hits": 2}
    app.fault("none")
    app.wait_for(lambda: app.status()["fallback"]["active"] == "upstream", "the provider in use")
    assert answered_by(Traffic(app.port).send(2)) == {"upstream": 2}


def test_without_the_cache_the_same_is_bought_twice(start: Start) -> None:
    """Which is what the option is for."""
    app = start("--no-cache")

    assert [post(app)[2]["provider"] for _ in range(2)] == ["upstream", "upstream"]
    assert app.status()["cache"] == {"enabled": False, "entries": 0, "hits": 0}


def test_more_than_the_provider_can_take_is_answered_by_the_workers(start: Start) -> None:
    """One place at a slow provider: of four requests at once it gets one, and its breaker counts no failure."""
    app = start("--upstream-limit", "1", "--upstream-timeout", "60", speed=1.0)
    app.fault("slow", 4.0)

    with ThreadPoolExecutor(4) as clients:
        sent = [one for some in clients.map(lambda _: Traffic(app.port).send(), range(4)) for one in some]

    assert answered_by(sent) == {"upstream": 1, "local": 3}
    assert app.breaker("summary-provider")["failureCount"] == 0
    shown = app.status()
    assert shown["fallback"]["active"] == "upstream"
    taken = {what: shown["upstreamLimit"][what] for what in ("limit", "inFlight", "succeeded", "refused")}
    assert taken == {"limit": 1, "inFlight": 0, "succeeded": 1, "refused": 3}


def kill_workers(app: RunningApp, until: Callable[[], object]) -> None:
    """Kill every worker that comes until something is so."""

    def strike() -> bool:
        for pid in app.status()["workers"]["pids"]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return bool(until())

    app.wait_for(strike, "an end of it")


def test_workers_that_end_too_often_are_left_to_a_person(start: Start) -> None:
    """The pool gives up; detection names it, healing does not start it round and round, a resume does."""
    app = start(speed=500.0)
    kill_workers(app, lambda: app.status()["workers"]["state"] == "FAILED")
    app.fault("failing")

    app.wait_for(lambda: "summary workers gave up" in str(app.status()["gateway"]["problems"]), "the problem")
    app.fault("none")
    app.wait_for(lambda: app.healing()["isDormant"], "dormant")

    assert "summary workers gave up" in app.healing()["dormantReason"]
    assert app.status()["workers"]["state"] == "FAILED"
    assert app.resume("the machine has memory again").status == 200
    app.wait_for(lambda: len(app.status()["workers"]["pids"]) == 2, "workers")
    app.fault("failing")
    assert answered_by(Traffic(app.port).send(4)) == {"local": 4}


def test_workers_killed_while_they_answer_cost_nobody_a_summary(start: Start) -> None:
    """With the provider away, each worker is killed once: every document is answered."""
    app = start(speed=1.0)
    app.fault("failing")
    traffic = Traffic(app.port)
    sent = traffic.send(4)
    app.wait_for(lambda: len(app.status()["workers"]["pids"]) == 2, "two workers")
    for pid in app.status()["workers"]["pids"]:
        os.kill(pid, signal.SIGKILL)
        sent += traffic.send(4)

    assert answered_by(sent) == {"local": 12}
    app.wait_for(lambda: app.status()["queue"]["size"] == 0, "the last one taken off the queue")
    shown = app.status()
    assert shown["workers"]["crashes"] == 2
    assert shown["fallback"]["active"] == "local"


def test_dormancy_is_told_and_its_moment_kept(start: Start) -> None:
    """One notification, one snapshot with the status of that moment, no key in either."""
    app = start()
    keys = app.keys()
    app.set_keys("")
    app.wait_for(lambda: app.healing()["isDormant"], "dormant")
    app.wait_for(lambda: list((app.state_dir / "state" / "snapshots").glob("*.json")), "a snapshot")
    app.end()

    told = [json.loads(line) for line in (app.state_dir / "state" / "notifications.jsonl").read_text().splitlines()]
    (kept,) = (app.state_dir / "state" / "snapshots").glob("*.json")
    snapshot = json.loads(kept.read_text())

    assert [one["severity"] for one in told if "dormant" in one["title"]] == ["critical"]
    assert snapshot["status"]["selfHealing"]["isDormant"] is True
    assert {"threads", "process", "processes"} <= set(snapshot)
    assert not [key for key in keys.split(",") if key in kept.read_text() or key in str(told)]
    assert oct(kept.stat().st_mode & 0o777) == "0o600"


def test_ended_in_the_middle_of_local_work_nothing_is_left(start: Start) -> None:
    """Hung workers do not hold up the end of the service beyond its bound, nor outlive it."""
    app = start()
    family = app.family()
    for pid in app.status()["workers"]["pids"]:
        os.kill(pid, signal.SIGSTOP)

    said = app.end()

    assert "stopped clean" in said
    assert app.process.returncode == 0
    assert survivors(family) == []
