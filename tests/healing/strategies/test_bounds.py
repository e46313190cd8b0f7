"""What one file may hold at most, and that nothing within those bounds takes long, right or wrong."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.errors import InvalidConfigError
from selfheal.healing.strategies import StrategySet, shape
from selfheal.healing.strategies.reading import MOST_IN_FILE, MOST_VALUES_IN_FILE
from selfheal.healing.strategies.shape import measured
from tests.healing.strategies.making import ACTIONS, SOON, all_levers, file_of, seconds_of, strategy, told
from tests.healing.strategies.written import SETS

LEVERS = all_levers()
LEAVES = " or ".join(["a>1"] * 63)
"""The shortest text of a condition with as many nodes as one may have."""
GROUPS = " or ".join(["((((a>1))))"] * 63)
LABELS = " or ".join(["label.a in (" + ",".join(f"'{c}'" for c in string.ascii_letters) + ")"] * 4)
LEVELS = ("soft", "hard", "critical")
KEYS = {f"prams{n}": 0 for n in range(60)}
MESSAGES = 400_000
"""Characters that a refusal may have, in which a hundred strategies are told what actions there are."""


def usual() -> dict[str, Any]:
    """A strategy as people write them."""
    limited = {"do": "rate_limit", "params": {"factor": 0.5}, "undo_after": "10m"}
    return {
        "name": "",
        "trigger": "cpu_percent > 80 for 5m clear 70",
        "levels": [{"level": "soft", "actions": [limited]}, {"level": "hard", "actions": ["clear_cache", "log"]}],
    }


def many(*actions: Any, **level: Any) -> dict[str, Any]:
    """One with all levels."""
    return {"name": "", "alerts": ["x"], "levels": [{"level": at, "actions": [*actions], **level} for at in LEVELS]}


def whole() -> dict[str, Any]:
    """One with nearly every key there is."""
    step = {"do": "log", "target": "t", "timeout": "5s", "on_failure": "abort"}
    data = {"description": "d", "trigger": "a>1", "labels": {"a": "b"}, "targets": ["t"], "severity": "info"}
    times = {"keep_firing_for": "1m", "grace_period": "1m30s", "settle": "1.5s", "verify": {"by": "alert"}}
    return strategy(**data, **times, priority=1, rollback=True, actions=[step])


def nots(levels: int) -> Any:
    data: Any = "a>1"
    for _ in range(levels):
        data = {"not": data}
    return data


RIGHT: dict[str, Callable[[], dict[str, Any]]] = {
    "the least": lambda: strategy(),
    "one comparison": lambda: strategy(trigger="cpu > 1"),
    "the usual": usual,
    "every key": whole,
    "actions": lambda: strategy(actions=["log"] * 32),
    "actions with levers": lambda: strategy(actions=["restart_service", "notify"] * 16),
    "actions as tables": lambda: strategy(actions=[{"do": "log"}] * 32),
    "parameters": lambda: strategy(actions=[{"do": "log", "params": {"message": "x"}}]),
    "levels": lambda: many("log"),
    "text of conditions": lambda: {**many("log", when=LEAVES), "trigger": LEAVES, "verify": {"condition": LEAVES}},
    "groups": lambda: strategy(trigger=GROUPS),
    "texts of labels": lambda: strategy(trigger=LABELS),
    "structure": lambda: strategy(trigger={"all": [{"metric": "a", "op": ">", "value": 1, "for": "1m"}] * 63}),
    "nots": lambda: strategy(trigger=nots(7)),
    "nots in text": lambda: strategy(trigger="not " * 7 + "a>1"),
    "alerts": lambda: strategy(alerts=[f"a{n}" for n in range(900)]),
    "labels": lambda: strategy(labels={f"a{n}": "b" for n in range(99)}),
    "text of all kinds": lambda: strategy(alerts=["é"], description="é" * 1900),
}
WRONG: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing": dict,
    "keys": lambda: {f"levl{n}": 0 for n in range(100)},
    "one key each": lambda: strategy(levl=0),
    "keys of actions": lambda: strategy(actions=[{"do": "log", **KEYS}] * 30),
    "keys of verify": lambda: strategy(verify={"smples": 1}),
    "keys of conditions": lambda: strategy(trigger={"metric": "a", "op": ">", "value": 1, **KEYS}),
    "parameters": lambda: strategy(actions=[{"do": "rate_limit", "params": KEYS}] * 30),
    "one parameter each": lambda: strategy(actions=[{"do": "rate_limit", "params": {"factr": 0}}]),
    "names of actions": lambda: strategy(actions=["rstart_service", "clear_cahce", "snapsot", "notfy"] * 8),
    "the end of conditions": lambda: many("log", when=LEAVES + " or"),
    "the end of groups": lambda: strategy(trigger=GROUPS + " or"),
    "words": lambda: strategy(trigger="a " * 500),
    "parentheses": lambda: strategy(trigger="(" * 1000),
    "quotes": lambda: strategy(trigger="''" * 500),
    "digits": lambda: strategy(trigger="a > " + "1" * 990 + "x"),
    "durations": lambda: strategy(trigger={"all": [{"metric": "a", "op": ">", "value": 1, "for": "1x"}] * 63}),
    "labels": lambda: strategy(labels={f"a{n}": 1 for n in range(99)}),
    "alerts": lambda: strategy(alerts=[1] * 900),
    "half a character": lambda: strategy(labels={"\ud800": ""}, alerts=["x"] * 900, targets=["y"] * 900),
}


def full(data: dict[str, Any]) -> dict[str, Any]:
    """A file with as many of a strategy as it may hold, each with a name of its own if it has one."""
    fit = min(MOST_IN_FILE, MOST_VALUES_IN_FILE // measured({**data, "name": "s000"} if "name" in data else data)[0])
    return file_of(*({**data, "name": f"s{n}"} if "name" in data else data for n in range(fit)))


def read(data: Any) -> int:
    """How many strategies there are, or the negative number of problems."""
    try:
        return len(StrategySet.from_data(data, actions=ACTIONS, levers=LEVERS))
    except InvalidConfigError as error:
        assert len(str(error)) < MESSAGES
        return -len(error.problems)


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_a_full_file_is_read_soon(make: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    """As much as a file may hold of whatever costs most is read, file and all, in 50 ms of the processor."""
    data = full(make())
    file = tmp_path / "full.json"
    file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))

    if file.stat().st_size <= 262_144:
        assert len(StrategySet.load(file, actions=ACTIONS, levers=LEVERS)) == len(data["strategies"])
        assert seconds_of(lambda: StrategySet.load(file, actions=ACTIONS, levers=LEVERS)) <= SOON
    assert read(data) == len(data["strategies"])
    assert seconds_of(lambda: read(data)) <= SOON


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_full_file_is_refused_soon(make: Callable[[], dict[str, Any]]) -> None:
    """As much as a file may hold of whatever is wrong is refused in 50 ms, with some hundreds of problems at most."""
    data = full(make())

    assert -400 < read(data) < 0
    assert seconds_of(lambda: read(data)) <= SOON


def test_problems_that_are_not_told_are_counted() -> None:
    """After a hundred problems, in a file or in one strategy, it is said that there are more."""
    one = told(file_of(strategy(actions=[{"do": "log", **KEYS}] * 30)))
    all_of_them = told(file_of(*(strategy(name=f"s{n}", levl=0) for n in range(400))))
    top = told({f"k{n}": 0 for n in range(10_000)})

    assert len(one) == 101
    assert one[-1].endswith("there are too many problems already, got 1700 problems more.")
    assert len(all_of_them) == 101
    assert all_of_them[-1].endswith("there are too many problems already, got it and all that follow.")
    assert len(top) == 103
    assert top[100].endswith("there are too many problems already, got 10000 keys.")


def test_what_the_host_says_is_bounded_too() -> None:
    """Thousands of wrong parameters are told as a hundred, and that there is more."""
    steps = [{"do": "rate_limit", "params": KEYS}] * 30

    said = told(file_of(strategy(actions=steps)), actions=ACTIONS)

    assert len(said) == 101
    assert said[-1].endswith("there are too many problems already, got what else is in it.")


def test_a_strategy_too_many_is_refused() -> None:
    """A file may have 500 strategies; with one more it is refused for that alone, and is told what it may have."""
    fitting = file_of(*(strategy(name=f"s{n}") for n in range(MOST_IN_FILE)))
    assert read(fitting) == 500

    fitting["strategies"].append({"name": 1})
    assert told(fitting) == [
        "strategies must be a list of at most 500 strategies in one file; a directory of files may hold more, got 501."
    ]


def test_a_value_too_many_is_refused() -> None:
    """The values of a file are counted up to the bound, and not one more; text counts by its length."""
    names = [f"a{n}" for n in range(990)]
    lists = [strategy(name=f"s{n}", alerts=names) for n in range(6)]
    room = MOST_VALUES_IN_FILE - sum(measured(one)[0] for one in lists)
    last = strategy(name="last", alerts=names[: room - measured(strategy(alerts=[]))[0]])
    assert 0 < len(last["alerts"]) < 990
    assert read(file_of(*lists, last)) == 7

    last["alerts"].append("more")
    assert told(file_of(*lists, last)) == [
        "strategies must be of at most 6000 values in one file, a condition as text being many; a directory of files "
        "may hold more, got more than 6000."
    ]


def test_text_counts_by_its_length() -> None:
    """A text is one value and one more for each 32 characters; for each four where it may be a condition."""
    assert [measured(text)[0] for text in ("a" * 31, "a" * 32, "a>1 or b<2", "label.a in ('b')")] == [1, 2, 3, 5]


@pytest.mark.parametrize(("name", "most"), [("a.json", 262_144), ("a.toml", 65_536)])
def test_a_byte_too_many_is_refused(tmp_path: Path, name: str, most: int) -> None:
    """A file is read up to its bytes, and with one more it is refused, and is told how many it may have."""
    text = json.dumps(file_of(strategy())) if name == "a.json" else TOML
    (tmp_path / name).write_text(text + " " * (most - len(text)))
    assert len(StrategySet.load(tmp_path / name)) == 1

    (tmp_path / name).write_text(text + " " * (most - len(text) + 1))
    with pytest.raises(InvalidConfigError, match=f"the file must be at most {most} bytes, got '{most + 1} bytes'"):
        StrategySet.load(tmp_path / name)


TOML = 'version = 1\nstrategies = [{name = "a", alerts = ["x"], actions = ["log"]}]\n'
SIGNS = 4_900
DULL = {
    "keys": "".join(f"a{n}=1\n" for n in range(SIGNS // 2 - 1)),
    "tables": "".join(f"[a{n}]\nb.c.d=1\n" for n in range(SIGNS // 6)),
    "arrays of tables": "[[a]]\n[[a.b]]\n" * (SIGNS // 7),
    "integers": "a=[" + "1," * (SIGNS - 3) + "1]",
    "lists": "a=[" + "[]," * (SIGNS // 2 - 2) + "]",
    "inline tables": "a=[" + "{b.c=1}," * (SIGNS // 4 - 1) + "]",
    "deep keys": "".join(f"{'.'.join('a' * 31)}.b{n}=1\n" for n in range(SIGNS // 33)),
    "lines": "\n" * SIGNS,
    "comments": "#\n" * SIGNS,
    "escapes": 'a="' + "\\n" * 32_000 + '"',
    "text in lines": 'a="""' + "\\\n" * 32_000 + '"""',
    "strategies": "".join(
        f"[[strategies]]\nname='s{n}'\ntrigger='a>1 for 5m'\nactions=['log',{{do='log',timeout=3}}]\n"
        for n in range(SIGNS // 15)
    ),
}


@pytest.mark.parametrize("text", DULL.values(), ids=DULL)
def test_toml_is_read_soon(text: str, tmp_path: Path) -> None:
    """TOML of as many signs as it may have, of any kind, is judged in 50 ms of the processor."""
    (tmp_path / "a.toml").write_text("version=1\n" + text[:65_000] if text[-1] in "\n]" else text)

    def load() -> None:
        try:
            StrategySet.load(tmp_path / "a.toml", actions=ACTIONS, levers=LEVERS)
        except InvalidConfigError as error:
            assert " of them" not in str(error)

    assert seconds_of(load) <= SOON


def test_toml_with_too_many_signs_is_refused(tmp_path: Path) -> None:
    """TOML that would take long is refused before it is parsed; signs within texts and comments do not count."""
    (tmp_path / "a.toml").write_text(TOML + "x = [" + "1," * 6000 + "]")
    with pytest.raises(InvalidConfigError) as caught:
        StrategySet.load(tmp_path / "a.toml")
    assert str(caught.value).endswith(
        "the file must be made of at most 5000 of the signs = , . [ { and ends of lines outside of texts, got '6015 of "
        "them'."
    )

    (tmp_path / "a.toml").write_text(TOML + "# " + "[,." * 6000)
    assert len(StrategySet.load(tmp_path / "a.toml")) == 1


def test_a_directory_holds_more_than_a_file(tmp_path: Path) -> None:
    """Each file of a directory has the bounds for itself."""
    for number in range(3):
        some = [strategy(name=f"s{number}-{n}") for n in range(400)]
        (tmp_path / f"{number}.json").write_text(json.dumps(file_of(*some)))

    assert len(StrategySet.load(tmp_path)) == 1200


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(SETS, st.sampled_from(["", "{", "cpu >> 1"]))
def test_any_strategies_up_to_the_bound_are_read_soon(found: StrategySet, trigger: str) -> None:
    """A file filled with strategies of any kind, right or with something wrong in each, is judged in 50 ms."""
    kinds = [data | ({"trigger": trigger} if trigger else {}) for data in found.to_data()["strategies"]]
    filled: list[dict[str, Any]] = []
    together = 0
    while kinds and len(filled) < MOST_IN_FILE:
        data = {**kinds[len(filled) % len(kinds)], "name": f"s{len(filled)}"}
        together += measured(data)[0]
        if together > MOST_VALUES_IN_FILE:
            break
        filled.append(data)

    def judge() -> None:
        try:
            assert len(StrategySet.from_data(file_of(*filled))) == len(filled)
            assert not trigger or not filled
        except InvalidConfigError:
            assert trigger

    assert seconds_of(judge) <= SOON


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["\ud800", 2**64])
TREES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))


@given(TREES)
def test_a_quick_look_and_a_close_one_agree(data: Any) -> None:
    """What is counted at a glance has nothing wrong in it, and is as much; all else has, if it is of common types."""
    glance = shape._counted(data)
    much, problem = shape._looked_at(data)

    assert glance == (0 if problem else much)
