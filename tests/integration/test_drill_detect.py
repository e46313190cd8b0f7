"""The drill of detection on real processes: faults are found, and named rightly; nothing else is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import attrs
import psutil
import pytest

from benchmarks.drill_detect.cases import Settings, cases, nothing
from benchmarks.drill_detect.outcome import Outcome
from benchmarks.drill_detect.playing import play
from selfheal.clock import SYSTEM_CLOCK

# For busy machines: slower clocks, a lower threshold of CPU and a higher one of latency than in the drill itself.
BUSY = Settings(cpu=20.0, hold=60.0, latency_ms=1000.0, speeds=(10.0, 5.0, 3600.0))
KINDS = {case.key: case for case in cases(BUSY)}
PATIENCE = 60.0


@pytest.fixture(scope="module")
def came() -> dict[str, Outcome]:
    """What came of one run of each kind, all at once, and of one that should be a fault in which nothing is done."""
    undone = attrs.evolve(KINDS["stop"], key="undone", script=nothing)
    kinds = [*KINDS.values(), undone]
    return {one.case.key: one for one in play(kinds, BUSY, runs=1, seed=11, at_once=len(kinds), cpus=1)}


def test_every_fault_is_found_and_named(came: dict[str, Outcome]) -> None:
    """A hog, a leak, a stopped process and a slow endpoint are each told, once, about the process that has it."""
    faults = [came[key] for key in ("hog", "leak", "stop", "slow")]
    for one in faults:
        # A hog that the machine gave no CPU three times is none, by its own account.
        assert one.found is not None or one.starved, one
        assert one.wrong == (), one
    found = came["leak"].found
    assert found is not None
    assert found.alert.labels["process"] == came["leak"].target


def test_nothing_is_told_where_nothing_is_wrong(came: dict[str, Outcome]) -> None:
    """The same processes left alone, and bursts, caches, silences and slow requests that do not last, are no alarm."""
    told = {key: list(one.heard) for key, one in came.items() if not one.case.kind}
    assert told == {key: [] for key, case in KINDS.items() if not case.kind}
    assert len(told) == 7


def test_a_fault_that_is_not_done_is_not_found(came: dict[str, Outcome]) -> None:
    """The drill can fail: where nothing is done there is nothing to be found."""
    assert (came["undone"].found, came["undone"].good, came["undone"].starved) == (None, False, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_drill_is_ended(number: signal.Signals) -> None:
    """An order to end and a kill leave no process behind, not even a stopped one."""
    command = [sys.executable, "-m", "benchmarks.drill_detect", "--only", "stop", "--runs", "30", "--shipped"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as drill:
        assert drill.stderr is not None
        parts = stopped_among(drill.pid)
        os.kill(drill.pid, number)
        status = drill.wait(PATIENCE)
        _, alive = psutil.wait_procs(parts, timeout=PATIENCE)
        for one in alive:
            one.kill()
        said = drill.stderr.read()
    assert alive == []
    if number != signal.SIGKILL:
        assert (status, said) == (130, "\ninterrupted; all processes were ended\n")


def stopped_among(pid: int) -> list[psutil.Process]:
    """The processes of a drill, once one of them is stopped."""
    ends = SYSTEM_CLOCK.monotonic() + PATIENCE
    while SYSTEM_CLOCK.monotonic() < ends:
        parts = psutil.Process(pid).children(recursive=True)
        if any(state(one) == psutil.STATUS_STOPPED for one in parts):
            return parts
        SYSTEM_CLOCK.sleep(0.05)
    raise AssertionError("no process was stopped")


def state(process: psutil.Process) -> str:
    """What a process is doing; empty if it is gone."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return ""
