"""What was usual at one moment, kept beside what is learnt since."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from selfheal.detection.anchor import Fitted, Rows
from selfheal.detection.arrays import seal
from selfheal.detection.composite import CompositeDetector
from selfheal.detection.forest.detector import IsolationForestDetector
from selfheal.errors import ConfigError, StateError
from tests.detection.multivariate import METRICS, START, STEP, server

DAY = 86_400.0
WEEK = 2016
"""Samples of seven days."""
NOW = START + WEEK * STEP


def warm(samples: int = WEEK, **options: Any) -> CompositeDetector:
    detector = CompositeDetector(METRICS, **{"max_rows": 500, **options})
    detector.warm_start(server(samples))
    return detector


def read(text: str) -> CompositeDetector:
    return CompositeDetector.from_dict(json.loads(text))


@pytest.fixture(scope="module")
def anchored() -> str:
    """A detector with an anchor, as JSON text."""
    return json.dumps(warm().to_dict())


@pytest.fixture(scope="module")
def after_incident(anchored: str) -> str:
    """The same after two days in which memory is somewhat high."""
    detector = read(anchored)
    for t, x in server(576, seed=1, start=NOW):
        detector.learn(t, {**x, "memory": x["memory"] + 6.0})
    return json.dumps(detector.to_dict())


LATER = NOW + 576 * STEP


def high(detector: CompositeDetector) -> float:
    sample = next(server(1, seed=2, start=LATER))[1]
    return detector.score(LATER, {**sample, "memory": sample["memory"] + 6.0}).score


def test_a_new_anchor_changes_no_score(anchored: str) -> None:
    """At the end of the warm start both are the same, and so is what is made of the two."""
    plain = warm(anchor=0.0)
    sample = next(server(1, seed=1, start=NOW))[1]
    for moved in (0.0, 3.0, 9.0):
        moving = {**sample, "memory": sample["memory"] + moved}
        assert read(anchored).score(NOW, moving).score == pytest.approx(plain.score(NOW, moving).score)


def test_a_long_incident_stays_unusual(after_incident: str) -> None:
    """What lasted for two days is usual to who only learns, and unusual still beside the anchor, by name."""
    plain = warm(anchor=0.0)
    for t, x in server(576, seed=1, start=NOW):
        plain.learn(t, {**x, "memory": x["memory"] + 6.0})
    verdict = read(after_incident).score(LATER, {**next(server(1, seed=2, start=LATER))[1], "memory": 66.0})

    assert high(plain) < 1.0
    assert high(read(after_incident)) > high(plain) + 1.0
    assert verdict.reasons[0].metric == "memory"
    assert verdict.reasons[0].expected == pytest.approx(60.0, abs=1.0)


def test_a_change_that_is_to_stay_is_told(after_incident: str) -> None:
    """With anchor() what is known now is what counts."""
    detector = read(after_incident)

    assert detector.anchor()
    assert high(detector) < 1.0


def test_it_is_renewed_in_time() -> None:
    """After so many seconds there is a new one, of what is known by then, and not before."""
    detector = warm(anchor=DAY)
    first = detector.to_dict()["anchor"]["at"]
    seen = []
    for t, x in server(2 * 288, seed=1, start=NOW):
        detector.learn(t, x)
        seen.append(detector.to_dict()["anchor"]["at"] if t % 3600.0 == 0.0 else first)

    assert first == NOW - STEP
    assert set(seen) == {first, first + DAY}


def test_little_history_makes_none() -> None:
    """Two days do not tell what is usual; two weeks do, without being asked."""
    detector = warm(576)
    assert detector.to_dict()["anchor"] is None

    for t, x in server(4033 - 576, seed=1, start=START + 576 * STEP):
        detector.learn(t, x)
    assert detector.to_dict()["anchor"]["at"] == START + 14 * DAY


def test_there_is_none_where_it_is_not_asked_for() -> None:
    """Without the setting, as for the forest, or before anything is known, there is none."""
    assert not warm(anchor=0.0).anchor()
    assert not CompositeDetector(METRICS).anchor()
    assert IsolationForestDetector(METRICS).config.anchor == 0.0


def test_it_goes_on_from_text(after_incident: str) -> None:
    """Saved as JSON and read, a detector with an anchor gives the same verdicts and the same record."""
    one, other = read(after_incident), read(after_incident)
    for t, x in server(20, seed=3, start=LATER):
        verdict = one.score(t, x)
        one.learn(t, x)
        assert other.update(t, x) == verdict
        other = read(json.dumps(other.to_dict()))

    assert one.to_dict() == other.to_dict()


def test_after_a_gap_the_mean_of_the_latest_starts_anew(after_incident: str) -> None:
    """Hours of silence end the mean of the latest deviations from the anchor too."""
    detector = read(after_incident)
    assert len(detector.to_dict()["anchor"]["lately"]["latest"]) == 5
    t, x = next(server(1, seed=3, start=LATER + DAY))
    detector.learn(t, x)

    assert len(detector.to_dict()["anchor"]["lately"]["latest"]) == 1


def test_a_late_sample_leaves_it_as_it_was(after_incident: str) -> None:
    """What is not learnt is not kept by the anchor either."""
    detector = read(after_incident)
    detector.learn(LATER - 2 * STEP, {"memory": 90.0})

    assert json.dumps(detector.to_dict()) == after_incident


@pytest.mark.parametrize("change", ["kind", "rows", "calibrator", "lately", "fitted", "at"])
def test_a_damaged_anchor_is_refused(change: str, anchored: str) -> None:
    """A record with a right checksum and a wrong anchor raises."""
    record = {key: value for key, value in json.loads(anchored).items() if key != "checksum"}
    record["anchor"] = {**record["anchor"], change: ["x"]}
    with pytest.raises(StateError):
        CompositeDetector.from_dict(seal(record))


def test_a_setting_out_of_range_is_told() -> None:
    """At most a year."""
    with pytest.raises(ConfigError, match="anchor must be between 0"):
        CompositeDetector(METRICS, anchor=1e9)


class Counting:
    """A model that counts how often it was asked; everything is as far as its first metric."""

    def __init__(self) -> None:
        self.asked = 0

    def deviations(self, rows: Rows) -> Rows:
        self.asked += len(rows)
        return np.abs(rows[:, 0])

    def to_dict(self) -> dict[str, Any]:
        return {}


def test_a_sample_that_is_scored_and_then_learnt_is_compared_once() -> None:
    """By the model in use, and by that of the anchor; another row is compared anew."""
    model, row, other = Counting(), np.array([2.0, 1.0]), np.array([-3.0, 1.0])
    fitted = Fitted(model, NOW, 1)
    assert [fitted.deviation(each) for each in (row, row.copy(), other, row)] == [2.0, 2.0, 3.0, 2.0]
    assert model.asked == 3

    detector, model = warm(), Counting()
    detector.install(Fitted(model, NOW, 500))
    assert detector.anchor()
    anchored = model.asked
    for t, x in server(5, seed=1, start=NOW):
        detector.score(t, x)
        detector.learn(t, x)
    assert model.asked - anchored == 2 * 5
