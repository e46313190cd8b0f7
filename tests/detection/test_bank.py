"""Many baselines at once, beside one baseline for each."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from selfheal.detection import BaselineBank, BaselineConfig, SeasonalBaseline
from selfheal.detection.arrays import seal
from selfheal.errors import ConfigError, StateError

DAY = 86_400.0
START = 1_709_251_200.0
STEP = 300.0
METRICS = ["daily", "weekly", "constant", "holes", "wild"]


def ticks(days: int) -> np.ndarray:
    """Values of five metrics: by time of day, by day of the week, constant, with missing ones, with glitches."""
    draw = np.random.default_rng(5)
    times = START + STEP * np.arange(int(days * DAY / STEP))
    hours, weekend = times % DAY / 3600.0, (times // DAY + 3) % 7 >= 5
    values = np.stack(
        [
            np.where(hours > 12, 80.0, 20.0) + draw.normal(0.0, 3.0, len(times)),
            np.where(weekend, 5.0, 50.0) + draw.normal(0.0, 1.0, len(times)),
            np.full(len(times), 7.0),
            draw.lognormal(1.0, 1.0, len(times)),
            draw.normal(0.0, 1.0, len(times)),
        ],
        axis=1,
    )
    values[1::3, 3] = math.nan
    glitches = [(1e9, 0.0), (math.inf, -math.inf), (-1e300, 1e9), (1e6, -1e6), (1e5, 0.0), (-math.inf, 0.0)] * 20
    for n, pair in zip(range(2002, len(times), 96), glitches, strict=False):
        values[n : n + 2, 4] = pair
    return values


@pytest.mark.parametrize(
    ("zone", "days", "start"), [("UTC", 20, START), ("Europe/Berlin", 32, START), ("UTC", 5, -1_000_000_800.0)]
)
def test_each_metric_is_judged_as_by_a_baseline_of_its_own(zone: str, days: int, start: float) -> None:
    """Over weeks, over a change of clocks, and before 1970, all deviations are those of single baselines."""
    config = BaselineConfig(zone=zone, mode="sigma", sustain=(1, 1))
    bank, single = BaselineBank(METRICS, config), [SeasonalBaseline(config) for _ in METRICS]
    for n, row in enumerate(ticks(days)):
        t = start + n * STEP
        off = bank.update(t, row)
        for m, baseline in enumerate(single):
            alone = 0.0 if math.isnan(row[m]) else baseline._profile.deviation(t, max(-1e140, min(row[m], 1e140)))
            assert off[m] == pytest.approx(alone, rel=1e-6, abs=1e-6), (n, METRICS[m])
            baseline.learn(t, float(row[m]))


def test_those_beyond_are_named_the_furthest_first() -> None:
    """What is more than sigma spreads off comes with its verdict; missing and usual ones do not."""
    bank = BaselineBank(["a", "b", "c", "d"])
    draw = np.random.default_rng(1)
    for n in range(8 * 288):
        bank.learn(START + n * STEP, draw.normal(50.0, 2.0, 4))
    found = bank.unusual(START + 8 * DAY, np.array([65.0, 50.0, math.nan, 20.0]))

    assert [name for name, _ in found] == ["d", "a"]
    assert found[0][1].score > found[1][1].score > 5.0
    assert found[0][1].reasons[0].expected == pytest.approx(50.0, abs=1.0)
    assert found[0][1].reasons[0].why.endswith("spreads below what is usual at this time of day")


def test_a_late_tick_teaches_nothing() -> None:
    """A tick that is not after the latest is counted and not learnt."""
    bank, other = BaselineBank(["a"]), BaselineBank(["a"])
    draw = np.random.default_rng(2)
    for n in range(5 * 288):
        row = draw.normal(50.0, 2.0, 1)
        for each in (bank, other):
            each.learn(START + n * STEP, row)
        bank.learn(START + (n - n % 3) * STEP, np.array([90.0]))

    later = START + 6 * DAY
    assert bank.late == 5 * 288
    assert bank.deviations(later, np.array([60.0])) == other.deviations(later, np.array([60.0]))


def test_reset_forgets_all() -> None:
    """After reset nothing is known, and nothing deviates."""
    bank = BaselineBank(["a"])
    for n in range(288):
        bank.learn(START + n * STEP, np.array([float(n % 5)]))
    assert bank.deviations(START + DAY, np.array([100.0]))[0] > 10.0
    bank.reset()

    assert bank.deviations(START + DAY, np.array([100.0]))[0] == 0.0


@pytest.mark.parametrize("metrics", [[], ["a", "a"]])
def test_names_are_needed_and_each_once(metrics: list[str]) -> None:
    """Neither no metric nor two of one name are accepted."""
    with pytest.raises(ConfigError, match="at least one name"):
        BaselineBank(metrics)


@pytest.mark.parametrize("days", [0.0, 0.4, 3.01, 16.0])
def test_what_was_saved_goes_on_as_if_nothing_had_happened(days: float) -> None:
    """Saved in the middle of a cell, or of nothing: both then judge alike, to the last bit."""
    values = ticks(18)
    bank, upto = BaselineBank(METRICS), int(days * 288)
    for n in range(upto):
        bank.learn(START + n * STEP, values[n])
    other = BaselineBank.from_dict(json.loads(json.dumps(bank.to_dict())))
    for n in range(upto, upto + 300):
        assert (bank.update(START + n * STEP, values[n]) == other.update(START + n * STEP, values[n])).all()
    assert json.dumps(bank.to_dict()) == json.dumps(other.to_dict())


def test_a_damaged_record_is_refused() -> None:
    """Another kind or version, other metrics, or one changed number: refused by name."""
    bank = BaselineBank(["a", "b"])
    for n in range(600):
        bank.learn(START + n * STEP, np.array([1.0, float(n % 7)]))
    record = bank.to_dict()
    wrong = [{**record, "kind": "other"}, {**record, "version": 1}, {**record, "late": 3}, {**record, "metrics": ["a"]}]
    for data in [*wrong, {key: value for key, value in record.items() if key != "means"}, {}]:
        with pytest.raises(StateError, match="baseline_bank"):
            BaselineBank.from_dict(data)
    resealed = {key: value for key, value in record.items() if key != "checksum"}
    for data in [{**resealed, "metrics": ["a", "a"]}, {**resealed, "metrics": ["a"]}, {**resealed, "metrics": [1, 2]}]:
        with pytest.raises(StateError, match="baseline_bank"):
            BaselineBank.from_dict(seal(data))
