"""The supervisor from coroutines, from threads, in the status, and by a clock that is moved."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.errors import ConfigError, SupervisorStoppedError
from selfheal.events import EventBus, WorkerEnding, WorkerStateChanged
from selfheal.status import StatusReport
from selfheal.supervision import Supervisor, WorkerConfig
from selfheal.supervision.configs import SupervisorConfig
from selfheal.testing import FakeClock
from tests.integration.supervising import FOR_EVER, Rig, rig, sh, until


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rig]:
    yield from rig(tmp_path)


def test_coroutines_have_the_same_calls(run: Rig) -> None:
    """Every call that waits can be awaited, and the event loop goes on meanwhile."""
    made = run.supervisor(w=run.worker(sh(FOR_EVER), restart={"intensity": 0}, min_uptime=0.5))

    async def work() -> list[str]:
        seen = []
        async with made:
            seen.append((await made.await_for("w", "RUNNING")).state)
            seen.append((await made.arestart("w")).state)
            waiting = asyncio.create_task(made.await_for("w", "STOPPED"))
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not waiting.done()
            seen.append((await made.astop("w")).state)
            assert (await waiting).state == "STOPPED"
            await made.astart("w")
            seen.append((await made.await_for("w", "RUNNING")).state)
            seen.append(str(await made.areset("w", "no need")))
            seen.append((await made.asnapshot()).state)
        return seen

    assert asyncio.run(work()) == ["RUNNING", "STARTING", "STOPPED", "RUNNING", "False", "running"]
    assert made.snapshot().state == "stopped"


def test_a_wait_that_is_cancelled_harms_nobody(run: Rig) -> None:
    """A coroutine that gives up waiting leaves the supervisor at work."""
    made = run.started(w=run.worker(sh(FOR_EVER), min_uptime=1.0))

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(made.await_for("w", "FAILED"), 0.1)

    asyncio.run(impatient())
    assert made.wait_for("w", "RUNNING").state == "RUNNING"


def test_many_threads_may_steer_at_once(run: Rig) -> None:
    """Starts, stops and restarts from eight threads leave at most one process and a state that is true."""
    made = run.started(w=run.worker(["sleep", "1000"], restart={"intensity": 100}))

    def steer(number: int) -> None:
        for turn in range(6):
            if (turn + number) % 2:
                made.start("w")
            else:
                made.stop("w", timeout=0.2)

    threads = [threading.Thread(target=steer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.start("w")

    assert made.wait_for("w", "RUNNING").pid is not None


def test_a_subscriber_in_line_may_ask_and_steer(run: Rig) -> None:
    """A subscriber called by the supervisor's own thread gets an answer at once instead of waiting for itself."""
    made, seen = run.supervisor(w=run.worker(sh(FOR_EVER))), []

    def ask(event: WorkerStateChanged) -> None:
        seen.append((event.new, made.status("w").state, made.stop("w", reason="enough").state))

    run.bus.subscribe(ask, WorkerStateChanged, inline=True)
    made.start()

    assert made.wait_for("w", "STOPPED").reason == "enough"
    assert {new for new, _, _ in seen} >= {"STARTING", "STOPPED"}


def test_as_a_section_of_the_status(run: Rig) -> None:
    """The section is plain data in camelCase and milliseconds."""
    made = run.started(w=run.worker(sh(FOR_EVER)))
    made.wait_for("w", "RUNNING")
    shown = StatusReport(sections={"workers": made.section}).as_dict()["workers"]

    assert (shown["total"], shown["running"], shown["failed"]) == (1, 1, 0)
    assert shown["workers"][0]["lastExit"] is None
    assert isinstance(shown["workers"][0]["uptime"], int)


def test_by_a_clock_that_is_moved(run: Rig, tmp_path: Path) -> None:
    """With a fake clock a worker is RUNNING when the clock says so, and its retry comes by that clock too."""
    clock, bus = FakeClock(), EventBus()
    settings = WorkerConfig(command=["/bin/sh", "-c", FOR_EVER], min_uptime=60.0, start_timeout=90.0)
    made = Supervisor(SupervisorConfig(workers={"w": settings}), clock=clock, events=bus, state_dir=tmp_path / "state")
    run.made.append(made)
    made.start()
    clock.advance(59.0)
    made.poll()
    assert made.status("w").state == "STARTING"
    clock.advance(1.0)
    made.poll()
    assert (made.status("w").state, made.status("w").uptime) == ("RUNNING", 60.0)


def test_nothing_is_done_before_and_after(run: Rig) -> None:
    """Before its start it refuses all but a start; after its shutdown it refuses all, and shows what was."""
    made = run.supervisor(w=run.worker(sh(FOR_EVER)))
    assert made.snapshot().state == "new"
    with pytest.raises(SupervisorStoppedError, match="it was not started"):
        made.stop("w")
    made.start("w")
    made.shutdown()
    for call in (made.start, lambda: made.start("w"), lambda: made.stop("w")):
        with pytest.raises(SupervisorStoppedError, match="it was shut down"):
            call()
    assert made.status("w").state == "STOPPED"


def test_a_state_that_is_none_is_refused(run: Rig) -> None:
    """A misspelt state is told, not waited for."""
    made = run.started(w=run.worker(sh(FOR_EVER)))
    with pytest.raises(ConfigError, match=r"one of STARTING, RUNNING, BACKOFF, FAILED, STOPPED, got 'RUNING'"):
        made.wait_for("w", "RUNING")


def test_waits_that_ran_out_are_forgotten(run: Rig) -> None:
    """Asking in vain again and again piles nothing up."""
    made = run.started(w=run.worker(sh(FOR_EVER)))
    for _ in range(20):
        made.wait_for("w", "FAILED", timeout=0.001)
    made.poll()
    engine = made._commander._engine

    assert engine is not None
    assert len(engine._awaited) == 0


def test_a_relative_directory_is_that_of_the_host(run: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs elsewhere beats into the directory of the host all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    beat = 'while :; do touch "$SELFHEAL_HEARTBEAT"; sleep 0.05; done'
    settings = run.worker(sh(beat), cwd="elsewhere", health={"type": "heartbeat", "every": 0.1}, start_timeout=600.0)
    made = Supervisor({"workers": {"w": settings}, "state_dir": "run"}, events=run.bus)
    run.made.append(made)
    made.start()

    assert made.wait_for("w", "RUNNING").health == "beats"


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), True, "1"])
def test_a_timeout_is_a_number_of_seconds(run: Rig, timeout: float) -> None:
    """What is no time is refused before anything is stopped."""
    made = run.started(w=run.worker(sh(FOR_EVER)))
    with pytest.raises(ConfigError, match=r"timeout of Supervisor\.shutdown"):
        made.shutdown(timeout)

    assert made.snapshot().state == "running"


def test_without_a_directory_there_is_no_supervisor() -> None:
    """A state directory has to be given; records have to be somewhere."""
    with pytest.raises(ConfigError, match="state_dir must be a directory"):
        Supervisor({"workers": {"w": {"command": ["true"]}}})


def test_a_thread_asleep_costs_nothing(run: Rig) -> None:
    """Ten idle workers take next to no CPU of the host: nothing is polled at a high rate."""
    made = run.started(**{f"w{i}": run.worker(["sleep", "1000"]) for i in range(10)})
    for i in range(10):
        made.wait_for(f"w{i}", "RUNNING")
    until(lambda: made.snapshot().state == "running")

    def share() -> float:
        before = time.process_time()
        time.sleep(1.0)
        return time.process_time() - before

    assert any(share() < 0.01 for _ in range(10))  # others in this process may have something to do now and then


def test_a_worker_hears_its_stop_signal_though_the_host_blocks_it(run: Rig) -> None:
    """Signals blocked in the host's threads are not blocked in its workers, which would then all be killed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        made = run.started(w=run.worker(["sleep", "1000"]))
        made.wait_for("w", "RUNNING")
        made.stop("w")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert [(e.ending, e.forced) for e in run.of(WorkerEnding)] == [("stop", False)]


def test_a_host_that_ignores_sigchld_loses_the_exit_code_and_no_worker(run: Rig) -> None:
    """Where the kernel reaps children by itself, how they ended is not known; they are restarted all the same."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        made = run.started(w=run.worker(sh("exit 3"), restart={"intensity": 1}))
        failed = made.wait_for("w", "FAILED")
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert (failed.last_exit_kind, failed.total_restarts) == ("unknown", 1)
