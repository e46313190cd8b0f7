"""The CPU of a process, by what it takes and waits for."""

from __future__ import annotations

import math
import os
import threading

import pytest

from examples.reference_app.cpu import CpuMeter, waited
from selfheal.testing import FakeClock


def test_more_than_a_core_is_a_core() -> None:
    """So that a process that takes all it gets does not seem to get worse with the next look."""
    clock = FakeClock()
    meter = CpuMeter(os.getpid(), clock)
    first = meter.percent()
    sum(range(10_000_000))
    clock.advance(0.001)

    assert math.isnan(first)
    assert meter.percent() == 100.0


def test_cpu_is_that_of_the_last_two_seconds() -> None:
    """What a process took before is forgotten."""
    clock = FakeClock()
    meter = CpuMeter(os.getpid(), clock)
    meter.percent()
    sum(range(10_000_000))
    clock.advance(1.0)
    busy = meter.percent()
    clock.advance(1000.0)
    meter.percent()
    clock.advance(1000.0)

    assert busy > 2.0
    assert meter.percent() < busy / 4


def test_waiting_counts_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that waits all the time, and takes next to nothing, on a machine that others keep busy."""
    clock = FakeClock()
    monkeypatch.setattr("examples.reference_app.cpu.waited", lambda _: clock.monotonic())
    meters = CpuMeter(os.getpid(), clock), CpuMeter(os.getpid(), clock, waiting=False)
    for _ in range(2):
        clock.advance(1000.0)
        seen = [meter.percent() for meter in meters]

    assert seen[0] == 100.0
    assert seen[1] < 10.0


def test_waiting_for_the_cpu_is_told_on_linux() -> None:
    """More threads than there are cores wait for one another: the process has waited longer than before."""
    before = waited(os.getpid())
    threads = [threading.Thread(target=lambda: sum(range(3_000_000))) for _ in range(4 * (os.cpu_count() or 1))]
    for thread in threads:
        thread.start()
    seen = max(waited(os.getpid()) for _ in range(50))
    for thread in threads:
        thread.join()

    assert seen > before


def test_a_process_that_is_gone_has_none() -> None:
    """Neither time nor waiting."""
    assert math.isnan(CpuMeter(None, FakeClock()).percent())
    assert waited(2**22 + 1) == 0.0
