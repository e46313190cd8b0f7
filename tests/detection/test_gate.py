"""When scores become an alarm."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.gate import (
    AT_USUAL,
    HIGHEST_LEVEL,
    LOWEST_THRESHOLD,
    MOST_RAISED,
    PER_DECADE,
    AlertGate,
    GateConfig,
)
from selfheal.errors import ConfigError, StateError

STEP = 60.0


def run(gate: AlertGate, scores: list[float], start: float = 0.0) -> list[str]:
    return [gate.update(start + n * STEP, score, STEP) for n, score in enumerate(scores)]


def test_one_alarm_for_an_incident() -> None:
    """What goes on is one alarm, however high it rises."""
    gate = AlertGate(threshold=3.0)

    assert run(gate, [0.0, 3.0, 50.0, 3.0, 9.0, 2.0, 200.0]) == ["", "raised", "", "", "", "", ""]
    assert (gate.active, gate.since, gate.peak) == (True, STEP, 200.0)


def test_it_is_cleared_after_enough_quiet_samples_in_a_row() -> None:
    """Five quiet samples and one that is not begin the count anew; six end the alarm."""
    gate = AlertGate(threshold=3.0)
    said = run(gate, [9.0, *[0.0] * 5, 1.5, *[1.4] * 6])

    assert said == ["raised", *[""] * 11, "cleared"]
    assert not gate.active


def test_what_comes_back_at_once_raises_nothing_and_later_it_does() -> None:
    """After an alarm the same score alarms again only once the level has fallen far enough below it."""
    gate = AlertGate(threshold=2.0, hold=100.0, clear_after=1)
    run(gate, [5.0, 0.0])
    assert gate.update(2 * STEP, 5.0, STEP) == ""
    run(gate, [0.0], 3 * STEP)
    assert gate.update(40 * STEP, 5.0, STEP) == ""
    assert gate.excess(150 * STEP, 5.0, STEP) > 2.0
    assert gate.update(150 * STEP, 5.0, STEP) == "raised"


def test_without_a_memory_what_rises_over_several_samples_is_an_alarm() -> None:
    """A score that rises step by step stays below the level by the threshold, unless the gate keeps no level."""
    rising = [2.0, 3.0, 3.1, 3.1, 3.1]

    assert "raised" not in run(AlertGate(threshold=2.9, hold=1.0), rising)
    assert run(AlertGate(threshold=2.9, hold=0.1), rising)[1] == "raised"


def test_what_is_much_worse_is_an_alarm_also_soon() -> None:
    """A score that is above the level by the threshold alarms at once."""
    gate = AlertGate(threshold=2.0, clear_after=1)
    run(gate, [2.0, 0.0])

    assert gate.update(3 * STEP, 4.3, STEP) == "raised"


def test_a_slow_rise_is_an_alarm_in_the_end() -> None:
    """A score that rises by a hundredth at a time does not lift the level along with it."""
    gate = AlertGate(threshold=1.4)
    changes = run(gate, [n / 100 for n in range(1000)])

    assert "raised" in changes[:700]
    assert changes.index("raised") > 300


def test_what_is_not_quite_an_alarm_again_and_again_raises_the_bar() -> None:
    """After scores just below the threshold, one a little above it is no alarm."""
    calm, restless = AlertGate(threshold=2.0), AlertGate(threshold=2.0)
    run(calm, [0.0] * 5)
    run(restless, [1.9] * 5)

    assert calm.update(5 * STEP, 3.0, STEP) == "raised"
    assert restless.update(5 * STEP, 3.0, STEP) == ""


def test_a_score_that_cannot_be_trusted_raises_nothing() -> None:
    """While a detector is not ready, no alarm is raised."""
    gate = AlertGate(threshold=2.0)

    assert gate.update(0.0, 50.0, STEP, ready=False) == ""
    assert not gate.active


def test_samples_count_less_during_an_alarm_until_it_has_lasted_too_long() -> None:
    """Half during the first six hours, in full before, after and later."""
    gate = AlertGate(threshold=2.0)
    assert gate.learning_weight(0.0) == 1.0

    run(gate, [5.0])
    assert [gate.learning_weight(t) for t in (0.0, 21_599.0, 21_600.0)] == [0.5, 0.5, 1.0]


def test_the_threshold_follows_from_budget_and_step() -> None:
    """More samples a day and fewer false alarms need a higher one; it has a floor, and can be given."""
    gate = AlertGate()

    assert gate.threshold(300.0) == gate.threshold(0.0) == AT_USUAL
    assert gate.threshold(30.0) == pytest.approx(AT_USUAL + PER_DECADE)
    assert AlertGate(budget_per_day=0.02).threshold(300.0) == pytest.approx(AT_USUAL + PER_DECADE)
    assert gate.threshold(86_400.0) == LOWEST_THRESHOLD
    assert AlertGate(threshold=7.0).threshold(1.0) == 7.0


def often_alarmed(times: int, **options: Any) -> AlertGate:
    """A gate that raised so many alarms, an hour and a half apart, the level long forgotten."""
    gate = AlertGate(threshold=2.0, hold=1.0, clear_after=1, **options)
    for n in range(times):
        assert run(gate, [9.0, 0.0], n * 90 * STEP) == ["raised", "cleared"]
    return gate


def test_each_alarm_asks_more_of_those_to_come() -> None:
    """After four alarms a score has to be higher by what four of them add; without that, it need not be."""
    wary, as_ever = often_alarmed(4, raise_by=0.5), often_alarmed(4, raise_by=0.0)
    later = 400 * STEP

    assert wary.raised_by == pytest.approx(2.0, abs=0.01)
    assert wary.excess(later, 3.9, STEP) < 2.0 <= as_ever.excess(later, 3.9, STEP)
    assert wary.update(later, 3.9, STEP) == ""
    assert as_ever.update(later, 3.9, STEP) == "raised"


def test_what_earlier_alarms_ask_for_is_forgotten() -> None:
    """After as many days as are set it is 1/e, and after ten times as many next to nothing."""
    gate = often_alarmed(1, raise_by=1.0, raise_days=5.0)
    last = STEP
    assert gate.excess(last + 5 * 86_400.0, 3.0, STEP) == pytest.approx(3.0 - math.exp(-1.0), abs=1e-3)

    gate.update(last + 50 * 86_400.0, 0.0, STEP)
    assert gate.raised_by < 0.001


def test_no_metric_goes_deaf() -> None:
    """However many alarms there were, they add no more than so much."""
    gate = often_alarmed(30, raise_by=0.5)

    assert gate.raised_by == pytest.approx(MOST_RAISED, abs=0.01)
    assert gate.update(10_000 * STEP, 2.0 + MOST_RAISED, STEP) == "raised"


@given(st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(0.1, 5000.0), st.booleans()), max_size=80))
def test_raised_and_cleared_take_turns(steps: list[tuple[float, float, bool]]) -> None:
    """Whatever comes, alarms are raised and cleared in turns, and the level stays within bounds."""
    gate, t, said = AlertGate(threshold=2.0), 0.0, []
    for score, since, ready in steps:
        t += since
        was, excess = gate.active, gate.excess(t, score, STEP)
        change = gate.update(t, score, STEP, ready=ready)
        if change:
            said.append(change)
        if not was:
            assert (change == "raised") == (ready and excess >= 2.0)
        assert gate.active == bool(said and said[-1] == "raised")
        assert 0.0 <= gate.level <= HIGHEST_LEVEL
        assert 0.0 <= gate.raised_by <= MOST_RAISED
    assert said == ["raised", "cleared"] * (len(said) // 2) + ["raised"] * (len(said) % 2)


@given(st.lists(st.floats(0.0, 20.0), max_size=30), st.lists(st.floats(0.0, 20.0), max_size=30))
def test_saved_and_loaded_it_goes_on_equally(before: list[float], after: list[float]) -> None:
    """A gate made from its own record says the same from there on."""
    gate = AlertGate(threshold=2.0, clear_after=2)
    run(gate, before)
    other = AlertGate.from_dict(json.loads(json.dumps(gate.to_dict(), allow_nan=False)))

    assert run(other, after, 1e5) == run(gate, after, 1e5)
    assert other.to_dict() == gate.to_dict()


def test_reset_ends_the_alarm() -> None:
    """After reset there is no alarm, no level, and nothing that earlier alarms ask for."""
    gate = AlertGate(threshold=2.0)
    run(gate, [5.0])
    gate.reset()

    assert gate.to_dict() == AlertGate(threshold=2.0).to_dict()


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_per_day": 0.0},
        {"threshold": 0.0},
        {"hold": 0.05},
        {"clear_at": 1.1},
        {"clear_after": 0},
        {"weight": 2.0},
        {"raise_by": -0.1},
        {"raise_days": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Each setting has bounds, and a message that names it."""
    with pytest.raises(ConfigError, match=f"GateConfig.{next(iter(wrong))}"):
        GateConfig(**wrong)


def test_a_record_with_a_bad_setting_is_refused() -> None:
    """A saved gate whose settings are out of range is an error of the record."""
    data = AlertGate().to_dict()
    with pytest.raises(StateError, match="hold"):
        AlertGate.from_dict({**data, "config": {**data["config"], "hold": 0.0}})
