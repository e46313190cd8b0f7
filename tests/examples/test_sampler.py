"""What the sampler measures, and what it says where nothing is known."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.anomaly import METRICS, WHOLE, Anomalies
from examples.reference_app.calls import Calls
from examples.reference_app.sampler import GATEWAY, INDEXER, PROVIDER, WORKERS, Sampler
from examples.reference_app.workers import SummaryWorkers, WorkerLimits
from selfheal import EventBus, FeatureFlags
from selfheal.testing import FakeClock

OFF = {"FEATURE_AUTO_DETECTION_MONITORING": "false"}


class Bench:
    """A sampler of this very process as the indexer, of no provider, and of workers that were never started."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.clock = FakeClock()
        self.calls = Calls()
        self.seen: dict[tuple[str, str], float] = {}
        self.workers = SummaryWorkers(WorkerLimits(), EventBus(), self.clock)
        flags = FeatureFlags(directory, environ)
        self.anomaly = Anomalies(directory / "detection", flags=flags, events=EventBus(), clock=self.clock)
        self.sampler = Sampler(
            lambda metric, value, target: self.seen.update({(metric, target): value}),
            processes={INDEXER: os.getpid, PROVIDER: lambda: None},
            calls=self.calls,
            workers=self.workers,
            anomaly=self.anomaly,
            flags=flags,
            queue_pace=10.0,
            clock=self.clock,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, {})
    yield made
    made.workers.stop()
    made.anomaly.close()


def test_what_nobody_asked_is_not_known(bench: Bench) -> None:
    """Without requests there is neither a rate nor a latency, and the status says null."""
    bench.sampler.look()

    assert math.isnan(bench.seen["success_rate", PROVIDER])
    assert math.isnan(bench.seen["latency_ms", GATEWAY])
    assert bench.sampler.section()["latency_ms of gateway"] is None


def test_requests_are_told_once(bench: Bench) -> None:
    """At the look after them."""
    bench.calls.asked(failed=True)
    bench.calls.asked(failed=False)
    bench.calls.answered(0.25)

    bench.sampler.look()

    assert bench.seen["success_rate", PROVIDER] == 0.5
    assert bench.seen["latency_ms", GATEWAY] == 250.0
    assert bench.sampler.section()["success_rate of provider"] == 0.5


def test_cpu_is_known_from_the_second_look_on(bench: Bench) -> None:
    """It is measured from look to look; a process that is not there has none."""
    bench.sampler.look()
    first = bench.seen["cpu_percent", INDEXER]
    sum(range(10_000_000))
    bench.clock.advance(0.5)
    bench.sampler.look()

    assert math.isnan(first)
    assert bench.seen["cpu_percent", INDEXER] > 0
    assert math.isnan(bench.seen["cpu_percent", PROVIDER])


def test_a_queue_without_progress_is_stuck_for_longer_and_longer(bench: Bench) -> None:
    """The trial that the sampler itself puts is not done, for there is no worker."""
    bench.sampler.look()
    before = bench.seen["queue_stuck_seconds", WORKERS]
    bench.clock.advance(7.0)
    bench.sampler.look()

    assert before == 0.0
    assert bench.seen["queue_stuck_seconds", WORKERS] == 70.0  # a second counts as ten here
    assert bench.workers.queue.snapshot().size == 1
    assert math.isnan(bench.seen["memory_percent", WORKERS])


def test_all_measurements_together_go_to_the_monitor(bench: Bench) -> None:
    """It takes the four at each look; while it knows too little the score is not known."""
    bench.calls.asked(failed=False)
    bench.calls.answered(0.25)
    bench.sampler.look()

    shown = bench.anomaly.section()
    assert tuple(shown["moment"]) == METRICS
    assert (shown["moment"]["latency_ms"], shown["moment"]["success_rate"]) == (250.0, 1.0)
    assert shown["samples"] == len(METRICS)
    assert math.isnan(bench.seen["anomaly_score", WHOLE])
    assert bench.sampler.section()["anomaly_score of reference-app"] is None


def test_switched_off_nothing_is_measured(tmp_path: Path) -> None:
    """With detection off, by its flag."""
    bench = Bench(tmp_path, OFF)

    bench.sampler.look()

    assert bench.seen == {}
