"""Any strategy there can be, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from selfheal.conditions import All, AnyOf, Comparison, LabelIn, LabelIs, Not
from selfheal.events import Severity
from selfheal.healing.strategies import (
    Level,
    LevelSpec,
    OnFailure,
    StepSpec,
    StrategySet,
    StrategySpec,
    VerifyBy,
    VerifySpec,
)

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "S"]), min_size=1, max_size=12)
TEXTS = st.dictionaries(NAMES, NAMES, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def seconds(most: float, least: float = 0.0) -> st.SearchStrategy[float]:
    """Durations as a file can hold them: microseconds."""
    return st.integers(int(least * 1000), int(most * 1000)).map(lambda n: n / 1000)


COMPARISONS = st.builds(
    Comparison, NAMES, st.sampled_from([">", "<="]), st.integers(-100, 100).map(float), seconds(600.0)
)
MANY = st.lists(NAMES, min_size=1, max_size=3, unique=True)
CONDITIONS = st.recursive(
    COMPARISONS | st.builds(LabelIs, NAMES, NAMES) | st.builds(LabelIn, NAMES, MANY),
    lambda inner: (
        st.builds(All, st.lists(inner, min_size=1, max_size=3))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3))
        | st.builds(Not, inner)
    ),
    max_leaves=4,
)
STEPS = st.builds(
    StepSpec,
    do=NAMES,
    target=NAMES | st.just(""),
    levers=TEXTS,
    params=st.dictionaries(NAMES, JSON, max_size=3),
    timeout=st.none() | seconds(3600.0, 0.001),
    on_failure=st.sampled_from(OnFailure),
    undo_after=st.none() | seconds(86_400.0),
)
LEVEL_NAMES = st.sets(st.sampled_from(Level), min_size=1).map(lambda found: [one for one in Level if one in found])


def _level(level: Level) -> st.SearchStrategy[LevelSpec]:
    return st.builds(
        LevelSpec,
        level=st.just(level),
        when=st.none() | CONDITIONS,
        actions=st.lists(STEPS, min_size=1, max_size=3),
        settle=st.none() | seconds(3600.0),
        approval=st.none() | st.booleans(),
    )


def _levels(names: list[Level]) -> Any:
    return st.tuples(*map(_level, names))


def _spec(trigger: Any) -> st.SearchStrategy[StrategySpec]:
    by = st.sampled_from([None, *VerifyBy])
    return st.builds(
        StrategySpec,
        name=NAMES,
        description=st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=20),
        trigger=st.just(trigger),
        alerts=st.lists(NAMES, min_size=1, max_size=3, unique=True),
        labels=TEXTS,
        targets=st.lists(NAMES, max_size=3, unique=True),
        severity=st.sampled_from(Severity),
        keep_firing_for=seconds(86_400.0),
        priority=st.integers(-1000, 1000),
        grace_period=seconds(86_400.0),
        max_attempts_per_hour=st.integers(1, 1000),
        levels=LEVEL_NAMES.flatmap(_levels),
        settle=seconds(3600.0),
        verify=st.builds(
            VerifySpec,
            by=by if trigger is not None else by.filter(lambda one: one is not VerifyBy.CONDITION),
            condition=st.none() | CONDITIONS,
            samples=st.integers(1, 64),
            within=seconds(86_400.0),
            tolerance=st.floats(0.0, 10.0),
        ),
        rollback=st.booleans(),
        enabled=st.booleans(),
    )


SPECS = (st.none() | CONDITIONS).flatmap(_spec)
SETS = st.lists(SPECS, max_size=3, unique_by=lambda spec: spec.name).map(StrategySet)
