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
from selfheal.detection.rules import Finding, ProcessRule, RuleWatch, ThresholdRule
from selfheal.detection.sampler import Sampler, SamplerConfig

STEP = 0.25
RULES = (
    ThresholdRule(
        name="busy",
        kind="cpu_spike",
        condition=parse("process_cpu_percent > 15 for 1s clear 10"),
        clear_for=0.5,
        step=5.0,
    ),
    ProcessRule(stopped_for=1.0, zombie_for=0.5, step=5.0),
)


@pytest.fixture(params=["import time\nwhile True: time.sleep(0.01)", "while True: pass"], ids=["idle", "busy"])
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

    assert ("cpu_spike", True) in looked(sampler, rules, 20.0 if busy else 3.0, ["cpu_spike"]) or not busy
    assert busy or rules.open == ()
    os.kill(process.pid, signal.SIGSTOP)
    assert ("process_unresponsive", True) in looked(sampler, rules, 20.0, ["process_unresponsive"])
    os.kill(process.pid, signal.SIGCONT)
    assert ("process_unresponsive", False) in looked(sampler, rules, 20.0, ["process_unresponsive"])


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
