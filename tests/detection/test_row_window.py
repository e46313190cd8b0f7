"""The ring of rows against a plain list."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.arrays import pack
from selfheal.detection.row_window import RowWindow
from selfheal.errors import StateError


@given(st.lists(st.floats(0.5, 20.0), max_size=60))
def test_it_keeps_what_a_plain_list_keeps(steps: list[float]) -> None:
    """Rows no older than the window, the latest of them, oldest first, no two closer than evenly spread on average."""
    window, t, kept, due = RowWindow(50.0, 10, 1), 0.0, [], -np.inf
    for step in steps:
        t += step
        window.add(t, np.array([t]))
        if t >= due:
            kept.append(t)
            due = due + 5.0 if t < due + 5.0 else t + 5.0
    expected = [at for at in kept[-10:] if at > t - 50.0]

    assert window.rows(t).ravel().tolist() == expected
    assert window.count(t) == len(expected)


def test_half_weight_keeps_every_second_row() -> None:
    """Weights add up until they make a whole row."""
    window = RowWindow(1000.0, 100, 1)
    for n in range(20):
        window.add(100.0 * n, np.array([float(n)]), 0.5)

    assert window.rows(1000.0).ravel().tolist() == [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0]


def test_samples_a_little_faster_than_room_keep_nearly_all() -> None:
    """Five-minute samples of a week, 2,016 of them, fill a room of 2,000 rather than half of it."""
    window = RowWindow(604_800.0, 2_000, 1)
    for n in range(4_032):
        window.add(300.0 * n, np.array([0.0]))

    assert window.count(300.0 * 4_031) >= 1_990


@given(st.integers(0, 40))
def test_it_goes_on_from_text(count: int) -> None:
    """Saved and read it keeps, and goes on keeping, the same rows."""
    window, back = RowWindow(50.0, 10, 2), RowWindow(50.0, 10, 2)
    for n in range(count):
        window.add(3.0 * n, np.array([float(n), -float(n)]), 0.75)
    back.load(json.loads(json.dumps(window.to_dict())))
    for n in range(count, count + 5):
        for each in (window, back):
            each.add(3.0 * n, np.array([float(n), 0.0]), 0.75)

    assert back.rows(3.0 * count).tolist() == window.rows(3.0 * count).tolist()
    assert back.to_dict() == window.to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"times": pack(np.array([2.0, 1.0]))},
        {"times": pack(np.array([1.0, np.nan]))},
        {"times": pack(np.array([1.0]))},
        {"rows": pack(np.zeros((2, 3)))},
        {"rows": pack(np.full((2, 2), np.inf))},
        {"credit": 2.0},
        {"version": 2},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    """What does not fit is told."""
    window = RowWindow(50.0, 10, 2)
    window.add(1.0, np.zeros(2))
    window.add(10.0, np.zeros(2))
    with pytest.raises(StateError):
        RowWindow(50.0, 10, 2).load({**window.to_dict(), **change})
