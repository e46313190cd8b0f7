"""The scale that all detectors share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.verdict import HIGHEST_SCORE, NOTHING_SAID, Verdict


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_score_becomes_one_within_bounds(score: float) -> None:
    """Whatever number goes in, the score is between 0 and 300 and the probability is that of the score."""
    verdict = Verdict.of(score)

    assert 0.0 <= verdict.score <= HIGHEST_SCORE
    assert verdict.p == pytest.approx(10.0**-verdict.score, rel=1e-12)
    assert verdict.score == (score if 0.0 < score < HIGHEST_SCORE else 300.0 if score > 1.0 else 0.0)


def test_nan_and_infinity() -> None:
    """A score that is no number says nothing; one beyond all bounds is the highest there is."""
    assert Verdict.of(math.nan) == (0.0, 1.0, (), True)
    assert Verdict.of(math.inf).score == 300.0
    assert Verdict.of(math.inf).p > 0.0


def test_nothing_said_raises_no_alarm() -> None:
    """The verdict on a missing value is ordinary and not ready."""
    assert (NOTHING_SAID.score, NOTHING_SAID.p, NOTHING_SAID.ready) == (0.0, 1.0, False)
