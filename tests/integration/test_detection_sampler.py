"""The sampler on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.detection.sampler import Sampler, SamplerConfig


def spawned(code: str) -> subprocess.Popen[Any]:
    process = subprocess.Popen([sys.executable, "-c", f"print('up', flush=True)\n{code}"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def until(holds: Callable[[dict[str, float]], bool], sampler: Sampler) -> dict[str, float]:
    ends = SYSTEM_CLOCK.monotonic() + 60.0
    while SYSTEM_CLOCK.monotonic() < ends:
        found = {sample.metric: sample.value for sample in sampler.sample()}
        if holds(found):
            return found
        SYSTEM_CLOCK.sleep(0.1)
    raise AssertionError(f"never came: {found}")


def test_a_busy_a_stopped_and_a_dead_process_are_seen() -> None:
    """A process that spins uses a CPU; stopped it says so; killed it is a zombie; waited for it is gone."""
    with spawned("while True: pass") as process:
        try:
            sampler = Sampler(SamplerConfig(machine=False))
            target = sampler.watch(process.pid, "hog")
            until(lambda found: found.get("process_cpu_percent", 0.0) > 5.0, sampler)
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda found: found["process_stopped"] == 1.0, sampler)
            process.kill()
            until(lambda found: found["process_zombie"] == 1.0, sampler)
        finally:
            process.kill()
            process.wait()
        until(lambda found: found == {}, sampler)

        assert target not in sampler.watched


def test_a_number_that_another_process_got_is_measured_no_more() -> None:
    """A new process under the number of one that ended is not taken for it."""
    sampler = Sampler(SamplerConfig(machine=False))
    with spawned("import time; time.sleep(600)") as process:
        sampler.watch(process.pid, "it")
        assert sampler.sample() != ()
        process.kill()
    with under_the_number(process.pid) as other:
        try:
            assert sampler.sample() == ()
            assert sampler.watched == {}
        finally:
            other.kill()


def under_the_number(pid: int) -> subprocess.Popen[Any]:
    """A process with a number of our choice; the kernel lets root say which comes next."""
    for _ in range(100):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        except OSError:
            pytest.skip("the next number of a process cannot be chosen here")
        process = subprocess.Popen(["sleep", "600"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"{pid} was always taken")
