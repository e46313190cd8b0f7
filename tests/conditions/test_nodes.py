"""Tests of the nodes: what they refuse, how large they may grow, and what can be asked of them."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given

from selfheal.conditions import (
    All,
    AnyOf,
    Comparison,
    Condition,
    LabelIn,
    LabelIs,
    Not,
    metrics_of,
    parse,
    scaled,
)
from selfheal.errors import ConfigError
from tests.conditions.forms import conditions

HOT = Comparison("cpu", ">", 80.0, 300.0, clear=70.0)


def test_numbers_become_floats_and_durations_seconds() -> None:
    """An integer is taken as the float it is, and a duration may be text."""
    made = Comparison("cpu", ">", 80, "5m", clear=70)

    assert made == HOT
    assert (type(made.value), type(made.for_), type(made.clear)) == (float, float, float)


WRONG: list[tuple[Any, str]] = [
    (lambda: Comparison("", ">", 1.0), "Comparison.metric"),
    (lambda: Comparison("  ", ">", 1.0), "Comparison.metric"),
    (lambda: Comparison("a\0b", ">", 1.0), "Comparison.metric"),
    (lambda: Comparison("a" * 201, ">", 1.0), "Comparison.metric"),
    (lambda: Comparison(5, ">", 1.0), "Comparison.metric"),  # type: ignore[arg-type]
    (lambda: Comparison("a", "=", 1.0), "Comparison.op"),
    (lambda: Comparison("a", "is", 1.0), "Comparison.op"),
    (lambda: Comparison("a", [">"], 1.0), "Comparison.op"),  # type: ignore[arg-type]
    (lambda: Comparison("a", ">", math.nan), "Comparison.value"),
    (lambda: Comparison("a", ">", math.inf), "Comparison.value"),
    (lambda: Comparison("a", ">", True), "Comparison.value"),
    (lambda: Comparison("a", ">", 10**400), "Comparison.value"),
    (lambda: Comparison("a", ">", "1"), "Comparison.value"),
    (lambda: Comparison("a", ">", 1.0, -1.0), "Comparison.for_"),
    (lambda: Comparison("a", ">", 1.0, 604_801.0), "Comparison.for_"),
    (lambda: Comparison("a", ">", 1.0, True), "Comparison.for_"),
    (lambda: Comparison("a", ">", 1.0, clear=1.1), "Comparison.clear"),
    (lambda: Comparison("a", ">=", 1.0, clear=2.0), "Comparison.clear"),
    (lambda: Comparison("a", "<", 1.0, clear=0.9), "Comparison.clear"),
    (lambda: Comparison("a", "<=", 1.0, clear=0.0), "Comparison.clear"),
    (lambda: Comparison("a", "==", 1.0, clear=1.0), "Comparison.clear"),
    (lambda: Comparison("a", "!=", 1.0, clear=1.0), "Comparison.clear"),
    (lambda: Comparison("a", ">", 1.0, clear=math.nan), "Comparison.clear"),
    (lambda: LabelIs("", "x"), "LabelIs.label"),
    (lambda: LabelIs("zone", "x" * 201), "LabelIs.equals"),
    (lambda: LabelIs("zone", 1), "LabelIs.equals"),  # type: ignore[arg-type]
    (lambda: LabelIn("zone", ()), "LabelIn.values"),
    (lambda: LabelIn("zone", ("a", "a")), "LabelIn.values"),
    (lambda: LabelIn("zone", ("a", 1)), "LabelIn.values"),
    (lambda: LabelIn("zone", tuple(map(str, range(65)))), "LabelIn.values"),
    (lambda: LabelIn("zone", "ab"), "LabelIn.values"),
    (lambda: All(()), "All.conditions"),
    (lambda: AnyOf((HOT, "cpu > 1")), "AnyOf.conditions"),
    (lambda: AnyOf((HOT,) * 65), "AnyOf.conditions"),
    (lambda: Not(None), "Not.condition"),  # type: ignore[arg-type]
    (lambda: All((HOT,) * 64), "All"),
    (lambda: AnyOf((All((HOT,) * 31), All((HOT,) * 31))), "AnyOf"),
]


@pytest.mark.parametrize(("make", "where"), WRONG)
def test_what_a_node_refuses(make: Any, where: str) -> None:
    """Each is refused where it is made, naming class and field."""
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.where == where


def test_a_node_may_be_as_large_as_the_limits_say() -> None:
    """64 nodes and 8 levels are accepted, one more of either is not."""
    assert len(All((HOT,) * 63).conditions) == 63
    deep: Condition = HOT
    for _ in range(7):
        deep = Not(deep)

    with pytest.raises(ConfigError, match=r"^Not must be of at most 8 levels, got 9 levels\.$"):
        Not(deep)
    with pytest.raises(ConfigError, match=r"^All must be of at most 64 nodes, got 65 nodes\.$"):
        All((HOT,) * 64)


def test_there_is_one_zero() -> None:
    """Negative zero is zero, so that what compares equal reads equal."""
    assert repr(Comparison("a", ">", -0.0)) == repr(Comparison("a", ">", 0.0))


def test_metrics_are_named_wherever_they_stand() -> None:
    """All metrics are found, labels are none of them."""
    condition = parse("a > 1 and not (b < 2 or label.c == 'x' or a < 0)")

    assert metrics_of(condition) == {"a", "b"}
    assert metrics_of(LabelIs("zone", "x")) == frozenset()


def test_scaled_multiplies_every_duration_and_nothing_else() -> None:
    """All durations are multiplied; values, labels and shape stay."""
    before = parse("(a > 1 for 10m clear 0.5 or not b < 2 for 30s) and label.c == 'x' and d > 3")
    after = parse("(a > 1 for 1m clear 0.5 or not b < 2 for 3s) and label.c == 'x' and d > 3")

    assert scaled(before, 0.1) == after
    assert scaled(before, 1) == before


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf, True, "2", None])
def test_scaled_refuses_what_is_no_factor(factor: Any) -> None:
    """A factor is a finite number above 0."""
    with pytest.raises(ConfigError, match="factor must be a finite number above 0"):
        scaled(HOT, factor)


def test_scaled_beyond_seven_days_is_refused() -> None:
    """A duration does not grow beyond the limit by being multiplied."""
    with pytest.raises(ConfigError, match=r"Comparison\.for_ must be .* at most 7d"):
        scaled(HOT, 1e6)


@given(conditions())
def test_conditions_are_values(condition: Condition) -> None:
    """Conditions are frozen, hashable, and survive copy and pickle as equals."""
    assert copy.deepcopy(condition) == condition
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert hash(copy.deepcopy(condition)) == hash(condition)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        condition.anything = 1  # type: ignore[union-attr]
