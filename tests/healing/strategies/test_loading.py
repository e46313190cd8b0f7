"""Strategy files and directories: all or nothing, and never slow, whatever they hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from selfheal.configuring import parse_bytes
from selfheal.errors import InvalidConfigError
from selfheal.healing.strategies import LevelSpec, StepSpec, StrategySet, StrategySpec, VerifySpec
from tests.healing.strategies.making import ACTIONS, SOON, all_levers, file_of, seconds_of, strategy

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
LEVERS = all_levers()

TOML = """
version = 1

[[strategies]]
name = "busy"
trigger = "cpu_percent > 80 for 5m clear 70"
actions = ["log", { do = "rate_limit", params = { factor = 0.5 } }]
"""


def refused(path: Path, **host: Any) -> str:
    """What is told about a file that is not loaded."""
    with pytest.raises(InvalidConfigError) as caught:
        StrategySet.load(path, **host)
    return str(caught.value)


def test_json_and_toml_are_the_same(tmp_path: Path) -> None:
    """The two kinds of file make the same strategies."""
    (tmp_path / "a.toml").write_text(TOML)
    data = {
        "name": "busy",
        "trigger": {"metric": "cpu_percent", "op": ">", "value": 80, "for": 300, "clear": 70},
        "actions": [{"do": "log"}, {"do": "rate_limit", "params": {"factor": 0.5}}],
    }
    (tmp_path / "a.json").write_text(json.dumps(file_of(data)))

    found = StrategySet.load(tmp_path / "a.toml", actions=ACTIONS, levers=LEVERS)
    assert found == StrategySet.load(str(tmp_path / "a.json"))
    assert found.source == str(tmp_path / "a.toml")


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    """The message begins with the file; what is wrong with the file itself is said of the file."""
    (tmp_path / "a.json").write_text(json.dumps(file_of(strategy(actions=["lgo"]))))
    (tmp_path / "b.json").write_text("{")

    assert refused(tmp_path / "a.json", actions=ACTIONS).startswith(f"{tmp_path}/a.json: strategies[0].actions[0] must")
    assert refused(tmp_path / "b.json") == (
        f"{tmp_path}/b.json: the file must be well-formed JSON, got 'Expecting property name enclosed in double "
        "quotes at line 1, column 2'."
    )
    (tmp_path / "c.yaml").write_text(TOML)
    assert refused(tmp_path / "c.json").endswith("c.json: the file must be readable, got 'No such file or directory'.")
    assert "the file must be a file whose name ends in .json or .toml" in refused(tmp_path / "c.yaml")


def test_a_directory_is_one_set_in_the_order_of_names(tmp_path: Path) -> None:
    """All files of a directory are one set; hidden files and those of other kinds are left alone."""
    (tmp_path / "20.json").write_text(json.dumps(file_of(strategy(name="second"))))
    (tmp_path / "10.toml").write_text(TOML)
    (tmp_path / ".hidden.json").write_text("{")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "more.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")

    assert StrategySet.load(tmp_path).names == ("busy", "second")


def test_all_files_of_a_directory_are_told_at_once(tmp_path: Path) -> None:
    """Problems of several files come together, each with its file; a name in two files is one of them."""
    (tmp_path / "a.json").write_text(json.dumps(file_of(strategy(name="x"), strategy(name="y", priority="1"))))
    (tmp_path / "b.json").write_text("[")
    (tmp_path / "c.json").write_text(json.dumps(file_of(strategy(name="x"), version=3)))
    (tmp_path / "d.json").symlink_to(tmp_path / "nowhere.json")

    said = refused(tmp_path).splitlines()

    assert said[0] == f"{tmp_path}: 5 settings are not accepted:"
    assert sorted(line.partition(" must")[0] for line in said[1:]) == [
        "- a.json: strategies[1].priority",
        "- b.json: the file",
        "- c.json: strategies[0].name",
        "- c.json: version",
        "- d.json: the file",
    ]
    assert "a name of its own: a.json: strategies[0] has it too" in refused(tmp_path)


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    """A directory that holds no strategies is a mistake, and so is one with thousands of files."""
    assert refused(tmp_path).endswith(
        "directory must be one with 1 to 1000 files that end in .json or .toml, got one with 0."
    )
    for number in range(1001):
        (tmp_path / f"{number}.json").touch()
    assert refused(tmp_path).endswith("got one with 1001.")


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_hostile_file_is_refused_at_once(path: Path) -> None:
    """Each file of the corpus is refused with one error of bounded length, in at most 50 ms of CPU."""
    said = refused(path, actions=ACTIONS, levers=LEVERS)

    assert path.stat().st_size <= 65_536
    assert said.startswith(f"{path}: ")
    assert len(said) < 100_000
    assert said.encode()
    assert seconds_of(lambda: refused(path, actions=ACTIONS, levers=LEVERS)) <= SOON


def test_the_corpus_is_there() -> None:
    """The hostile files are found, of both kinds, so that the test above tests something."""
    assert len([path for path in CORPUS if path.suffix == ".json"]) >= 40
    assert len([path for path in CORPUS if path.suffix == ".toml"]) >= 15


CONDITION_KEYS = ["metric", "op", "value", "for", "clear", "all", "any", "not", "label", "equals", "in"]
RECORDS: list[Any] = [StrategySpec, LevelSpec, StepSpec, VerifySpec]
KEYS = st.sampled_from(sorted({field.name for cls in RECORDS for field in attrs.fields(cls)}) + CONDITION_KEYS)
TEXTS = st.text(max_size=8) | st.sampled_from(["log", "rate_limit", "soft", "5m", "a > 1", "condition", "\ud800", ">"])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from([10**40, 1e308, -0.0, 300, 1])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=6),
    max_leaves=25,
)
NEARLY = st.fixed_dictionaries(
    {"name": TEXTS, "actions": st.lists(st.sampled_from(["log", "notify"]) | VALUES, max_size=4)},
    optional={"trigger": VALUES, "alerts": st.lists(TEXTS, max_size=2), "verify": VALUES, "priority": LEAVES},
)
FILES = VALUES | st.fixed_dictionaries({"version": st.just(1), "strategies": st.lists(NEARLY | VALUES, max_size=4)})


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
@example({"version": 1, "strategies": [{"name": "a", "alerts": ["x"], "actions": ["log"], "labels": {"\ud800": ""}}]})
def test_any_data_is_a_set_or_refused_whole(data: Any) -> None:
    """Whatever a file holds: a whole set that can be written and read again, or one error that can be shown; soon."""
    found: list[StrategySet] = []

    def read() -> None:
        try:
            found[:] = [StrategySet.from_data(data, actions=ACTIONS, levers=LEVERS)]
        except InvalidConfigError as error:
            assert error.problems
            assert str(error).encode()

    assert seconds_of(read) <= SOON
    for one in found:
        assert len(one) == len(data["strategies"])
        assert StrategySet.from_data(json.loads(json.dumps(one.to_data()))) == one


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever bytes a file consists of, reading it ends in plain data or a settings error."""
    for name in ("a.json", "a.toml"):
        try:
            assert isinstance(parse_bytes(data, name), dict)
        except ValueError as error:
            assert type(error).__name__ == "ConfigError"
