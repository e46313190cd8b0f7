"""Hypothesis strategies for conditions, and a condition evaluated the slow, obvious way."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hypothesis import strategies as st

from selfheal.conditions import All, AnyOf, Comparison, Condition, LabelIn, LabelIs, Not

OPS = (">", ">=", "<", "<=", "==", "!=")

numbers = st.one_of(
    st.integers(-20, 20).map(float), st.floats(allow_nan=False, allow_infinity=False), st.floats(-1.0, 1.0)
)
printable = st.text(st.characters(categories=("L", "N", "P", "S")) | st.sampled_from(" .'\"\\"), max_size=20)
names = st.one_of(
    st.sampled_from(["cpu", "queue.depth", "label", "label.x", "and", "for", "_a", "a..b", "1", "a b", "µ"]),
    printable.filter(str.strip),
)
durations = st.one_of(st.just(0.0), st.integers(0, 604_800).map(float), st.floats(0.0, 604_800.0), st.floats(0.0, 1.0))


@st.composite
def comparisons(draw: st.DrawFn, metrics: st.SearchStrategy[str] = names) -> Comparison:
    """A comparison with any accepted settings."""
    op, value = draw(st.sampled_from(OPS)), draw(numbers)
    clear = None
    if op in (">", ">=") and draw(st.booleans()):
        clear = draw(numbers.filter(lambda number: number <= value))
    elif op in ("<", "<=") and draw(st.booleans()):
        clear = draw(numbers.filter(lambda number: number >= value))
    return Comparison(draw(metrics), op, value, draw(durations), clear=clear)


labels = st.one_of(
    st.builds(LabelIs, names, printable),
    st.builds(LabelIn, names, st.lists(printable, min_size=1, max_size=4, unique=True).map(tuple)),
)


def conditions(leaves: st.SearchStrategy[Condition] | None = None, fewest: int = 1) -> st.SearchStrategy[Condition]:
    """Conditions of up to four levels; ``fewest`` parts in each ``All`` and ``AnyOf``."""
    made: st.SearchStrategy[Condition] = st.one_of(comparisons(), labels) if leaves is None else leaves
    for _ in range(3):
        parts = st.lists(made, min_size=fewest, max_size=3).map(tuple)
        made = st.one_of(made, st.builds(All, parts), st.builds(AnyOf, parts), st.builds(Not, made))
    return made


def expected(condition: Condition, values: Mapping[str, float | None], labels: Mapping[str, str]) -> bool | None:
    """Kleene's logic by its definition: false is 0, unknown is 1/2, true is 1; and is min, or is max, not is 1 - x."""
    return {0.0: False, 0.5: None, 1.0: True}[_degree(condition, values, labels)]


def _degree(condition: Condition, values: Mapping[str, float | None], labels: Mapping[str, str]) -> float:
    if isinstance(condition, Comparison):
        value = values.get(condition.metric)
        if value is None or math.isnan(value) or math.isinf(value):
            return 0.5
        limit = condition.value
        return float(
            {
                ">": value > limit,
                ">=": value >= limit,
                "<": value < limit,
                "<=": value <= limit,
                "==": value == limit,
                "!=": value != limit,
            }[condition.op]
        )
    if isinstance(condition, LabelIs | LabelIn):
        accepted = (condition.equals,) if isinstance(condition, LabelIs) else condition.values
        return 0.5 if condition.label not in labels else float(labels[condition.label] in accepted)
    if isinstance(condition, Not):
        return 1.0 - _degree(condition.condition, values, labels)
    degrees = [_degree(part, values, labels) for part in condition.conditions]
    return min(degrees) if isinstance(condition, All) else max(degrees)
