"""What was usual is remembered from before it was learnt, within bounds, and over restarts."""

from __future__ import annotations

import json

import pytest

from selfheal.detection.monitor.usual import UsualPast
from tests.detection.monitor.watching import WALL, Watched

SERIES = ("cpu", "web")


def test_in_an_incident_the_usual_is_that_of_the_day_before() -> None:
    """Since the incident began, today's idea of what is usual has it in it; before, it has not."""
    rounds = Watched().monitor._rounds
    number = int(WALL // 300.0)
    rounds._usual.note(SERIES, number - 288, (30.0, 2.0))
    rounds._usual.note(SERIES, number, (60.0, 20.0))
    assert rounds._was_usual(WALL)(SERIES, number) == (30.0, 2.0)
    assert rounds._was_usual(WALL + 301.0)(SERIES, number) == (60.0, 20.0)
    assert rounds._was_usual(WALL)(SERIES, number - 7) is None


def test_series_and_steps_are_bounded() -> None:
    """Old steps go, and the series that was silent for longest."""
    past = UsualPast(steps=3, most=2)
    for number in range(5):
        past.note(SERIES, number, (float(number), 1.0))
    assert [past.at(SERIES, number) for number in range(5)] == [None, None, (2.0, 1.0), (3.0, 1.0), (4.0, 1.0)]
    past.note(("b", ""), 0, (0.0, 1.0))
    past.note(SERIES, 5, (5.0, 1.0))
    past.note(("c", ""), 0, (0.0, 1.0))
    assert past.at(("b", ""), 0) is None
    assert past.at(SERIES, 5) == (5.0, 1.0)


def test_it_is_kept_and_what_is_damaged_is_refused() -> None:
    """A list of another shape, length or making changes nothing."""
    past = UsualPast(steps=3)
    past.note(SERIES, 7, (1.5, 0.5))
    data = json.loads(json.dumps(past.to_list()))
    other = UsualPast(steps=3)
    other.load(data)
    assert other.at(SERIES, 7) == (1.5, 0.5)
    for bad in ([["a"]], [["a", "b", "!", "", ""]], [["a", "b", "", "", ""]], [[1, 2, 3, 4, 5]]):
        with pytest.raises(ValueError, match="series|base64|steps|length|pad|only"):
            other.load(bad)
        assert other.at(SERIES, 7) == (1.5, 0.5)
    with pytest.raises(ValueError, match="3 steps, not 4"):
        UsualPast(steps=4).load(data)
