"""The anomaly score learns what is normal, and tells what is not."""

from __future__ import annotations

import math
import random

from examples.reference_app.anomaly import AnomalyScore


def learnt(moments: int = 60) -> AnomalyScore:
    """A score that has learnt from some CPU, a tenth of the memory, 4 to 6 ms and no failure."""
    score, chance = AnomalyScore(moments), random.Random(7)
    for _ in range(moments):
        assert math.isnan(score.score((chance.uniform(5, 20), chance.uniform(9, 11), chance.uniform(4, 6), 1.0)))
    return score


def test_the_unusual_scores_higher_than_the_usual() -> None:
    """Amid those learnt next to 0, off in one respect in between, off in two or more next to 1."""
    score = learnt()

    usual = score.score((12.0, 10.0, 5.0, 1.0))
    slow = score.score((12.0, 10.0, 300.0, 1.0))
    slow_and_large = score.score((12.0, 48.0, 300.0, 1.0))
    unusual = score.score((60.0, 40.0, 300.0, 0.7))

    assert 0.0 <= usual < 0.1 < slow < 0.75 < 0.85 < slow_and_large <= unusual == 1.0


def test_a_difference_in_what_was_always_the_same_is_seen() -> None:
    """No request failed while it learnt: one moment in which half of them do scores higher than one without."""
    score = learnt()

    assert score.score((12.0, 10.0, 5.0, 0.5)) > score.score((12.0, 10.0, 5.0, 1.0)) + 0.1


def test_nothing_is_learnt_from_what_is_not_known() -> None:
    """A moment without traffic has no latency: it has no score, and does not count as learnt."""
    score = AnomalyScore(10)

    for _ in range(20):
        assert math.isnan(score.score((10.0, 10.0, math.nan, math.nan)))

    assert not score.ready
    assert math.isnan(learnt().score((10.0, math.nan, 5.0, 1.0)))
