"""Tests of compiled conditions against Kleene's logic by its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.conditions import Comparison, Condition, LabelIn, LabelIs, compile_condition, parse
from tests.conditions.forms import OPS, conditions, expected

METRICS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from([-1.0, 0.0, 1.0, math.nan, math.inf, -math.inf, None])
LEAVES = st.one_of(
    st.builds(Comparison, METRICS, st.sampled_from(OPS), st.sampled_from([-1.0, 0.0, 1.0])),
    st.builds(LabelIs, st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
    st.builds(LabelIn, st.sampled_from(["x", "y"]), st.sampled_from([("1",), ("1", "2"), ("3",)])),
)


@given(
    conditions(LEAVES),
    st.dictionaries(METRICS, VALUES),
    st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
)
def test_compiled_answers_as_the_logic_says(
    condition: Condition, values: dict[str, float | None], labels: dict[str, str]
) -> None:
    """For any condition, values and labels, missing and not finite ones too, the answer is Kleene's."""
    assert compile_condition(condition)(values.get, labels) is expected(condition, values, labels)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("known > 0 or missing > 0", True),
        ("known < 0 or missing > 0", None),
        ("known < 0 and missing > 0", False),
        ("known > 0 and missing > 0", None),
        ("not missing > 0", None),
        ("label.zone == 'x'", None),
        ("not label.zone in ('x', 'y')", None),
        ("nan == 0", None),
        ("nan != 0", None),
        ("inf > 0", None),
    ],
)
def test_what_is_unknown_stays_so(text: str, answer: bool | None) -> None:
    """Missing metrics, missing labels, NaN and infinities are unknown, and decide only where nothing else could."""
    values = {"known": 1.0, "nan": math.nan, "inf": math.inf}

    assert compile_condition(parse(text))(values.get, {}) is answer


def test_integers_are_values_too() -> None:
    """A host may hand over integers."""
    assert compile_condition(parse("a == 5"))({"a": 5}.get, {}) is True
