"""The monitor of the reference app learns a week, and tells what is not like it."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.reference_app.anomaly import DAY, METRICS, STEP, WHOLE, Anomalies
from selfheal import EventBus, FeatureFlags
from selfheal.detection import History
from selfheal.events import Alert, Event, Severity, TaskFailed
from selfheal.testing import FakeClock

NOW = 1_700_000_000.0
USUAL = {"cpu_percent": 30.0, "memory_percent": 10.0, "latency_ms": 20.0, "success_rate": 1.0}


def a_moment(chance: random.Random, **odd: float) -> dict[str, float]:
    """Much as always, but for what is given."""
    spreads = {"cpu_percent": 8.0, "memory_percent": 1.0, "latency_ms": 4.0, "success_rate": 0.005}
    return {metric: chance.gauss(USUAL[metric], spreads[metric]) for metric in METRICS} | odd


def a_week(path: Path, until: float = NOW, days: float = 7.0) -> Path:
    """A recorded week in which nothing happened."""
    history, chance = History(), random.Random(7)
    end = int(until // STEP)
    for number in range(end - round(days * DAY / STEP), end):
        for metric, value in a_moment(chance).items():
            history.add(metric, value, WHOLE, number * STEP)
    history.save(path)
    return path


class Bench:
    """A monitor by a fake clock, and what it told."""

    def __init__(self, directory: Path, week: Path | None = None, *, speed: float = 1.0, wall: float = NOW) -> None:
        self.clock, self.bus, self.chance = FakeClock(wall=wall), EventBus(), random.Random(11)
        self.told: list[Event] = []
        self.bus.subscribe(self.told.append, Alert, inline=True)
        self.flags = FeatureFlags(directory, {})
        self.speed = speed
        self.anomaly = Anomalies(
            directory / "detection", week=week, flags=self.flags, events=self.bus, speed=speed, clock=self.clock
        )

    def go_on(self, steps: int = 1, looks: int = 10, **odd: float) -> float:
        """Steps of ten looks each, and the look after them; the score."""
        for _ in range(steps * looks):
            self.anomaly.look(a_moment(self.chance, **odd))
            self.clock.advance(STEP / self.speed / looks)
        return self.anomaly.look(a_moment(self.chance, **odd))


@contextmanager
def bench_of(directory: Path, week: Path | None = None, **options: float) -> Iterator[Bench]:
    """A bench, closed at the end."""
    made = Bench(directory, week, **options)
    try:
        yield made
    finally:
        made.anomaly.close()


def test_a_recorded_week_is_known_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After one step of five minutes there is a score, it is low, nothing is told, and the log says what was learnt."""
    with caplog.at_level(logging.INFO), bench_of(tmp_path, a_week(tmp_path / "week.json")) as bench:
        assert math.isnan(bench.anomaly.score())
        scores = [bench.go_on() for _ in range(12)]

    assert all(0.0 <= score < 0.8 for score in scores)
    assert bench.told == []
    assert "has learnt from 8064 points of 7 days in " in caplog.text


def test_several_things_a_little_wrong_are_told_with_what_contributed(tmp_path: Path) -> None:
    """Half the memory and 300 ms: an alert on the bus within two steps, a score beyond 0.8, and both are named."""
    with bench_of(tmp_path, a_week(tmp_path / "week.json")) as bench:
        bench.go_on(3)
        score = bench.go_on(2, memory_percent=48.0, latency_ms=300.0)
        shown = bench.anomaly.section()

    (alert,) = bench.told
    assert isinstance(alert, Alert)
    assert (alert.kind, alert.target, alert.metric) == ("anomaly", WHOLE, "composite")
    contributed = " ".join(value for name, value in alert.labels.items() if name.startswith("contributed"))
    assert "memory_percent: " in contributed
    assert "latency_ms: " in contributed
    assert 0.8 < score <= 1.0
    assert shown["anomalyScore"] == round(score, 3)
    assert [one["kind"] for one in shown["openAlerts"]] == ["anomaly"]


@pytest.mark.parametrize("odd", [{"latency_ms": 700.0}, {"memory_percent": 91.0}, {"success_rate": 0.5}])
def test_each_fault_of_the_service_is_unusual(tmp_path: Path, odd: dict[str, float]) -> None:
    """A slow provider, a worker that leaks, calls that fail: each scores beyond 0.8 by itself."""
    with bench_of(tmp_path, a_week(tmp_path / "week.json")) as bench:
        assert bench.go_on(3) < 0.8
        assert bench.go_on(2, looks=10, **odd) > 0.8


def test_without_a_week_it_learns_as_it_goes(tmp_path: Path) -> None:
    """No score for the first day, one after it."""
    with bench_of(tmp_path) as bench:
        before = bench.go_on(round(0.9 * DAY / STEP), looks=1)
        after = bench.go_on(round(0.2 * DAY / STEP), looks=1)

    assert math.isnan(before)
    assert after < 0.8


def test_a_week_that_is_damaged_is_refused_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It stays where it is, the log and the status say why it was refused, and learning begins anew."""
    week = a_week(tmp_path / "week.json")
    content = week.read_bytes()
    week.write_bytes(content.replace(b"latency_ms", b"latency_mz"))

    with bench_of(tmp_path, week) as bench:
        score = bench.go_on(2)
        (problem,) = bench.anomaly.section()["problems"]

    assert math.isnan(score)
    assert "checksum does not hold" in problem
    assert "Learning begins anew" in caplog.text
    assert week.exists()


def test_a_later_life_goes_on_where_the_one_before_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was learnt is kept, and not learnt from the week again; the week is only read."""
    week = a_week(tmp_path / "week.json")
    content = week.read_bytes()
    with bench_of(tmp_path, week) as bench:
        bench.go_on(3)
    assert bench.anomaly.monitor.snapshot().problems == ()

    with caplog.at_level(logging.INFO), bench_of(tmp_path, week, wall=bench.clock.wall()) as later:
        assert later.anomaly.score() < 0.8  # known before the first step is over
        assert later.go_on(2, memory_percent=48.0, latency_ms=300.0) > 0.8

    assert "has learnt from" not in caplog.text
    assert week.read_bytes() == content


def test_at_a_hundredfold_pace_five_minutes_are_three_seconds(tmp_path: Path) -> None:
    """A step is judged after three seconds of the service; a later life begins where the fast one ended."""
    with bench_of(tmp_path, a_week(tmp_path / "week.json"), speed=100.0) as bench:
        bench.go_on()
        assert bench.anomaly.section()["detections"] == 1
        assert bench.clock.wall() - NOW == pytest.approx(3.0)
        bench.go_on(20)

    with bench_of(tmp_path, speed=100.0, wall=bench.clock.wall()) as later:
        assert later.go_on(2) < 0.8
        assert later.go_on(2, memory_percent=48.0, latency_ms=300.0) > 0.8  # nothing comes too late to be taken


def test_switched_off_nothing_is_learnt_or_told(tmp_path: Path) -> None:
    """With the flag of detection off, no step is judged, however odd."""
    with bench_of(tmp_path, a_week(tmp_path / "week.json")) as bench:
        bench.flags.override("FEATURE_AUTO_DETECTION_MONITORING", False)
        score = bench.go_on(3, memory_percent=90.0)

        assert bench.anomaly.section()["samples"] == 0
        assert bench.anomaly.section()["enabled"] is False
    assert math.isnan(score)
    assert bench.told == []


def test_of_failures_that_pull_each_other_along_the_first_is_named(tmp_path: Path) -> None:
    """No key, a circuit that is open and degraded answers: one more alert, on the keys."""
    with bench_of(tmp_path) as bench:
        bench.anomaly.start()
        for kind, target in [
            ("no_active_keys", "key-pool"),
            ("breaker_opened", "summary-provider"),
            ("degraded_replies", "gateway"),
        ]:
            bench.bus.publish(Alert(kind=kind, target=target, at=bench.clock.wall(), severity=Severity.CRITICAL))
            bench.clock.advance(1.0)
        bench.bus.drain()
        bench.anomaly.look(dict.fromkeys(METRICS, math.nan))
        bench.bus.drain()

    told = [event for event in bench.told if isinstance(event, Alert) and event.kind == "cascade_failure"]
    assert [alert.target for alert in told] == ["key-pool"]


def test_a_task_that_fails_again_and_again_is_told(tmp_path: Path) -> None:
    """The fifth failure in a row is a pattern, and an alert on the task."""
    with bench_of(tmp_path) as bench:
        bench.anomaly.start()
        for n in range(1, 6):
            bench.bus.publish(TaskFailed(task_id="request-log-trim", error="disk full", consecutive=n))
        bench.bus.drain()

    assert [(event.kind, event.target) for event in bench.told if isinstance(event, Alert)] == [
        ("task_failure_pattern", "request-log-trim")
    ]
