"""The strategies that ship: they load as they are, against all that ships, and the page shows them truly."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import attrs
import pytest
from jsonschema import Draft202012Validator

from selfheal.conditions import Condition, describe, format_duration, metrics_of
from selfheal.errors import NotFoundError
from selfheal.healing.strategies import (
    Level,
    LevelSpec,
    StepSpec,
    StrategySet,
    StrategySpec,
    VerifySpec,
    shipped,
    strategy_schema,
)
from selfheal.policies.protection import Protection
from tests.healing.strategies.making import ACTIONS, all_levers

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "strategies.md").read_text()
FILES = ("six", "events", "levels")
RECORDS: tuple[type, ...] = (StrategySpec, LevelSpec, StepSpec, VerifySpec)


def text_of(name: str) -> str:
    """A shipped file as it is."""
    return (resources.files("selfheal.healing.strategies") / "shipped" / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_shipped_files_load_against_what_ships(name: str) -> None:
    """Nothing is to be said against them by the shipped actions and a host that has all levers."""
    found = shipped(name)

    assert found.check(ACTIONS, all_levers(), Protection()) == ()
    assert found == StrategySet.from_data(json.loads(text_of(name)))
    assert all(spec.enabled and spec.description.endswith(".") for spec in found)


@pytest.mark.parametrize("name", FILES)
def test_shipped_files_keep_the_schema(name: str) -> None:
    """An editor marks nothing in them, and finds the schema by the path they name."""
    data = json.loads(text_of(name))

    assert list(Draft202012Validator(strategy_schema()).iter_errors(data)) == []
    assert data["$schema"] == "../strategies.schema.json"
    assert (resources.files("selfheal.healing.strategies") / "strategies.schema.json").is_file()


def test_the_six_are_the_six() -> None:
    """Six strategies, each with the actions that it is known for, in their order, the stronger in a later level."""
    done = {
        spec.name: [(level.level.value, [step.do for step in level.actions]) for level in spec.levels]
        for spec in shipped()
    }

    assert done == {
        "high-cpu": [("soft", ["rate_limit"]), ("hard", ["restart_service"])],
        "high-memory": [("soft", ["clear_cache"]), ("hard", ["restart_service"])],
        "low-success-rate": [("soft", ["fallback_llm"]), ("hard", ["restart_service", "notify"])],
        "high-latency": [("soft", ["enable_cache"]), ("hard", ["scale_workers"])],
        "queue-stuck": [("soft", ["restart_service", "redistribute_tasks"])],
        "ml-composite-anomaly": [("soft", ["snapshot"])],
    }


def test_grace_and_attempts_are_the_defaults() -> None:
    """What ships acts on a target at most every 300 s, and at most three times an hour."""
    assert {(spec.grace_period, spec.max_attempts_per_hour) for spec in shipped(*FILES)} == {(300.0, 3)}


def test_each_kind_of_event_has_its_strategy() -> None:
    """The eight kinds of alerts that detectors raise are answered by eight strategies, one each."""
    assert [spec.alerts for spec in shipped("events")] == [
        ("cpu_spike",),
        ("memory_leak",),
        ("high_latency",),
        ("task_failure_pattern",),
        ("breaker_opened",),
        ("process_unresponsive",),
        ("anomaly",),
        ("cascade_failure",),
    ]


def test_pressure_goes_through_all_levels() -> None:
    """Soft above 60 percent of memory, hard above 75, critical above 85 or with 90 percent of CPU, people told."""
    (spec,) = shipped("levels")

    assert [level.level for level in spec.levels] == list(Level)
    assert [describe(level.when) for level in spec.levels if level.when is not None] == [
        "memory_percent > 60",
        "memory_percent > 75",
        "cpu_percent > 90 or memory_percent > 85",
    ]
    assert spec.steps[-1].do == "notify"


def test_turns_are_undone_by_themselves() -> None:
    """A rate, a number of workers, suspended work and tighter monitoring do not stay for ever."""
    stay = {"fallback_llm", "prepare_restart"}  # the switch goes back by its own probes; a restart ends the other
    lasting = [
        step.do
        for spec in shipped(*FILES)
        for step in spec.steps
        if ACTIONS.get(step.do).effect == "reversible" and step.undo_after is None
    ]

    assert set(lasting) == stay


def test_where_both_answer_the_one_made_for_the_event_goes_first() -> None:
    """With six and events in one set, an anomaly is answered by the strategy of the events."""
    answering = [spec for spec in shipped("six", "events") if "anomaly" in spec.alerts]

    assert max(answering, key=lambda spec: spec.priority).name == "on-anomaly"
    assert len({spec.priority for spec in answering}) == len(answering) == 2


def test_an_unknown_file_is_told() -> None:
    """Asking for a file that does not ship lists those that do."""
    with pytest.raises(NotFoundError, match="There are: events, levels, six"):
        shipped("seven")


def test_faster_shipped_strategies_are_still_accepted() -> None:
    """A demonstration can run all that ship sixty times faster."""
    fast = shipped(*FILES).faster(60)

    assert fast.check(ACTIONS, all_levers()) == ()
    assert {spec.grace_period for spec in fast} == {5.0}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines).replace("|   |", "| |")


def shown(condition: Condition | None) -> str:
    """A condition in a cell."""
    return "" if condition is None else f"`{describe(condition)}`"


def shipped_table(name: str) -> str:
    """The strategies of a shipped file, with what triggers them and what they do."""
    rows = []
    for spec in shipped(name):
        when = [shown(spec.trigger), *(f"alert `{kind}`" for kind in spec.alerts)]
        rows.append([f"`{spec.name}`", "; ".join(filter(None, when)), "<br>".join(map(level_shown, spec.levels))])
    return table(["strategy", "answers", "level: actions"], rows)


def level_shown(level: LevelSpec) -> str:
    """A level in a cell, with what must hold for it."""
    when = f" ({shown(level.when)})" if level.when else ""
    return f"{level.level}{when}: {', '.join(map(step_shown, level.actions))}"


def step_shown(step: StepSpec) -> str:
    """An action in a cell, with when it is undone."""
    undone = {None: "", 0.0: " (undone at the end)"}
    later = undone.get(step.undo_after, f" (undone after {format_duration(step.undo_after or 0.0)})")
    return f"`{step.do}`{later}"


def fields_table(cls: type) -> str:
    """The settings of a record, with default and meaning, as its class has them."""
    schema = strategy_schema()["$defs"]
    name = {StrategySpec: "strategy", LevelSpec: "level", StepSpec: "action", VerifySpec: "verify"}[cls]
    rows = []
    for field in attrs.fields(cls):
        told = schema[name]["properties"][field.name]
        default = "required" if field.default is attrs.NOTHING else ""
        default = f"`{json.dumps(told['default'])}`" if "default" in told else default
        meaning = told.get("description", "").rstrip(".").replace("``", "`")
        rows.append([f"`{field.name}`", default, meaning])
    return table(["key", "default", "meaning"], rows)


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_what_ships(name: str) -> None:
    """The table of a shipped file on the page is what the file says."""
    assert shipped_table(name) in PAGE


@pytest.mark.parametrize("cls", RECORDS)
def test_the_page_shows_every_setting(cls: type) -> None:
    """The table of each record on the page has all its settings, with default and meaning."""
    assert fields_table(cls) in PAGE


def test_the_page_names_every_metric() -> None:
    """The metrics that shipped strategies look at, which a host has to measure, are listed."""
    conditions = [
        condition
        for spec in shipped(*FILES)
        for condition in (spec.trigger, spec.verify.condition, *(level.when for level in spec.levels))
        if condition is not None
    ]
    used = frozenset().union(*map(metrics_of, conditions))
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## The metrics")[2].partition("\n## ")[0], re.M)

    assert sorted(listed) == sorted(used)
