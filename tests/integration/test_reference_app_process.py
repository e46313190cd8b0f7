"""The reference app as a process: it starts once, ends clean when told to, and leaves nothing when it is killed."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.reference_app.running import NotSeenError, RunningApp, is_free, survivors
from examples.reference_app.traffic import Traffic, answered_by

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def signals_as_they_come() -> Iterator[None]:
    """Under nohup, or in the background of a shell, tests ignore some signals, and so would what they start."""
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ignored = [number for number in ends if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def app(tmp_path: Path, signals_as_they_come: None) -> Iterator[RunningApp]:
    made = RunningApp(tmp_path / "state", speed=1000)
    made.start()
    yield made
    made.close()


def whole_family(app: RunningApp) -> list[psutil.Process]:
    """The service, its provider, its indexer and its two workers, once all are there."""
    app.wait_for(lambda: len(app.family()) == 5, "five processes")
    return app.family()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_it_ends_clean(app: RunningApp, number: signal.Signals) -> None:
    """TERM, Ctrl-C and a closed terminal: exit code 0, nothing left inside, no process left, the port free."""
    assert answered_by(Traffic(app.port).send(3)) == {"upstream": 3}
    family = whole_family(app)

    said = app.end(number)

    assert "stopped clean: 0 tasks, 0 threads and 0 child processes left" in said
    assert app.process.returncode == 0
    assert survivors(family) == []
    assert is_free(app.port)


def test_killed_it_leaves_no_orphan(app: RunningApp) -> None:
    """KILL gives it no moment to clean up; the provider ends by itself, and a new start works at once."""
    Traffic(app.port).send(1)
    family = whole_family(app)

    app.end(signal.SIGKILL)

    assert app.process.returncode == -signal.SIGKILL
    assert survivors(family) == []
    app.start()
    assert answered_by(Traffic(app.port).send(2)) == {"upstream": 2}


def test_killed_in_the_middle_of_a_slow_answer_it_leaves_no_orphan(app: RunningApp) -> None:
    """A provider that is busy for a long time ends all the same when the app is gone."""
    app.fault("slow", 600.0)
    code = "import sys; from examples.reference_app.traffic import Traffic; Traffic(int(sys.argv[1])).send(1)"
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(app.port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    app.wait_for(lambda: app.status()["upstreamLimit"]["inFlight"] == 1, "a request with the provider")
    family = app.family()

    app.end(signal.SIGKILL)

    assert survivors(family) == []
    client.wait(60)


def test_told_to_end_during_a_slow_answer_it_ends_in_time(tmp_path: Path) -> None:
    """Work in progress delays the end by the time-outs it has, and no longer."""
    app = RunningApp(tmp_path / "state", speed=1000, options=("--upstream-timeout", "4"))
    app.start()
    app.fault("slow", 600.0)
    code = "import sys; from examples.reference_app.traffic import Traffic; Traffic(int(sys.argv[1])).send(1)"
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(app.port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    app.wait_for(lambda: app.status()["upstreamLimit"]["inFlight"] == 1, "a request with the provider")
    family = app.family()

    said = app.end(signal.SIGTERM)
    app.close()

    assert "0 threads and 0 child processes left" in said
    assert survivors(family) == []
    client.wait(60)


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    """Started with --end-with-stdin, it notices that the process holding its input was killed."""
    code = (
        "import sys, time; from pathlib import Path; from examples.reference_app.running import RunningApp; "
        "a = RunningApp(Path(sys.argv[1])); a.start(); a.wait_for(lambda: len(a.family()) == 5, 'all of it'); "
        "print(*[p.pid for p in a.family()], flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "state")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    family = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
    assert len(family) == 5

    owner.kill()
    owner.wait()
    owner.stdout.close()

    assert survivors(family, within=60) == []


def test_dormancy_survives_term_and_kill(app: RunningApp) -> None:
    """Whichever way it ended, a dormant service comes back dormant, and the resume that ended it holds too."""
    keys = app.keys()
    app.set_keys("")
    app.wait_for(lambda: app.healing()["isDormant"], "dormant")
    reason = app.healing()["dormantReason"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        app.end(number)
        app.start()
        assert (app.healing()["isDormant"], app.healing()["dormantReason"]) == (True, reason)
    app.set_keys(keys)
    assert app.resume("keys restored").status == 200

    app.end()
    app.start()

    assert app.healing()["isDormant"] is False


def test_a_second_one_on_the_same_state_is_refused(app: RunningApp) -> None:
    """It says which process has the directory, and touches nothing."""
    second = RunningApp(app.state_dir)

    with pytest.raises(NotSeenError, match=f"process {app.process.pid} already uses"):
        second.start()

    second.close()
    assert second.process.returncode == 1
    assert app.get("/healthz").status == 200


def test_a_port_that_is_taken_is_named(app: RunningApp, tmp_path: Path) -> None:
    """It ends with an error that names the port, and starts nothing."""
    second = RunningApp(tmp_path / "other", port=app.port)

    with pytest.raises(NotSeenError, match=f"port {app.port} on 127.0.0.1 cannot be used"):
        second.start()

    second.close()
    assert second.process.returncode == 1
    assert not (tmp_path / "other" / "provider" / "provider.log").exists()


def test_wrong_options_are_a_usage_error() -> None:
    """The message is one line, without traceback, and the exit code says whose fault it is."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.reference_app", "--speed", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 64
    assert done.stderr == "--speed must be between 1 and 1000, got 0.0. The default is 1.\n"


def test_without_a_token_one_is_made_and_works(tmp_path: Path) -> None:
    """It is printed once, differs from run to run, and lets its bearer steer."""
    app = RunningApp(tmp_path / "state", environ={"SELFHEAL_TOKEN": ""})
    app.start()
    made = app.said.partition("shown once: ")[2].split()[0]
    answer = app.post("/api/tasks/detection/pause", {}, token=made)
    refused = app.post("/api/tasks/detection/resume", {}, token="not-the-token-at-all")
    app.close()

    assert (answer.status, refused.status) == (200, 401)
    assert len(made) >= 40
    assert made not in app.log()


def test_no_secret_is_shown_or_written(app: RunningApp) -> None:
    """Keys, good and bad, and tokens are in no status, no log and no database; keys stand in .env.local alone."""
    secrets = [*app.keys().split(","), "sum-mistyped-key", app.token]
    Traffic(app.port).send(2)
    app.set_keys(f"sum-mistyped-key,{app.keys()}")
    Traffic(app.port).send(4)
    app.set_keys("sum-mistyped-key")
    Traffic(app.port).send(2)
    app.resume("a reason")
    app.wait_for(lambda: app.healing()["failedHealings"], "a failed healing")
    seen = [str(app.status()), str(app.get("/api/breakers").body), str(app.get("/api/tasks").body)]
    app.end()
    files = [path for path in app.state_dir.rglob("*") if path.is_file() and path.name != ".env.local"]
    seen += [path.read_bytes().decode("latin-1") for path in files]

    assert {"app.log", "provider.log", "requests.sqlite"} <= {path.name for path in files}
    assert not [secret for secret in secrets for text in seen if secret in text]
    assert oct((app.state_dir / ".env.local").stat().st_mode & 0o777) == "0o600"


OFTEN = ("detection", "healing", "resource-watch")
WORKERS = 10
"""Threads that run tasks, at most; one of them there is from the first run on."""


def is_generation(app: RunningApp, wanted: int) -> bool:
    return bool(app.status()["backgroundTaskDetails"]["healing"]["generation"] == wanted)


def shown_tasks(app: RunningApp) -> list[dict[str, Any]]:
    return list(app.status()["backgroundTasks"]["tasks"])


def test_reload_replaces_the_tasks(app: RunningApp) -> None:
    """USR1 registers everything anew, thirty times: the same five tasks, one each, and no thread for each time."""
    process = psutil.Process(app.process.pid)
    app.wait_for(lambda: all(task["executionCount"] for task in shown_tasks(app) if task["id"] in OFTEN), "some looks")
    before = process.num_threads()
    for wanted in range(2, 32):
        os.kill(app.process.pid, signal.SIGUSR1)
        app.wait_for(functools.partial(is_generation, app, wanted), "a reload")

    status = app.status()

    assert status["backgroundTasks"]["totalTasks"] == 5
    # The pool adds a worker when all of them are busy, as on a slow machine, up to ten, and keeps it. A request has a
    # thread of its own while it lasts. A thread for each reload, or for every third, would be more than that.
    app.wait_for(lambda: process.num_threads() <= before + WORKERS - 1, "no more threads than there may be")
    app.wait_for(lambda: app.status()["backgroundTasks"]["tasks"][0]["executionCount"] > 0, "a run after the reloads")
