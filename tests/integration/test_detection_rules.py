"""Rules on real processes: what is the matter is found, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.conditions import parse
from selfheal.detection.rules import Finding, LeakRule, ProcessRule, RuleWatch, ThresholdRule
from selfheal.detection.sampler import Sampler, SamplerConfig
from selfheal.testing import FakeClock

STEP = 0.5
PATIENCE = 60.0
RULES = (
    ThresholdRule(
        name="busy",
        kind="cpu_spike",
        condition=parse("process_cpu_percent > 5 for 1s clear 3"),
        clear_for=0.5,
        step=5.0,
    ),
    ProcessRule(stopped_for=1.0, zombie_for=0.5, step=5.0),
)


@pytest.fixture(params=["import time\nwhile True: time.sleep(0.1)", "while True: pass"], ids=["idle", "busy"])
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[Any]]:
    code = f"print('up', flush=True)\n{request.param}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"up\n"
        try:
            yield started
        finally:
            started.kill()


def test_a_busy_and_a_stopped_process_are_found(request: pytest.FixtureRequest, process: subprocess.Popen[Any]) -> None:
    """A process that spins is a spike and an idle one is none; stopped it does not answer, and goes on when it does."""
    sampler, rules = Sampler(SamplerConfig(machine=False)), RuleWatch(RULES)
    sampler.watch(process.pid, "it")
    busy = request.node.callspec.id == "busy"

    assert ("cpu_spike", True) in looked(sampler, rules, PATIENCE if busy else 3.0, ["cpu_spike"]) or not busy
    assert busy or rules.open == ()
    os.kill(process.pid, signal.SIGSTOP)
    assert ("process_unresponsive", True) in looked(sampler, rules, PATIENCE, ["process_unresponsive"])
    os.kill(process.pid, signal.SIGCONT)
    assert ("process_unresponsive", False) in looked(sampler, rules, PATIENCE, ["process_unresponsive"])


def test_the_worker_that_leaks_is_named() -> None:
    """Of two real processes the one whose memory grows is found, after as many hours of a virtual clock as it takes."""
    code = "import sys\nkept = []\nprint('up', flush=True)\nfor line in sys.stdin:\n"
    code += "    kept.append(b'x' * int(line))\n    print('up', flush=True)"
    clock = FakeClock()
    sampler, rules = Sampler(SamplerConfig(machine=False), clock=clock), RuleWatch([LeakRule(process_limit=2.0**30)])
    found: list[Finding] = []
    with spawned(code) as leaky, spawned(code) as steady:
        sampler.watch(leaky.pid, "leaky")
        sampler.watch(steady.pid, "steady")
        for _ in range(20 * 6):
            grow(leaky, 2**20)
            grow(steady, 1)
            clock.advance(600.0)
            for sample in sampler.sample():
                found += rules.observe(sample)

    assert [(finding.kind, finding.target) for finding in found] == [("memory_leak", "leaky")]
    assert float(found[0].evidence["per_hour"]) == pytest.approx(6 * 2.0**20, rel=0.2)
    assert float(found[0].evidence["exhausted_in_s"]) > 24 * 3600.0


def spawned(code: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    return started


def grow(process: subprocess.Popen[bytes], size: int) -> None:
    """Have a process allocate, and wait until it has."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"%d\n" % size)
    process.stdin.flush()
    assert process.stdout.readline() == b"up\n"


def looked(sampler: Sampler, rules: RuleWatch, seconds: float, until: list[str]) -> set[tuple[str, bool]]:
    """Kinds of what was found, until one of them is of a kind or the seconds are over."""
    found: list[Finding] = []
    ends = SYSTEM_CLOCK.monotonic() + seconds
    while SYSTEM_CLOCK.monotonic() < ends and not any(finding.kind in until for finding in found):
        SYSTEM_CLOCK.sleep(STEP)
        for sample in sampler.sample():
            found += rules.observe(sample)
        found += rules.tick(SYSTEM_CLOCK.wall(), SYSTEM_CLOCK.monotonic())
    return {(finding.kind, finding.raised) for finding in found}
