"""Tests of conditions as plain data: the way there and back, and all that is wrong told at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from selfheal.conditions import All, AnyOf, Comparison, Condition, LabelIn, LabelIs, Not, condition_from, to_data
from selfheal.errors import InvalidConfigError
from tests.conditions.forms import conditions


@given(conditions())
def test_data_and_condition_are_the_same_thing(condition: Condition) -> None:
    """What to_data() gives is JSON, and condition_from() makes the same condition of it."""
    data = to_data(condition)

    assert condition_from(json.loads(json.dumps(data))) == condition
    assert to_data(condition_from(data)) == data


def test_every_form_is_read() -> None:
    """Each table with its keys, lists and tuples, durations as text, and text in place of a table."""
    data = {
        "all": [
            {"metric": "cpu", "op": ">", "value": 80, "for": "5m", "clear": 70},
            {"any": ({"label": "zone", "equals": "x"}, {"label": "zone", "in": ["a", "b"]})},
            {"not": "mem <= 5"},
        ]
    }

    assert condition_from(data) == All(
        (
            Comparison("cpu", ">", 80.0, 300.0, clear=70.0),
            AnyOf((LabelIs("zone", "x"), LabelIn("zone", ("a", "b")))),
            Not(Comparison("mem", "<=", 5.0)),
        )
    )


def test_what_is_left_out_is_left_out_again() -> None:
    """Settings at their defaults do not appear in the data."""
    assert to_data(Comparison("a", ">", 1.0)) == {"metric": "a", "op": ">", "value": 1.0}


def test_a_condition_is_its_own_data() -> None:
    """A condition that is made already is taken as it is, also within a table."""
    made = Comparison("a", ">", 1.0)

    assert condition_from(made) is made
    assert condition_from({"not": made}) == Not(made)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Each problem has its path, what was found, what is accepted and the nearest key."""
    data = {
        "all": [
            {"metric": "", "op": "=>", "value": True, "fro": 3},
            {"metric": "a", "op": ">", "value": 1, "clear": 2, "for": "5"},
            {"label": "x"},
            {"label": "x", "equals": 5},
            "a > ",
            {"not": 5},
            {"metric": "a", "not": "b > 1"},
            {"metric": "a"},
        ],
        "colour": 1,
    }
    with pytest.raises(InvalidConfigError) as caught:
        condition_from(data, "strategies[0].condition", source="heal.json")

    told = {problem.where.removeprefix("strategies[0].condition"): str(problem) for problem in caught.value.problems}
    assert list(told) == [
        ".colour",
        ".all[0].fro",
        ".all[0].metric",
        ".all[0].op",
        ".all[0].value",
        ".all[1].for",
        ".all[1].clear",
        ".all[2]",
        ".all[3].equals",
        ".all[4]",
        ".all[5].not",
        ".all[6]",
        ".all[7].op",
        ".all[7].value",
    ]
    assert "did you mean 'for'?" in told[".all[0].fro"]
    assert told[".all[0].value"].endswith("must be a finite number, got True.")
    assert told[".all[1].clear"].endswith("must be at most the value (1), got 2.0.")
    assert told[".all[7].op"].endswith("must be one of >, >=, <, <=, ==, !=, got nothing.")
    assert str(caught.value).startswith("heal.json: 14 settings are not accepted:")


@pytest.mark.parametrize("levels", [8, 9])
def test_levels_are_counted_through_tables_text_and_conditions(levels: int) -> None:
    """Eight levels are accepted however they are written, nine are not."""
    inner: Condition = Comparison("a", ">", 1.0)
    for _ in range(3):
        inner = Not(inner)
    for start in ("not not not a > 1", inner, to_data(inner)):
        data: Any = start
        for _ in range(levels - 4):
            data = {"not": data}
        if levels == 8:
            assert condition_from(data) == condition_from({"not": {"not": {"not": {"not": inner}}}})
        else:
            with pytest.raises(InvalidConfigError, match="at most 8 levels"):
                condition_from(data)


@pytest.mark.parametrize("leaf", ["a > 1", {"metric": "a", "op": ">", "value": 1}, Comparison("a", ">", 1.0)])
def test_nodes_are_counted_over_the_whole(leaf: Any) -> None:
    """64 nodes are accepted however they are spread and written, 65 are not."""
    assert condition_from({"all": [{"any": [leaf] * 30}, {"any": [leaf] * 31}]}) is not None

    with pytest.raises(InvalidConfigError, match="part of a condition of at most 64 nodes, got more"):
        condition_from({"all": [{"any": [leaf] * 31}, {"any": [leaf] * 31}]})


def test_problems_are_not_told_without_end() -> None:
    """The first twenty problems are told, not sixty."""
    with pytest.raises(InvalidConfigError) as caught:
        condition_from({"all": [{"metric": ""}] * 60})

    assert len(caught.value.problems) == 20
