"""Sets of strategies: by name, in order, joined, faster, and written as they were read."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from selfheal.conditions import Comparison
from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError
from selfheal.healing.strategies import LevelSpec, StepSpec, StrategySet, StrategySpec
from tests.healing.strategies.making import file_of, made, strategy
from tests.healing.strategies.written import SETS


def spec(name: str, **changes: Any) -> StrategySpec:
    """A strategy made in Python."""
    return StrategySpec(name=name, alerts=["x"], levels=[LevelSpec(actions=[StepSpec(do="log")])], **changes)


def test_a_set_is_a_collection_in_the_order_of_the_file() -> None:
    """Strategies come as they were written, are counted and found by name."""
    found = made(strategy(name="b"), strategy(name="a"))

    assert [one.name for one in found] == list(found.names) == ["b", "a"]
    assert (len(found), "a" in found, "c" in found) == (2, True, False)
    assert found.get("a").name == "a"
    assert repr(found) == "StrategySet(b, a)"
    assert repr(made(*(strategy(name=f"s{n}") for n in range(11)))).endswith("s9, ...)")


def test_a_missing_name_is_told_with_the_nearest() -> None:
    """Asking for a strategy that is not there lists those there are."""
    with pytest.raises(NotFoundError) as caught:
        made(strategy(name="high-cpu")).get("hihg-cpu")

    assert (caught.value.kind, caught.value.nearest) == ("strategy", "high-cpu")


def test_python_makes_the_same_records() -> None:
    """A set made of records equals the one read from a file; two of one name, or something else, are refused."""
    assert StrategySet([spec("a")]) == made(strategy())
    assert StrategySet([spec("a")]) != made(strategy(priority=1))
    with pytest.raises(InvalidConfigError, match=r"strategies\[1\].name must be a name of its own"):
        StrategySet([spec("a"), spec("a")])
    with pytest.raises(InvalidConfigError, match=r"strategies\[1\] must be a StrategySpec, got 3"):
        StrategySet([spec("a"), 3])  # type: ignore[list-item]


def test_records_made_in_python_are_as_strict_as_files() -> None:
    """A record that no file could make cannot be made in Python."""
    with pytest.raises(ConfigError, match="answers nothing"):
        StrategySpec(name="a", levels=[LevelSpec(actions=[StepSpec(do="log")])])
    with pytest.raises(ConfigError, match=r"StepSpec\.params\.a must be text, a number"):
        StepSpec(do="log", params={"a": object()})
    with pytest.raises(ConfigError, match=r"LevelSpec\.actions must be a list of 1 to 32 actions"):
        LevelSpec(actions=())
    with pytest.raises(ConfigError, match=r"StepSpec\.do must be text"):
        StepSpec(do=3)  # type: ignore[arg-type]


def test_records_keep_what_they_were_given() -> None:
    """Changing the table or list that a record was made of does not change the record."""
    params, alerts = {"a": 1}, ["x"]
    step = StepSpec(do="log", params=params)
    one = StrategySpec(name="a", alerts=alerts, levels=[LevelSpec(actions=[step])])
    params["b"] = 2
    alerts.append("y")

    assert (step.params, one.alerts) == ({"a": 1}, ("x",))


def test_merged_sets_have_no_name_twice() -> None:
    """Two sets are one; a name in both is told with both files."""
    first = StrategySet.from_data(file_of(strategy(name="a")), source="one.json")
    second = StrategySet.from_data(file_of(strategy(name="b"), strategy(name="a")), source="two.json")
    both = first.merged(StrategySet([spec("c")]))

    assert both.names == ("a", "c")
    assert both.source == "one.json"
    with pytest.raises(InvalidConfigError) as caught:
        first.merged(second)
    assert str(caught.value) == (
        "one.json, two.json: two.json: strategies[1].name must be a name of its own: one.json: strategies[0] has it "
        "too, got 'a'."
    )


def test_or_replaces_what_has_the_same_name() -> None:
    """A host's own strategy takes the place of one that ships."""
    own = StrategySet([spec("b", priority=7), spec("c")])
    both = StrategySet([spec("a"), spec("b")]) | own

    assert both.names == ("a", "b", "c")
    assert both.get("b").priority == 7
    with pytest.raises(TypeError):
        _ = own | {"a": 1}


def test_faster_divides_every_duration_but_timeouts() -> None:
    """For a demonstration everything happens sooner; how long an action may take stays."""
    step = {"do": "rate_limit", "timeout": 10, "undo_after": 600}
    level = {"when": "cpu > 1 for 1m", "settle": 20, "actions": [step]}
    data = {
        "name": "a",
        "trigger": "cpu > 80 for 5m clear 70",
        "keep_firing_for": 60,
        "grace_period": 300,
        "levels": [level],
        "verify": {"condition": "cpu > 75 for 10s", "within": 120},
    }
    fast = made(data).faster(10).get("a")

    assert fast.trigger == Comparison("cpu", ">", 80.0, 30.0, clear=70.0)
    assert (fast.keep_firing_for, fast.grace_period, fast.settle) == (6.0, 30.0, 3.0)
    assert (fast.verify.condition, fast.verify.within) == (Comparison("cpu", ">", 75.0, 1.0), 12.0)
    assert (fast.levels[0].when, fast.levels[0].settle) == (Comparison("cpu", ">", 1.0, 6.0), 2.0)
    assert (fast.steps[0].undo_after, fast.steps[0].timeout) == (60.0, 10.0)
    assert fast.max_attempts_per_hour == 3
    assert made(data).faster(1) == made(data)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), True, "2", 2e9])
def test_faster_by_something_odd_is_refused(factor: Any) -> None:
    """A factor is a number above 0."""
    with pytest.raises(ConfigError, match="factor must be"):
        made(strategy()).faster(factor)


def test_slower_than_accepted_is_refused() -> None:
    """A duration that would get longer than its bound is told."""
    with pytest.raises(ConfigError, match=r"must be between 0.0 and 86400.0 s"):
        made(strategy()).faster(0.001)


def test_defaults_are_left_out_of_what_is_written() -> None:
    """A set is written in the fewest words."""
    assert made(strategy(settle="30s")).to_data() == {
        "version": 1,
        "strategies": [{"name": "a", "alerts": ["x"], "levels": [{"actions": [{"do": "log"}]}]}],
    }


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(SETS)
def test_what_is_written_is_read_again(found: StrategySet) -> None:
    """Any set goes through JSON text and comes back the same, and is written the same again."""
    data = json.loads(json.dumps(found.to_data()))
    again = StrategySet.from_data(data)

    assert again == found
    assert again.to_data() == found.to_data()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=15)
@given(SETS)
def test_faster_changes_nothing_else(found: StrategySet) -> None:
    """Whatever the strategies, only durations change, and none gets longer."""
    for old, new in zip(found, found.faster(4), strict=True):
        assert new.grace_period == old.grace_period / 4
        assert (
            attrs.evolve(
                new,
                trigger=old.trigger,
                keep_firing_for=old.keep_firing_for,
                grace_period=old.grace_period,
                settle=old.settle,
                verify=old.verify,
                levels=old.levels,
            )
            == old
        )
        assert [step.do for step in new.steps] == [step.do for step in old.steps]
