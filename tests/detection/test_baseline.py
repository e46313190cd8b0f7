"""What is normal by time of day, and the modes by which it is judged."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection import BaselineConfig, SeasonalBaseline
from selfheal.detection.baseline import normal_score
from selfheal.errors import ConfigError, StateError

DAY = 86_400.0
START = 1_709_251_200.0


def taught(days: float = 7.0, **options: Any) -> SeasonalBaseline:
    """One that knows a metric of 20 by night and 80 by day, with a spread of 4."""
    draw = random.Random(7)
    baseline = SeasonalBaseline(**options)
    for n in range(int(days * 288)):
        t = START + n * 300.0
        baseline.learn(t, draw.gauss(80.0 if t % DAY >= DAY / 2 else 20.0, 4.0))
    return baseline


NIGHT, NOON = START + 7 * DAY + 3600.0, START + 7 * DAY + 43_200.0


@pytest.mark.parametrize("mode", ["calibrated", "sigma"])
def test_what_is_usual_by_day_is_unusual_by_night(mode: str) -> None:
    """The same value is ordinary at noon and far off at one in the morning, and the reason says so."""
    baseline = taught(mode=mode, sustain=(1, 1), name="load")
    verdict = baseline.score(NIGHT, 80.0)

    assert baseline.score(NOON, 80.0).score < 1.0
    assert verdict.score > 2.5
    assert verdict.reasons[0].metric == "load"
    assert verdict.reasons[0].expected == pytest.approx(20.0, abs=2.0)
    assert verdict.reasons[0].why.endswith("spreads above what is usual at this time of day")
    assert "below" in baseline.score(NOON, 20.0).reasons[0].why


def test_the_band_is_mean_and_sigma_spreads() -> None:
    """Three spreads by default, two if asked for."""
    low, high = taught(mode="sigma").band(NIGHT)
    assert (low + high) / 2 == pytest.approx(20.0, abs=2.0)
    assert (high - low) / 2 == pytest.approx(12.0, rel=0.25)

    narrow = taught(mode="sigma", sigma=2.0).band(NIGHT)
    assert narrow[1] - narrow[0] == pytest.approx((high - low) * 2 / 3)


def test_the_threshold_is_the_score_at_the_edge_of_the_band() -> None:
    """In mode sigma a sample at the edge scores the threshold."""
    baseline = taught(mode="sigma", sustain=(1, 1))
    edge = baseline.band(NIGHT)[1]

    assert baseline.score(NIGHT, edge + 0.01).score > baseline.threshold > baseline.score(NIGHT, edge - 0.01).score
    assert baseline.threshold == pytest.approx(2.569, abs=0.001)


def test_three_of_five_have_to_be_beyond() -> None:
    """One or two samples far off are not sustained; the third of five is, and the pause between does not matter."""
    baseline = taught(mode="sigma")
    t = baseline.intake.last
    above = []
    for n, x in enumerate([20.0, 50.0, 20.0, 50.0, 50.0, 20.0, 20.0, 20.0]):
        above.append(baseline.update(t + (n + 1) * 300.0, x).score > baseline.threshold)

    assert above == [False, False, False, False, True, True, False, False]


def test_what_was_measured_against_the_whole_counts_little_once_the_day_is_known() -> None:
    """After a week, the first days are next to nothing of what rarity is told from."""
    data = taught().to_dict()["calibrator"]

    assert 1050.0 < data["total"] / data["unit"] < 4 * 288


def test_after_a_gap_nothing_is_sustained() -> None:
    """Two samples far off before a gap of a day do not count for the one after."""
    baseline = taught(mode="sigma")
    t = baseline.intake.last
    for n in range(2):
        baseline.update(t + (n + 1) * 300.0, 50.0)

    assert baseline.update(t + DAY, 50.0).score < baseline.threshold
    assert baseline.update(t + DAY + 300.0, 50.0).score < baseline.threshold


@given(st.floats(0.0, 38.0))
def test_the_normal_score_is_that_of_the_normal_distribution(spreads: float) -> None:
    """Up to where erfc underflows, the score is that of erfc; the two formulas meet without a step."""
    exact = math.erfc(spreads / math.sqrt(2.0))
    if exact > 0.0:
        assert normal_score(spreads) == pytest.approx(-math.log10(exact), abs=2e-3)
    assert normal_score(spreads + 0.01) > normal_score(spreads) - 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Mars/Olympus"},
        {"zone": ""},
        {"zone": "../etc/passwd"},
        {"buckets": 7},
        {"buckets": True},
        {"memory_days": 0.5},
        {"mode": "magic"},
        {"sigma": 0.0},
        {"sustain": (5, 3)},
        {"sustain": 3},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Each setting has bounds, and a message that names it."""
    with pytest.raises(ConfigError, match=f"BaselineConfig.{next(iter(wrong))}"):
        BaselineConfig(**wrong)


@pytest.mark.parametrize(
    "damage",
    [
        {"config": {"buckets": 7}},
        {"config": {"unknown": 1}},
        {"recent": [-1.0]},
        {"profile": {}},
        {"calibrator": None},
        {"intake": {"kind": "intake", "version": 1}},
    ],
)
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    """A record of which a part is missing or wrong is refused whole."""
    with pytest.raises(StateError):
        SeasonalBaseline.from_dict({**taught(1.0).to_dict(), **damage})


@pytest.mark.parametrize("part", ["means", "vars", "weights", "visits", "days", "place", "cell", "noise", "times"])
def test_a_damaged_profile_is_refused(part: str) -> None:
    """What was learnt by time of day has to be whole, and numbers."""
    data = taught(1.0).to_dict()
    for bad in ([1.0], None, "x", [math.nan] * 145, [-1e300, 1e300]):
        with pytest.raises(StateError, match=part):
            SeasonalBaseline.from_dict({**data, "profile": {**data["profile"], part: bad}})
