"""The detector for one metric that is used where nothing else is asked for."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from selfheal.detection import GateConfig, MetricConfig, MetricDetector
from selfheal.errors import ConfigError, StateError

STEP = 300.0
START = 1_709_251_200.0


def noise(days: float, start: float = START, seed: int = 3) -> list[tuple[float, float]]:
    draw = random.Random(seed)
    return [(start + n * STEP, draw.gauss(50.0, 2.0)) for n in range(int(days * 288))]


def taught(days: float = 7.0, **options: Any) -> MetricDetector:
    detector = MetricDetector(**options)
    detector.warm_start(noise(days))
    return detector


def lived(detector: MetricDetector, xs: list[float]) -> list[str]:
    """What its alarm does on values that follow."""
    changes = []
    for x in xs:
        detector.update(detector.intake.last + STEP, x)
        changes.append(detector.change)
    return changes


def test_a_spike_is_one_alarm_that_ends() -> None:
    """Something far off raises an alarm at once, and it is cleared after the spike and its echo in the means."""
    detector = taught()
    changes = lived(detector, [50.0, 90.0, 91.0, 90.0, *[50.0] * 80])

    assert changes[1] == "raised"
    assert [change for change in changes if change] == ["raised", "cleared"]


def test_a_little_off_for_long_is_an_alarm() -> None:
    """One sample that is a spread off raises nothing; three hours of them do, by their mean."""
    assert not any(lived(taught(), [52.0, *[50.0] * 35]))

    detector = taught()
    assert "raised" in lived(detector, [52.0] * 36)
    verdict = detector.score(detector.intake.last + STEP, 52.0)
    assert verdict.reasons[0].why.startswith("on the mean of the latest")


def test_a_jump_counts_although_it_ends_at_what_is_usual() -> None:
    """A metric that always drifts is unusual where it jumps, and a reason tells from where."""
    detector, draw, x = MetricDetector(means=(6,)), random.Random(8), 50.0
    for n in range(7 * 288):
        x += 0.1 * (50.0 - x) * 0.2 + draw.gauss(0.0, 0.5)
        detector.update(START + n * STEP, x)
    for n in range(7 * 288, 7 * 288 + 60):
        detector.update(START + n * STEP, 53.0)
    verdict = detector.score(detector.intake.last + STEP, 48.0)

    assert detector._deviations(1.0, gap=False)[-1] == pytest.approx(1.0 - detector._lately)
    assert verdict.score > detector.score(detector.intake.last + STEP, 53.0).score + 1.0
    assert any(reason.why.endswith("spreads below where it was lately") for reason in verdict.reasons)


def test_a_warm_start_raises_nothing() -> None:
    """What lies in history was no matter of the moment: no alarm, whatever was in it."""
    detector = MetricDetector()
    detector.warm_start([*noise(3.0), *[(START + 3 * 86_400.0 + n * STEP, 500.0) for n in range(20)]])

    assert (detector.gate.active, detector.change) == (False, "")


@pytest.mark.parametrize("seed", range(4))
def test_quiet_days_raise_few_alarms(seed: int) -> None:
    """On two weeks of noise every five minutes, after one of learning, there is on average at most one a day."""
    detector = MetricDetector()
    raised = 0
    for t, x in noise(21.0, seed=seed):
        detector.update(t, x)
        raised += detector.change == "raised" and t >= START + 7 * 86_400.0

    assert raised <= 14


def test_a_new_normal_is_accepted() -> None:
    """A level that stays is one alarm, which ends within two days, and it is what is usual after the memory is over."""
    detector = taught()
    draw = random.Random(5)
    changes = lived(detector, [draw.gauss(70.0, 2.0) for _ in range(16 * 288)])

    assert changes[0] == "raised"
    assert "cleared" in changes[: 2 * 288]
    assert detector.usual(detector.intake.last)[0] == pytest.approx(70.0, abs=3.0)


def test_learning_counts_less_during_an_alarm() -> None:
    """An hour of an incident moves what is usual half as far as it would without an alarm."""
    careful, careless = taught(gate=GateConfig(weight=0.25)), taught(gate=GateConfig(weight=1.0))
    before = careful.usual(careful.intake.last)[0]
    for detector in (careful, careless):
        lived(detector, [90.0] * 12)
        detector.learn(detector.intake.last + 900.0, 50.0)
    moved = [detector.usual(START + 7 * 86_400.0 + 900.0)[0] - before for detector in (careful, careless)]

    assert 0.0 < moved[0] < 0.6 * moved[1]


def test_nan_changes_nothing_and_late_ones_are_not_judged() -> None:
    """Neither a missing nor a late sample moves the alarm or its count of quiet samples."""
    detector = taught()
    lived(detector, [90.0])
    gate = detector.gate.to_dict()
    detector.update(detector.intake.last + STEP, math.nan)
    detector.update(detector.intake.last - 3600.0, 500.0)
    detector.update(detector.intake.last, 500.0)

    assert detector.gate.to_dict() == gate
    assert (detector.change, detector.intake.missing, detector.intake.late, detector.intake.repeated) == ("", 1, 1, 1)


def test_an_alarm_survives_saving() -> None:
    """The alarm there is goes on after loading, and ends at the same sample."""
    detector = taught()
    lived(detector, [90.0, 90.0])
    other = MetricDetector.from_dict(json.loads(json.dumps(detector.to_dict(), allow_nan=False)))

    assert other.gate.active
    assert lived(other, [50.0] * 80) == lived(detector, [50.0] * 80)


def test_means_after_a_gap_are_as_spread_as_full_ones() -> None:
    """After a gap one sample is scaled down as the mean of six, or 48, independent ones would be."""
    detector = taught()
    after = detector.intake.last + 86_400.0
    assert detector.intake.after_gap(after)
    assert detector._deviations(3.0, gap=True)[:3] == pytest.approx([3.0, 3.0 / math.sqrt(6.0), 3.0 / math.sqrt(48.0)])

    detector.learn(after, detector.usual(after)[0])
    assert detector._deviations(3.0, gap=False)[:3] == pytest.approx([3.0, 3.0 / math.sqrt(12), 3.0 / math.sqrt(96)])


@pytest.mark.parametrize("floor", [0.0, 0.4, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_leaving_quiet_samples_unscored_changes_no_verdict(floor: float, seed: int) -> None:
    """Over ten days with steps, spikes and gaps each verdict is exactly that of a detector that scores all."""
    usual, thorough = MetricDetector(floor=floor), MetricDetector(floor=floor)
    draw, level, t, unscored = random.Random(seed), 50.0, START, 0
    for _ in range(10 * 144):
        t += 60_000.0 if draw.random() < 0.002 else 600.0
        level += draw.choice([0.0] * 200 + [5.0, -5.0])
        x = level + draw.gauss(0.0, 1.0) * draw.choice([1.0] * 50 + [8.0])
        off = usual._deviations(usual._profile.deviation(t, x), usual.intake.after_gap(t))
        unscored += all(abs(o) < each.quiet for o, each in zip(off, usual._calibrators, strict=True))
        for calibrator in thorough._calibrators:
            calibrator.quiet = -1.0
        assert usual.update(t, x) == thorough.update(t, x)

    assert unscored > (500 if floor >= 1.0 else 200 if floor else -1)


def test_what_was_measured_against_the_whole_counts_little_once_the_day_is_known() -> None:
    """After a week, the first days are next to nothing of what rarity is told from."""
    data = taught(7.0).to_dict()["calibrators"][0]

    assert 1050.0 < data["total"] / data["unit"] < 4 * 288


def test_it_stays_small() -> None:
    """What is saved of a month of samples is at most 100,000 characters."""
    assert len(json.dumps(taught(30.0).to_dict())) < 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"means": ()},
        {"means": (6, 6)},
        {"means": (1,)},
        {"means": (6, 1000)},
        {"floor": -1.0},
        {"lately": 1.0},
        {"buckets": 5},
        {"zone": "x"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Each setting has bounds, and a message that names it."""
    with pytest.raises(ConfigError, match=f"MetricConfig.{next(iter(wrong))}"):
        MetricConfig(**wrong)


@pytest.mark.parametrize(
    "damage",
    [
        {"calibrators": []},
        {"recent": [[1.0]]},
        {"recent": None},
        {"gate": 1},
        {"config": {"means": [1]}},
        {"config": {"floor": 2.0}},
    ],
)
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    """A record of which a part is missing or wrong is refused whole."""
    with pytest.raises(StateError):
        MetricDetector.from_dict({**taught(1.0).to_dict(), **damage})
