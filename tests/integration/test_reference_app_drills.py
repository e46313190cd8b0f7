"""The faults for practice strike the process they are meant for, and a restart cures it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.reference_app.cpu import CpuMeter
from examples.reference_app.drills import VARIABLE
from examples.reference_app.indexer import INDEX
from examples.reference_app.indexer_process import IndexerProcess
from examples.reference_app.keys import VARIABLE as KEYS
from examples.reference_app.keys import KeyPool
from examples.reference_app.provider import write_fault
from examples.reference_app.provider_process import ProviderProcess, issue_key
from examples.reference_app.request_log import RequestLog
from examples.reference_app.upstream import PROBE, ProviderFailedError, Upstream
from examples.reference_app.workers import SummaryWorkers, WorkerLimits
from selfheal import EventBus
from selfheal.clock import SYSTEM_CLOCK

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."


def until(look: Callable[[], object], within: float = 60.0) -> None:
    """Look again and again until it is so."""
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def an_indexer(directory: Path) -> Iterator[IndexerProcess]:
    log = RequestLog(directory / "requests.sqlite")
    indexer = IndexerProcess(directory / "indexer", directory / "requests.sqlite", every=0.05, events=EventBus())
    indexer.start()
    try:
        until((directory / "indexer" / INDEX).exists)
        yield indexer
    finally:
        indexer.stop()
        log.close()


def cpu(pid: int | None) -> float:
    """Percent of one core, over half a second."""
    meter = CpuMeter(pid, SYSTEM_CLOCK)
    meter.percent()
    time.sleep(0.5)
    return meter.percent()


def test_an_indexer_under_drill_burns_a_core_until_it_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on running, so that its supervisor sees nothing; the new process is at rest."""
    monkeypatch.setenv(VARIABLE, "1")
    with an_indexer(tmp_path) as indexer:
        struck = indexer.pid
        assert struck is not None
        until(lambda: cpu(struck) < 50)
        os.kill(struck, signal.SIGUSR1)
        until(lambda: cpu(struck) > 80)

        assert indexer.status().state == "RUNNING"
        indexer.restart()

        assert indexer.pid not in (None, struck)
        until(lambda: cpu(indexer.pid) < 50)
        assert json.loads((tmp_path / "indexer" / INDEX).read_text()) == []


def test_without_leave_nothing_is_armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """USR1 then ends a process, as it does by default, and the supervisor starts another."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with an_indexer(tmp_path) as indexer:
        struck = indexer.pid
        assert struck is not None
        os.kill(struck, signal.SIGUSR1)

        until(lambda: indexer.pid not in (None, struck))


def test_a_worker_under_drill_keeps_memory_of_each_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound below its limit, so that only measuring finds it; replaced, the pool holds little again."""
    monkeypatch.setenv(VARIABLE, "1")
    workers = SummaryWorkers(WorkerLimits(workers=1, hung_after=60.0, answer_within=60.0), EventBus())
    workers.start()
    try:
        assert workers.pool.wait_ready(60)
        before = workers.memory_percent()
        leaked = []
        for _ in range(2):
            os.kill(workers.section()["pids"][0], signal.SIGUSR1)
            for _ in range(8):
                workers.summarise(TEXT, 1)
            leaked.append(workers.memory_percent())
        generation = workers.status()["generation"]

        workers.restart()
        until(lambda: workers.status()["ready"] and workers.memory_percent() < before + 10)

        assert before < 20
        assert before + 40 < leaked[0] < 60
        assert 85 < leaked[1] < 100
        assert workers.status()["generation"] == generation + 1
        assert workers.summarise(TEXT, 1)
        assert workers.pool.snapshot().crashes == 0
    finally:
        workers.stop()


def test_stopped_workers_are_replaced_and_their_work_is_done() -> None:
    """SIGSTOP on both while they work: the queue is stuck, a restart of all of them moves it on."""
    workers = SummaryWorkers(WorkerLimits(workers=2, hung_after=600.0, answer_within=60.0), EventBus())
    workers.start()
    try:
        assert workers.pool.wait_ready(60)
        for pid in workers.section()["pids"]:
            os.kill(pid, signal.SIGSTOP)
        workers.try_out()
        workers.try_out()
        until(lambda: workers.stuck_seconds() > 0.3)
        waiting = workers.queue.snapshot().size

        workers.restart()
        until(lambda: workers.stuck_seconds() == 0.0)

        assert waiting == 1
        assert workers.pool.snapshot().hung == 0
        assert workers.summarise(TEXT, 1)
    finally:
        workers.stop()


def test_a_flaky_provider_fails_every_other_summary_until_it_is_restarted(tmp_path: Path) -> None:
    """Its breaker would never see three in a row; the fault is in the process, so it goes with it."""
    process = ProviderProcess(tmp_path / "provider", "admin-token", EventBus())
    keys = KeyPool(tmp_path, {KEYS: issue_key(tmp_path / "provider")})
    upstream = Upstream(lambda: process.port, keys)
    process.start()
    try:
        write_fault(tmp_path / "provider", "none", 0.0)
        flaky(process)
        ends = [ended(upstream) for _ in range(6)]
        process.restart()

        assert ends == ["failed", "ok"] * 3
        assert [ended(upstream) for _ in range(4)] == ["ok"] * 4
    finally:
        process.stop()


def flaky(process: ProviderProcess) -> None:
    """Inject the fault by the admin call."""
    assert process.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    connection.request("POST", "/admin/fault", json.dumps({"mode": "flaky"}), {"X-Admin-Token": "admin-token"})
    assert connection.getresponse().status == 200
    connection.close()


def ended(upstream: Upstream) -> str:
    """Ask for a summary; how it ended."""
    try:
        upstream.summarise(PROBE, 1)
    except ProviderFailedError as error:
        assert "500" in str(error)
        return "failed"
    return "ok"
