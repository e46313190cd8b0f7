"""The JSON Schema: that of the shipped file, and in agreement with what is loaded."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from selfheal.errors import InvalidConfigError
from selfheal.healing.strategies import StrategySet, schema_text, strategy_schema
from tests.healing.strategies.making import ACTIONS, file_of, strategy
from tests.healing.strategies.written import SETS

VALIDATOR = Draft202012Validator(strategy_schema())


def test_the_shipped_schema_is_the_generated_one() -> None:
    """The file is what the classes give. After a change of theirs write ``schema_text()`` to it."""
    file = resources.files("selfheal.healing.strategies") / "strategies.schema.json"

    assert file.read_text(encoding="utf-8") == schema_text()


def test_it_is_a_schema() -> None:
    """The schema keeps the rules of its own dialect."""
    Draft202012Validator.check_schema(strategy_schema())


def test_every_setting_is_explained() -> None:
    """An editor can say of each key of each table what it means."""
    definitions = strategy_schema()["$defs"]
    mute = [
        f"{name}.{key}"
        for name, schema in definitions.items()
        for key, inner in schema.get("properties", {}).items()
        if "description" not in inner and "$ref" not in inner
    ]

    assert len(definitions) > 25
    assert mute == []
    assert definitions["strategy"]["properties"]["grace_period"]["default"] == 300.0


BAD: list[dict[str, Any]] = [
    {},
    {"version": 2, "strategies": []},
    file_of(extra=1),
    file_of({"name": "a", "actions": ["log"]}),
    file_of({"name": "a", "alerts": ["x"]}),
    file_of(strategy(levels=[])),
    file_of(strategy(lvel="soft")),
    file_of(strategy(level="sft")),
    file_of(strategy(actions=[])),
    file_of(strategy(actions=["log"] * 33)),
    file_of(strategy(actions=[{"do": "log", "params": {"x": 1}}])),
    file_of(strategy(actions=[{"do": "log", "levers": {"cache": "c"}}])),
    file_of(strategy(actions=[{"do": "rate_limit", "params": {"factor": 2}}])),
    file_of(strategy(actions=[{"do": "rate_limit", "levers": {"cache": "c"}}])),
    file_of(strategy(actions=[{"do": "log", "timeout": 0}])),
    file_of(strategy(grace_period=-1)),
    file_of(strategy(grace_period="5 minutes")),
    file_of(strategy(grace_period="")),
    file_of(strategy(priority="1")),
    file_of(strategy(verify={"by": "luck"})),
    file_of(strategy(trigger={"metric": "m", "op": "=", "value": 1})),
    file_of(strategy(trigger={"metric": "m", "op": ">", "value": 1, "fro": 1})),
    file_of(strategy(trigger={"all": []})),
    file_of(strategy(trigger={"label": "z"})),
    file_of(strategy(trigger={"label": "z", "in": []})),
]


@pytest.mark.parametrize("data", BAD)
def test_what_is_refused_is_marked_by_the_editor(data: dict[str, Any]) -> None:
    """What loading refuses for its form, the schema does not accept either."""
    with pytest.raises(InvalidConfigError):
        StrategySet.from_data(data, actions=ACTIONS)
    assert not VALIDATOR.is_valid(data)


GOOD: list[dict[str, Any]] = [
    file_of(),
    file_of(**{"$schema": "x"}),
    file_of(strategy()),
    file_of(strategy(level="hard", trigger="a > 1", grace_period="1h30m", settle=0.5)),
    file_of(strategy(trigger={"any": [{"metric": "m", "op": "<", "value": 1, "for": "5m", "clear": 2}, "b > 1"]})),
    file_of(strategy(trigger={"not": {"label": "z", "in": ["a"]}}, actions=[{"do": "log", "params": {}}, "log"])),
    file_of(strategy(trigger=None, verify={"by": None, "condition": {"label": "z", "equals": "a"}})),
]


@pytest.mark.parametrize("data", GOOD)
def test_what_is_loaded_is_accepted(data: dict[str, Any]) -> None:
    """What loads is not marked wrong in an editor."""
    assert len(StrategySet.from_data(data, actions=ACTIONS)) == len(data["strategies"])
    assert list(VALIDATOR.iter_errors(data)) == []


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=15)
@given(SETS)
def test_whatever_is_written_keeps_the_schema(found: StrategySet) -> None:
    """Any set, written as data, is valid; its actions are those of some host."""
    data = json.loads(json.dumps(found.to_data()))

    assert list(VALIDATOR.iter_errors(data)) == []


def test_a_host_gets_a_schema_of_its_own_actions() -> None:
    """Actions of the host are completed, with the bounds of their parameters."""
    actions = ACTIONS.copy()

    @actions.action("flush_mail", params=ACTIONS.get("rate_limit").params)
    def flush_mail(call: Any) -> None:
        """Empty the mail queue."""

    schema = strategy_schema(actions)
    step = {"do": "flush_mail", "params": {"factor": 5}}

    assert "params.flush_mail" in schema["$defs"]
    assert not Draft202012Validator(schema).is_valid(file_of(strategy(actions=[step])))
    assert VALIDATOR.is_valid(file_of(strategy(actions=[step])))
