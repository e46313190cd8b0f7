"""A week made of some seconds: what is in it, and that a detector can live with it."""

from __future__ import annotations

import random

import pytest

from examples.reference_app.anomaly import DAY, METRICS, STEP, WHOLE
from examples.reference_app.week import DAYS, Moment, lay, main, share
from selfheal.detection import CompositeDetector, History

NOW = 1_700_000_123.0
QUIET = {"cpu_percent": 3.0, "memory_percent": 8.0}


def busy(clients: int, **odd: float) -> dict[str, float]:
    """A look with so many clients, and what is odd in it."""
    return QUIET | {"cpu_percent": 15.0 * clients, "latency_ms": 5.0 * clients, "success_rate": 1.0} | odd


RECORDED: dict[int, list[Moment]] = {0: [QUIET] * 5, 1: [busy(1)] * 5, 2: [busy(2)] * 5, 4: [busy(4)] * 5}


def test_there_is_a_step_for_every_five_minutes_of_seven_days() -> None:
    """Up to the latest that is over; latency and success only where there was traffic."""
    history = lay(RECORDED, NOW)

    numbers = [point.number for point in history.points("cpu_percent", WHOLE)]
    assert numbers == list(range(int(NOW // STEP) - round(DAYS * DAY / STEP), int(NOW // STEP)))
    assert len(history.points("memory_percent", WHOLE)) == len(numbers)
    assert 0.5 * len(numbers) < len(history.points("latency_ms", WHOLE)) < len(numbers)
    assert set(history) == {(metric, WHOLE) for metric in METRICS}


def test_there_is_more_traffic_by_day_than_by_night() -> None:
    """The least at four in the morning, the most at four in the afternoon, and it shows in the CPU."""
    midnight = DAY * 19_000
    assert share(midnight + 4 * 3600) == pytest.approx(0.2)
    assert share(midnight + 16 * 3600) == pytest.approx(1.0)

    points = lay(RECORDED, NOW).points("cpu_percent", WHOLE)
    by_hour: dict[int, list[float]] = {}
    for point in points:
        by_hour.setdefault(int(point.number * STEP % DAY // 3600), []).append(point.mean)
    night, day = by_hour[3] + by_hour[4], by_hour[15] + by_hour[16]
    assert sum(day) / len(day) > 1.5 * sum(night) / len(night)


def test_no_value_is_impossible_and_the_wobble_is_of_its_size() -> None:
    """Nothing below nothing, no more than all succeeds; memory, which was always the same, differs by 2 on average."""
    history = lay(RECORDED, NOW)

    assert min(point.mean for metric, target in history for point in history.points(metric, target)) >= 0.0
    assert max(point.mean for point in history.points("success_rate", WHOLE)) <= 1.0
    off = [abs(point.mean - 8.0) for point in history.points("memory_percent", WHOLE)]
    assert 1.7 < sum(off) / len(off) < 2.3


def test_by_the_same_chance_it_is_the_same_week() -> None:
    """And by another one another."""
    cpu = ("cpu_percent", WHOLE)

    assert lay(RECORDED, NOW).points(*cpu) == lay(RECORDED, NOW).points(*cpu)
    assert lay(RECORDED, NOW).points(*cpu) != lay(RECORDED, NOW, seed=21).points(*cpu)


def learnt(history: History) -> CompositeDetector:
    """A detector that knows a week."""
    detector = CompositeDetector(METRICS, smooth=1)
    detector.warm_start(
        (number * STEP, {metric: values[metric, WHOLE] for metric in METRICS if (metric, WHOLE) in values})
        for number, values in history.steps(0, int(NOW // STEP)).items()
    )
    return detector


def test_what_was_recorded_is_usual_at_any_time_of_day_and_faults_are_not() -> None:
    """Nobody, one client or four, at night too; half the memory and a slow provider are beyond the threshold."""
    detector, chance = learnt(lay(RECORDED, NOW)), random.Random(3)

    for hour in range(24):
        t = NOW + 3600.0 * hour
        for looks in RECORDED.values():
            assert detector.score(t, chance.choice(looks)).score < 3.2
        assert detector.score(t, busy(2, memory_percent=48.0, latency_ms=300.0)).score > 3.2


def test_where_nothing_can_be_recorded_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and one line; nothing is written."""

    def fails(*_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("examples.reference_app.week.make", fails)

    assert main(["week.json"]) == 1
    assert capsys.readouterr().err == "no week was recorded: no room\n"
