"""Plain data into strategies: short forms, and everything that is wrong told in the words of the file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selfheal.conditions import Comparison
from selfheal.errors import InvalidConfigError
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
from tests.healing.strategies.making import file_of, made, strategy, told


def test_a_whole_strategy_is_read() -> None:
    """Every key that a file may have arrives in the record, durations as seconds."""
    data = {
        "name": "busy",
        "description": "line one\nline two",
        "trigger": "cpu_percent > 80 for 5m clear 70",
        "alerts": ["cpu_spike"],
        "labels": {"zone": "eu", "empty": ""},
        "targets": ["web-*"],
        "severity": "critical",
        "keep_firing_for": "1m",
        "priority": 5,
        "grace_period": "1h30m",
        "max_attempts_per_hour": 2,
        "levels": [
            {
                "level": "soft",
                "when": {"metric": "cpu_percent", "op": ">", "value": 85},
                "settle": 5,
                "approval": True,
                "actions": [
                    {
                        "do": "rate_limit",
                        "target": "door",
                        "levers": {"rate_limiter": "door"},
                        "params": {"factor": 0.5},
                        "timeout": "500ms",
                        "on_failure": "abort",
                        "undo_after": "10m",
                    },
                    "log",
                ],
            },
            {"level": "critical", "actions": ["notify"]},
        ],
        "settle": "10s",
        "verify": {"by": "condition", "condition": "cpu_percent > 75", "samples": 2, "within": "1m", "tolerance": 0.1},
        "rollback": False,
        "enabled": False,
    }

    (spec,) = made(data)

    step = StepSpec(
        do="rate_limit",
        target="door",
        levers={"rate_limiter": "door"},
        params={"factor": 0.5},
        timeout=0.5,
        on_failure=OnFailure.ABORT,
        undo_after=600.0,
    )
    soft = LevelSpec(
        when=Comparison("cpu_percent", ">", 85.0), settle=5.0, approval=True, actions=(step, StepSpec(do="log"))
    )
    assert spec == StrategySpec(
        name="busy",
        description="line one\nline two",
        trigger=Comparison("cpu_percent", ">", 80.0, 300.0, clear=70.0),
        alerts=("cpu_spike",),
        labels={"zone": "eu", "empty": ""},
        targets=("web-*",),
        severity=Severity.CRITICAL,
        keep_firing_for=60.0,
        priority=5,
        grace_period=5400.0,
        max_attempts_per_hour=2,
        levels=(soft, LevelSpec(level=Level.CRITICAL, actions=(StepSpec(do="notify"),))),
        settle=10.0,
        verify=VerifySpec(
            by=VerifyBy.CONDITION,
            condition=Comparison("cpu_percent", ">", 75.0),
            samples=2,
            within=60.0,
            tolerance=0.1,
        ),
        rollback=False,
        enabled=False,
    )


def test_actions_alone_are_one_level() -> None:
    """A strategy with actions has one soft level with them, or the level that it names."""
    short, hard = made(strategy(), strategy(name="b", level="hard"))

    assert short.levels == (LevelSpec(level=Level.SOFT, actions=(StepSpec(do="log"),)),)
    assert [level.level for level in hard.levels] == [Level.HARD]


def test_the_defaults_are_those_of_the_page() -> None:
    """A strategy that says nothing else waits 300 s on a target, acts at most 3 times an hour, and undoes."""
    (spec,) = made(strategy())

    assert (spec.grace_period, spec.max_attempts_per_hour, spec.settle, spec.rollback) == (300.0, 3, 30.0, True)
    assert spec.enabled
    assert spec.verify == VerifySpec(by=None, condition=None, samples=3, within=120.0, tolerance=0.05)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Each problem of each strategy has its path as the author wrote it, what was found, and what is accepted."""
    data = file_of(
        {"name": "", "trigger": "cpu >> 80", "grace_period": "5x", "lvel": "soft"},
        strategy(name="b", actions=["log", {"do": "log", "timeout": 0, "parms": {}}], priority=1001, enabled="yes"),
        strategy(name="b", severity="criticl", alerts="x", trigger={"all": [{"metric": "m", "op": ">"}]}),
        {"name": "d", "alerts": ["x"], "levels": [{"level": "hrad", "actions": [7]}], "actions": ["log"]},
        "text",
        versoin=1,
    )

    assert told(data) == [
        "versoin must be one of '$schema', 'strategies', 'version'; the nearest is 'version', got 'versoin'.",
        "strategies[0].lvel must be a key of a strategy: one of 'actions', 'alerts', 'description', 'enabled', "
        "'grace_period', 'keep_firing_for', 'labels', 'level', 'levels', 'max_attempts_per_hour', 'name', 'priority', "
        "'rollback', 'settle', 'severity', 'targets', 'trigger', 'verify'; the nearest is 'level', got 'lvel'.",
        "strategies[0].name must be text of at least one character, of at most 200 printable characters, got ''.",
        "strategies[0].trigger must be a condition with a number at character 6, got '> 80'.",
        "strategies[0].grace_period must be a number of seconds or text such as '30s', '5m', '1h30m', at most 7d, "
        "got '5x'.",
        "strategies[0].actions must be given: a list of actions; or levels, each with its own, got NOTHING.",
        "strategies[1].priority must be an integer between -1000 and 1000, got 1001. The default is 0.",
        "strategies[1].actions[1].timeout must be between 0.001 and 3600.0 s or None, got 0.0. The default is None.",
        "strategies[1].actions[1].parms must be a known key (do, levers, on_failure, params, target, timeout, "
        "undo_after; did you mean 'params'?), got 'parms'.",
        "strategies[1].enabled must be true or false, got 'yes'.",
        "strategies[2].trigger.all[0].value must be a finite number, got nothing.",
        "strategies[2].alerts must be a list, got 'x'.",
        "strategies[2].severity must be one of 'info', 'warning', 'critical'; the nearest is 'critical', "
        "got 'criticl'.",
        "strategies[2].name must be a name of its own: strategies[1] has it too, got 'b'.",
        "strategies[3].actions must be left out where there are levels: each has its own actions, got a list of 1 "
        "items.",
        "strategies[3].levels[0].level must be one of 'soft', 'hard', 'critical'; the nearest is 'hard', got 'hrad'.",
        "strategies[3].levels[0].actions[0] must be a table with text keys, got 7.",
        "strategies[4] must be a table with the settings of a strategy, got 'text'.",
    ]


ODD: list[tuple[Any, str]] = [
    (None, "settings must be a table with a list of strategies, got None."),
    ([], "settings must be a table with a list of strategies, got []."),
    ({}, "version must be 1, the one there is, got NOTHING."),
    ({"version": True, "strategies": []}, "version must be 1, the one there is, got True."),
    ({"version": 1.0, "strategies": []}, "version must be 1, the one there is, got 1.0."),
    ({"version": 10**5000, "strategies": []}, "version must be 1, the one there is, got a large integer."),
    ({"version": 1}, "strategies must be a list of strategies, got NOTHING."),
    ({"version": 1, "strategies": {"a": {}}}, "strategies must be a list of strategies, got a table of 1 keys."),
    (file_of(**{"$schema": 1}), "$schema must be text, got 1."),
    (
        file_of(*range(501)),
        "strategies must be a list of at most 500 strategies in one file; a directory of files may hold more, got 501.",
    ),
    (file_of({}), "strategies[0].name must be given, got NOTHING."),
    (file_of(strategy(level=1)), "strategies[0].level must be one of 'soft', 'hard', 'critical', got 1."),
    (file_of(strategy(actions=[])), "strategies[0].actions must be a list of 1 to 32 actions, got '0 actions'."),
    (file_of(strategy(actions="log")), "strategies[0].actions must be a list, got 'log'."),
    (
        file_of(strategy(actions=["log"] * 100)),
        "strategies[0].actions must be a list of 1 to 32 actions, got '33 actions'.",
    ),
    (
        file_of(strategy(actions=["log", ""])),
        "strategies[0].actions[1] must be text of at least one character, of at most 200 printable characters, got ''.",
    ),
    (
        file_of({"name": "a", "actions": ["log"]}),
        "strategies[0].trigger must be given, or alerts: otherwise it answers nothing, got None.",
    ),
    (
        file_of(strategy(verify={"by": "condition"})),
        "strategies[0].verify.by must be 'alert' or 'actions' where there is neither a trigger nor a "
        "verify.condition, got 'condition'.",
    ),
    (file_of(strategy(labels={"zone": 1})), "strategies[0].labels.zone must be text, got 1."),
    (file_of(strategy(labels={"zone": "a\n"})), "strategies[0].labels must be a table of texts of at most 200 "),
    (file_of(strategy(targets=["a", "a"])), "strategies[0].targets must be a list of different names, with * for "),
    (file_of(strategy(targets=[" a"])), "strategies[0].targets[0] must be 1 to 200 printable characters without "),
    (file_of(strategy(name="a" * 201)), "strategies[0].name must be text of at least one character, of at most 200 "),
    (file_of(strategy(priority=1.0)), "strategies[0].priority must be an integer, got 1.0."),
    (file_of(strategy(grace_period=True)), "strategies[0].grace_period must be a number of seconds or text such as"),
    (file_of(strategy(grace_period="2d")), "strategies[0].grace_period must be between 0.0 and 86400.0 s, got 172800"),
]


@pytest.mark.parametrize(("data", "first"), ODD)
def test_one_thing_wrong_is_told_where_it_stands(data: Any, first: str) -> None:
    """What is of another kind, missing, empty, or too much is refused at its path; nothing is coerced."""
    assert told(data)[0].startswith(first)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["hard", "soft"], "each at most once, in the order soft, hard, critical, got 'hard, soft'"),
        (["soft", "soft"], "each at most once, in the order soft, hard, critical, got 'soft, soft'"),
        (["soft", "hard", "critical", "soft"], "a list of at most soft, hard and critical, got 4 levels"),
        ([], "a list of at least one level, got '0 levels'"),
    ],
)
def test_levels_come_in_order_and_once(levels: list[str], message: str) -> None:
    """Levels out of order, doubled, too many or none are refused."""
    data = {"name": "a", "alerts": ["x"], "levels": [{"level": level, "actions": ["log"]} for level in levels]}

    assert f"strategies[0].levels must be {message}." in told(file_of(data))


def test_a_strategy_has_at_most_32_actions_over_all_levels() -> None:
    """Each level within its bound is not enough."""
    levels: list[dict[str, Any]] = [{"level": level, "actions": ["log"] * 16} for level in ("soft", "hard")]
    data = {"name": "a", "alerts": ["x"], "levels": levels}

    assert len(made(data).get("a").steps) == 32
    levels[1]["actions"].append("log")
    assert told(file_of(data)) == ["strategies[0].levels must be of at most 32 actions together, got '33 actions'."]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "strategies[0].params must be a finite number, got nan."),
        ("\ud800", "strategies[0].params must be text without half characters (lone surrogates), got "),
        ([10**5000], "strategies[0].params[0] must be a number of at most 64 bits, got an integer of 16610 bits."),
        ("x" * 10_001, "strategies[0].params must be at most 10000 characters long, got 10001 characters."),
        (list(range(1001)), "strategies[0].params must be a list of at most 1000 items, got 1001 items."),
        ({str(n): 1 for n in range(101)}, "strategies[0].params must be a table of at most 100 keys, got 101 keys."),
        ({"k" * 201: 1}, "strategies[0].params must be a table whose keys are text of at most 200 characters"),
        ({1: 1}, "strategies[0].params must be a table whose keys are text"),
        (
            b"x",
            "strategies[0].params must be text, a number, true or false, a list or a table, got a value of ",
        ),
        ([[1] * 999, [1] * 999, 1], "strategies[0] must be of at most 2000 values, got more than 2000."),
    ],
)
def test_what_no_strategy_needs_is_refused_before_it_is_looked_at(value: Any, message: str) -> None:
    """Values that a journal could not hold, and amounts that only an attacker sends, are told where they stand."""
    (said,) = told(file_of({"params": value}))

    assert said.startswith(message)


def test_nesting_is_bounded() -> None:
    """Data that is nested a hundred thousand deep is refused without recursion."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]

    assert told(file_of({"params": deep})) == ["strategies[0] must be nested at most 16 levels deep, got more."]
    assert told(deep) == ["settings must be a table with a list of strategies, got a list of 1 items."]
    assert told({"version": deep, "strategies": []}) == ["version must be 1, the one there is, got a list of 1 items."]


@pytest.mark.parametrize(("levels", "accepted"), [(14, True), (15, False)])
def test_nesting_is_accepted_up_to_its_bound(levels: int, accepted: bool) -> None:
    """The strategy, its actions and what they hold are sixteen levels together, and not one more."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    data = file_of(strategy(labels={"a": deep}))

    assert told(data)[0].startswith("strategies[0].labels.a must be text") == accepted


def test_after_a_hundred_problems_the_rest_waits() -> None:
    """A file in which nothing is right is told in bounded words, and it is said that there may be more."""
    said = told(file_of(*range(500)))

    assert len(said) == 101
    assert said[-1].startswith("strategies[100] must be looked at when those before are right")


def test_found_values_are_short() -> None:
    """What was found is not printed whole, however long it is."""
    (said,) = told(file_of(strategy(description="long " * 900)))

    assert len(said) < 400


def test_the_path_goes_on_from_where_the_file_has_it() -> None:
    """A host that keeps strategies inside of its own settings is told the path in those."""
    with pytest.raises(InvalidConfigError) as caught:
        StrategySet.from_data(file_of({}, version=2), "healing", "app.toml")

    assert str(caught.value).startswith("app.toml: 4 settings are not accepted:\n- healing.version must be 1")
    assert caught.value.problems[1].where == "healing.strategies[0].name"


def test_records_may_stand_where_files_have_tables() -> None:
    """Python code can mix records into plain data."""
    spec = StrategySpec(name="p", alerts=["x"], levels=[LevelSpec(actions=[StepSpec(do="log")])])

    assert list(made(spec)) == [spec]
    assert spec.alerts == ("x",)


def test_errors_survive_a_pickle() -> None:
    """What is told can be sent to another process."""
    import pickle

    with pytest.raises(InvalidConfigError) as caught:
        StrategySet.from_data(file_of(strategy(alerts=[["deep"]]), *range(200)))

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_text_of_a_file_is_the_same_as_its_structure() -> None:
    """A trigger as text and as JSON structure are one and the same."""
    structure = {"metric": "cpu", "op": ">", "value": 80, "for": "5m", "clear": 70}
    text, data = made(strategy(trigger="cpu > 80 for 5m clear 70"), strategy(name="b", trigger=structure))

    assert text.trigger == data.trigger
    assert json.loads(json.dumps(made(strategy(trigger=structure)).to_data()))["strategies"][0]["trigger"] == {
        "metric": "cpu",
        "op": ">",
        "value": 80.0,
        "for": 300.0,
        "clear": 70.0,
    }
