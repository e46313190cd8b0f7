"""What is learnt and what is left out."""

from __future__ import annotations

import json
import math

import pytest

from selfheal.detection.intake import LARGEST, Intake, cut, timed
from selfheal.errors import ConfigError, StateError


def taught(count: int = 10, step: float = 60.0) -> Intake:
    intake = Intake()
    assert all(intake.takes(1000.0 + n * step, 1.0, 0.5) for n in range(count))
    return intake


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf, 1e15, -1e12])
def test_a_time_that_no_calendar_has_is_refused(t: float) -> None:
    """What is no number of seconds of a calendar is an error, not a sample."""
    with pytest.raises(ConfigError, match="wall seconds"):
        timed(t)


def test_values_are_cut() -> None:
    """Infinite and huge values become large ones; others stay."""
    assert [cut(x) for x in (math.inf, -1e300, 3.0)] == [LARGEST, -LARGEST, 3.0]


@pytest.mark.parametrize(
    ("t", "x", "counter"),
    [
        (1600.0, math.nan, "missing"),
        (1540.0, 1.0, "repeated"),
        (1539.0, 1.0, "late"),
        (1600.0, math.inf, "infinite"),
        (1600.0, -math.inf, "infinite"),
    ],
)
def test_what_is_left_out_is_counted(t: float, x: float, counter: str) -> None:
    """Missing, repeated, late and infinite samples are not learnt, and counted as what they are."""
    intake = taught()

    assert not intake.takes(t, x, 0.0)
    counts = {name: getattr(intake, name) for name in ("missing", "infinite", "late", "repeated", "gaps", "glitches")}
    assert counts == {**dict.fromkeys(counts, 0), counter: 1}


def test_the_usual_step_survives_gaps() -> None:
    """One gap of a day counts as one, and moves the usual step by a twentieth at most."""
    intake = taught(50)
    assert intake.step == pytest.approx(60.0)
    assert not intake.after_gap(intake.last + 300.0)
    assert intake.after_gap(intake.last + 301.0)

    intake.takes(intake.last + 180.0, 1.0, 0.0)
    assert (intake.gaps, intake.step) == (0, pytest.approx(63.0))
    intake = taught(50)
    intake.takes(intake.last + 86_400.0, 1.0, 0.0)
    assert (intake.gaps, intake.new_days) == (1, 1)
    assert intake.step == pytest.approx(63.0)


def test_the_step_follows_a_new_pace() -> None:
    """When samples come ten times as often, or as rarely, the step is that after a while."""
    intake = taught(50)
    for step in (6.0, 600.0):
        for _ in range(300):
            intake.takes(intake.last + step, 1.0, 0.0)
        assert intake.step == pytest.approx(step, rel=0.01)


def test_a_single_glitch_is_not_learnt_and_what_stays_is() -> None:
    """Of values a thousand spreads off, the first is left out; the second on the same side is believed."""
    intake = taught()
    said = [intake.takes(2000.0 + n, 1.0, off) for n, off in enumerate([5000.0, 0.1, 5000.0, -5000.0, -4000.0, 900.0])]

    assert said == [False, True, False, False, True, True]
    assert intake.glitches == 3


def test_saved_and_loaded_it_is_the_same() -> None:
    """All that it knows comes back, also before the first sample."""
    intake = taught()
    intake.takes(5000.0, math.nan, 0.0)
    intake.takes(5000.0, 1.0, 5000.0)
    for each in (intake, Intake()):
        data = each.to_dict()
        assert Intake.from_dict(json.loads(json.dumps(data, allow_nan=False))).to_dict() == data
    assert Intake.from_dict(intake.to_dict()).takes(5060.0, 1.0, 5000.0)


def test_a_bad_record_is_refused() -> None:
    """A count that is none is an error."""
    with pytest.raises(StateError, match="late"):
        Intake.from_dict({**Intake().to_dict(), "late": -1})
