"""The set of days, beside a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from selfheal.tasks.days import Days


@given(st.lists(st.integers(1, 40)), st.integers(1, 40), st.integers(1, 40))
def test_days_answer_as_a_set_of_them_would(added: list[int], low: int, high: int) -> None:
    """In any order of adding, ranges tell what single days tell."""
    days, plain = Days(), set(added)
    for day in added:
        days.add(day)

    assert [day for day in range(-2, 50) if day in days] == sorted(plain)
    assert days.free_from(low) == next(day for day in range(low, 50) if day not in plain)
    assert days.free_until(low) == next(day for day in range(low, -3, -1) if day not in plain)
    assert days.count(low, high) == sum(low <= day <= high for day in plain)


@given(st.permutations(range(1, 30)))
def test_days_in_a_row_are_one_range(order: list[int]) -> None:
    """What is kept does not grow with the days, in whatever order they came."""
    days = Days()
    for day in order:
        days.add(day)

    assert (days._firsts, days._lasts) == ([1], [29])
