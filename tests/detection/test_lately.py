"""How large deviations were lately."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.lately import Lately
from selfheal.errors import StateError


def fed(deviations: list[float], step: float = 60.0, count: int = 6, lasting: float = 1200.0) -> Lately:
    lately = Lately(count, lasting)
    for n, deviation in enumerate(deviations):
        lately.take(n * step, deviation)
    return lately


def test_without_a_past_it_is_the_deviation() -> None:
    """The first one is what was lately."""
    assert fed([]).with_one(0.0, 3.0) == 3.0


def test_the_mean_of_the_latest_few() -> None:
    """Where nothing lasts, six count alike, with the one that is asked about, and older ones not at all."""
    assert fed([9.0, 1.0, 2.0, 3.0, 4.0, 5.0], lasting=0.0).with_one(360.0, 6.0) == pytest.approx(3.5)


def test_what_lasted_stands_out_when_it_pauses() -> None:
    """An hour of tens is not over after six minutes of nothing, but is after some hours."""
    lately = fed([10.0] * 60 + [0.0] * 6)

    assert lately.with_one(66 * 60.0, 0.0) > 6.0
    assert lately.with_one(5 * 3600.0, 0.0) == pytest.approx(0.0, abs=0.01)
    assert fed([10.0] * 60 + [0.0] * 6, lasting=0.0).with_one(66 * 60.0, 0.0) == 0.0


def test_what_is_short_counts_at_once() -> None:
    """The longer mean never hides what the latest few say."""
    assert fed([0.0] * 100 + [10.0] * 5).with_one(105 * 60.0, 10.0) == 10.0


def test_the_longer_mean_fades_by_time() -> None:
    """In samples of every minute and of every five an hour is as long; the weights are those of the formula."""
    fade = math.exp(-300.0 / 1200.0)
    slow = fed([8.0, 0.0], step=300.0, count=1)

    assert slow.with_one(600.0, 0.0) == pytest.approx(8.0 * fade**2 / (1.0 + fade + fade**2))
    quick = fed([10.0] * 60 + [0.0] * 60, count=1).with_one(7200.0, 0.0)
    assert fed([10.0] * 12 + [0.0] * 12, step=300.0, count=1).with_one(7200.0, 0.0) == pytest.approx(quick, rel=0.2)


def test_asking_changes_nothing() -> None:
    """Two questions have one answer, and one about the past fades nothing."""
    lately = fed([1.0, 2.0, 3.0])
    before = lately.to_dict()

    assert lately.with_one(200.0, 9.0) == lately.with_one(200.0, 9.0)
    assert lately.with_one(-1e6, 3.0) >= 2.0
    assert lately.to_dict() == before


def test_after_clear_nothing_was() -> None:
    """It begins anew."""
    lately = fed([5.0] * 9)
    lately.clear()

    assert lately.to_dict() == Lately(6, 1200.0).to_dict()


@given(st.lists(st.floats(0.0, 1e4), max_size=40), st.floats(0.0, 1e4), st.floats(1e-3, 1e6))
def test_it_stays_between_the_least_and_the_largest(past: list[float], deviation: float, step: float) -> None:
    """Both means are means, at any step; a copy and what is read from text say the same."""
    lately = fed(past, step)
    said = lately.with_one(len(past) * step, deviation)
    back = Lately(6, 1200.0)
    back.load(json.loads(json.dumps(lately.to_dict())))

    assert min([*past, deviation]) - 1e-9 <= said <= max([*past, deviation]) * (1 + 1e-9) + 1e-9
    assert lately.copy().with_one(len(past) * step, deviation) == said
    assert back.to_dict() == lately.to_dict()


def test_a_copy_is_its_own() -> None:
    """What the copy takes is not kept by the other."""
    lately = fed([1.0, 2.0])
    lately.copy().take(500.0, 9.0)

    assert lately.to_dict() == fed([1.0, 2.0]).to_dict()


@pytest.mark.parametrize(
    "change", [{"kind": "x"}, {"latest": [-1.0]}, {"sum": -1.0}, {"weight": "1"}, {"at": None}, {"at": "now"}]
)
def test_a_damaged_record_is_refused(change: dict[str, Any]) -> None:
    """What does not fit raises, and leaves it as it was."""
    lately = fed([4.0])
    with pytest.raises(StateError):
        lately.load({**fed([1.0, 2.0]).to_dict(), **change})

    assert lately.to_dict() == fed([4.0]).to_dict()
