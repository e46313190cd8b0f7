"""Tests with hostile input: all of it is refused, soon, without running, reading or importing anything.

``corpus/texts.json`` holds conditions as text, ``corpus/files.json`` whole JSON files. Each entry has a name and parts;
a part is a text and how often it is repeated.
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from selfheal.conditions import Condition, condition_from, describe, parse, to_data
from selfheal.configuring import load_file
from selfheal.errors import ConfigError, InvalidConfigError

CORPUS = Path(__file__).parent / "corpus"
SOON = 0.05
"""Seconds of the processor that any input may take."""
LONGEST = 8000
"""Characters that a message may have, with twenty problems in it."""


def corpus(name: str) -> list[Any]:
    entries = json.loads((CORPUS / name).read_text())
    return [pytest.param("".join(text * times for text, times in e["parts"]), id=e["name"]) for e in entries]


def soon(work: Callable[[], Any]) -> float:
    """Least processor time of at most three tries; the first that is short enough ends it."""
    took = []
    for _ in range(3):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
        if took[-1] <= SOON:
            break
    return min(took)


class Watch:
    """Sees what the interpreter is about to do while it is on: an audit hook, which cannot be taken off again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        acting = event in {"compile", "exec", "import", "open", "code.__new__"}
        if self.on and (acting or event.partition(".")[0] in {"os", "subprocess", "socket", "ctypes", "pickle"}):
            self.seen.append(f"{event} {arguments!r:.200}")

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        self.seen.clear()
        self.on = True
        try:
            yield self.seen
        finally:
            self.on = False


WATCH = Watch()


def refused(read: Callable[[], object], kind: type[ConfigError]) -> ConfigError:
    """The error by which it is refused; none else will do."""
    with WATCH.watching() as seen:
        try:
            made = read()
        except kind as error:
            told = error
        else:
            pytest.fail(f"accepted as {made!r:.200}")
    assert seen == []
    assert len(str(told)) < LONGEST
    return told


@pytest.mark.parametrize("text", corpus("texts.json"))
def test_hostile_text_is_refused(text: str) -> None:
    """As text and within plain data, it is refused within the time, and nothing is done."""
    refused(lambda: parse(text), ConfigError)
    refused(lambda: condition_from({"not": text}), InvalidConfigError)

    def read() -> None:
        with pytest.raises(ConfigError):
            parse(text)

    assert soon(read) <= SOON


@pytest.mark.parametrize("text", corpus("files.json"))
def test_hostile_files_are_refused(text: str, tmp_path: Path) -> None:
    """A file is refused as a whole, by its reader or as a condition; what was read of it is judged in time."""
    file = tmp_path / "condition.json"
    file.write_bytes(text.encode())
    try:
        data = load_file(file)
    except ConfigError as error:
        assert len(str(error)) < LONGEST
        return
    told = refused(lambda: condition_from(data["condition"], "condition", source="c.json"), InvalidConfigError)
    assert told.where.startswith("condition")

    def read() -> None:
        with pytest.raises(InvalidConfigError):
            condition_from(data["condition"])

    assert soon(read) <= SOON


def test_the_watch_sees_what_is_done() -> None:
    """Evaluating, importing and opening would have been seen."""
    with WATCH.watching() as seen:
        eval("1 + 1")
        with open(__file__):
            pass
        __import__("os").getcwd()
    assert {event.partition(" ")[0] for event in seen} >= {"compile", "exec", "open"}


class Trap:
    """Bites whoever asks it for anything."""

    def bite(self, *_: object) -> NoReturn:
        raise AssertionError("it was asked")

    __repr__ = __str__ = __eq__ = __bool__ = __iter__ = __len__ = __float__ = __index__ = __call__ = bite
    __getattr__ = __getitem__ = __contains__ = __lt__ = __gt__ = bite
    __hash__ = object.__hash__


def cyclic() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["not"] = data
    return data


def cyclic_list() -> list[Any]:
    data: list[Any] = []
    data.extend([data] * 3)
    return data


def deep(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {"metric": "a", "op": ">", "value": 1}
    for _ in range(levels):
        data = {"not": data}
    return data


OBJECTS: dict[str, Callable[[], Any]] = {
    "a table that holds itself": cyclic,
    "a list that holds itself": lambda: {"all": cyclic_list()},
    "a list that holds itself at the top": cyclic_list,
    "a value that holds itself": lambda: {"metric": "a", "op": ">", "value": cyclic_list()},
    "a hundred thousand levels": lambda: deep(100_000),
    "a hundred thousand levels as a value": lambda: {"metric": "a", "op": ">", "value": deep(100_000)},
    "a trap": Trap,
    "a trap within": lambda: {"not": Trap()},
    "a trap as metric": lambda: {"metric": Trap(), "op": ">", "value": 1},
    "a trap as operator": lambda: {"metric": "a", "op": Trap(), "value": 1},
    "a trap as value": lambda: {"metric": "a", "op": ">", "value": Trap()},
    "a trap as time": lambda: {"metric": "a", "op": ">", "value": 1, "for": Trap()},
    "a trap as clear": lambda: {"metric": "a", "op": ">", "value": 1, "clear": Trap()},
    "a trap as label": lambda: {"label": Trap(), "in": Trap()},
    "a trap in a list": lambda: {"label": "z", "in": [Trap()]},
    "a trap as key": lambda: {"metric": "a", "op": ">", "value": 1, Trap(): 1},
    "a million keys": lambda: {"metric": "a", "op": ">", "value": 1} | {str(n): n for n in range(1_000_000)},
    "a million parts": lambda: {"all": ["a > 1"] * 1_000_000},
    "a huge integer": lambda: {"metric": "a", "op": ">", "value": 10**100_000},
    "a huge integer as time": lambda: {"metric": "a", "op": ">", "value": 1, "for": 10**100_000},
    "a huge integer as key": lambda: {10**100_000: 1},
    "a huge integer as operator": lambda: {"metric": "a", "op": 10**100_000, "value": 1},
    "bytes": lambda: b"a > 1",
    "a set": lambda: {"metric", "op"},
    "a generator": lambda: (text for text in ("a > 1",)),
    "a function": lambda: parse,
    "a type": lambda: dict,
    "a table of numbers": lambda: {1: 2},
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_hostile_objects_are_refused(make: Callable[[], Any]) -> None:
    """What no file could hold is refused as well, and is not asked for anything."""
    data = make()
    refused(lambda: condition_from(data), InvalidConfigError)

    def read() -> None:
        with pytest.raises(InvalidConfigError):
            condition_from(data)

    assert soon(read) <= SOON
    while isinstance(data, dict) and set(map(type, data)) == {str} and "not" in data and data["not"] is not data:
        data = data.pop("not")  # a hundred thousand levels are too many to be let go of at once


COMPARISON = {"metric": "a", "op": ">=", "value": 1, "for": "1h30m", "clear": 0.5}
LARGEST: dict[str, Any] = {
    "comparisons": " or ".join(["a>1"] * 63),
    "comparisons with times": " and ".join(["a>1 for 5m"] * 63),
    "comparisons with all there is": " or ".join(["ab > 1 for 1h30m clear 0"] * 35),
    "quoted names": " or ".join(["'a'>1"] * 63),
    "parentheses": " or ".join(["((((a>1))))"] * 63),
    "nots": " or ".join(["not not not a>1"] * 15),
    "labels": " or ".join(["label.a in (" + ",".join(f"'{n}'" for n in range(40)) + ")"] * 4),
    "blanks": " " * 900 + "a>1",
    "tables": {"all": [COMPARISON] * 63},
    "tables of tables": {"any": [{"all": [COMPARISON] * 7}] * 7},
    "texts in tables": {"all": [" or ".join(["a>1"] * 30)] * 2},
    "levels": {"not": {"not": {"not": {"not": {"not": {"not": {"all": [COMPARISON] * 57}}}}}}},
    "labels in tables": {"all": [{"label": "z", "in": [f"{'x' * 190}{n}" for n in range(64)]}] * 63},
}


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize("data", LARGEST.values(), ids=LARGEST)
def test_the_largest_conditions_are_read_soon(data: Any, wrong: bool) -> None:
    """As much as a condition may hold is read within the time, and so it is refused if its end is wrong."""
    if wrong:
        data = f"{data} or" if isinstance(data, str) else {"all": [data, {"metric": 1}]}

    def read() -> None:
        if not wrong:
            condition_from(data)
            return
        with pytest.raises(InvalidConfigError):
            condition_from(data)

    assert soon(read) <= SOON


def test_refusing_takes_no_memory() -> None:
    """Ten megabytes of text are refused without a copy of them."""
    text = "x > 1 or " * 1_111_112
    tracemalloc.start()
    try:
        refused(lambda: parse(text), ConfigError)
        refused(lambda: condition_from({"all": [text, {text: 1}, {"metric": text}]}), InvalidConfigError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


WORDS = r"""
a b cpu.max and or not in for clear label label.z label['z'] 'x' ( ) , [ ] . > >= < <= == != = 1 80 -5 1e3 1e400
5m 1h30m 500ms 8d nan __import__('os') lambda: [x for x in y] f'{a}' := ** 9**9 \ é µ
"""
SOUP = st.lists(st.sampled_from([*WORDS.split(), "\0", "\uff15"]), max_size=60).flatmap(
    lambda words: st.sampled_from([" ", ""]).map(lambda s: s.join(words))
)


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=1200), SOUP, SOUP))
@example("(" * 1000)
@example("not " * 250)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text: a condition that is described and read back as the same, or a ConfigError; in time."""
    made: list[Condition] = []

    def read() -> None:
        with WATCH.watching() as seen:
            try:
                made[:] = [parse(text)]
            except ConfigError as error:
                assert len(str(error)) < LONGEST
        assert seen == []

    assert soon(read) <= SOON
    for condition in made:
        again = describe(condition)
        assert len(again) > 1000 or parse(again) == condition
        assert condition_from(to_data(condition)) == condition


KEYS = st.sampled_from(["metric", "op", "value", "for", "clear", "label", "equals", "in", "all", "any", "not", "x"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["a > 1", "a > 1 and b < 2", ">", "<=", "==", "5m", "a", "__import__('os')"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.fixed_dictionaries({"all": st.lists(inner, max_size=4)}),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"metric": inner, "op": inner, "value": inner}, optional={"for": inner, "clear": inner}),
        st.fixed_dictionaries(
            {"metric": st.just("a"), "op": st.sampled_from([">", "<", "=="]), "value": inner},
            optional={"for": inner, "clear": inner},
        ),
        st.fixed_dictionaries({"label": inner}, optional={"equals": inner, "in": inner}),
    ),
    max_leaves=20,
)


@settings(max_examples=500)
@given(JSON)
def test_any_data_is_read_or_refused(data: Any) -> None:
    """Whatever the data: a condition whose data make it again, or an InvalidConfigError; in time."""
    made: list[Condition] = []

    def read() -> None:
        with WATCH.watching() as seen:
            try:
                made[:] = [condition_from(data)]
            except InvalidConfigError as error:
                assert len(str(error)) < LONGEST
                assert error.problems
        assert seen == []

    assert soon(read) <= SOON
    for condition in made:
        assert condition_from(to_data(condition)) == condition
