"""Settings from files: strict, complete in what they complain about, and exact about where."""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.configuring import (
    MAX_FILE_BYTES,
    StructuredBy,
    choices,
    load_file,
    parse_bytes,
    read_bytes,
    structure,
)
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.validators import between


class Mode(enum.StrEnum):
    FAST = "fast"
    SLOW = "slow"


@attrs.frozen(kw_only=True)
class Http:
    TYPE: ClassVar[str] = "http"
    url: str


@attrs.frozen(kw_only=True)
class Tcp:
    TYPE: ClassVar[str] = "tcp"
    port: int = attrs.field(validator=between(1, 65_535))


@attrs.frozen(kw_only=True)
class Inner:
    size: int = attrs.field(default=4, validator=between(1, 10))
    minimum: int = 1

    def __attrs_post_init__(self) -> None:
        if self.minimum > self.size:
            raise ConfigError("Inner.minimum", self.minimum, f"at most size ({self.size})")


@attrs.frozen(kw_only=True)
class Outer:
    name: str
    rate: float = 1.0
    on: bool = True
    tags: tuple[str, ...] = ()
    inner: Inner = attrs.field(factory=Inner)
    many: Mapping[str, Inner] = attrs.field(factory=dict)
    row: tuple[Inner, ...] = ()
    probe: Http | Tcp | None = None
    mode: Mode = Mode.FAST
    word: Literal["a", "b"] = "a"
    folder: Path | None = None
    either: int | str = 0
    lists: tuple[str, ...] | None = None


def problems(data: object, where: str = "levers") -> list[str]:
    """What is told about ``data``, one text for each problem."""
    with pytest.raises(InvalidConfigError) as caught:
        structure(data, Outer, where)
    return [str(problem) for problem in caught.value.problems]


def test_plain_data_becomes_a_record() -> None:
    """Every kind of field that a record may have is made of what a file can hold."""
    made = structure(
        {
            "name": "n",
            "rate": 2,
            "on": False,
            "tags": ["x"],
            "inner": {"size": 5},
            "many": {"k": {"size": 6}},
            "row": [{}, {"size": 7}],
            "probe": {"type": "tcp", "port": 80},
            "mode": "slow",
            "word": "b",
            "folder": "/tmp",
            "either": "text",
        },
        Outer,
    )

    assert made == Outer(
        name="n",
        rate=2.0,
        on=False,
        tags=("x",),
        inner=Inner(size=5),
        many={"k": Inner(size=6)},
        row=(Inner(), Inner(size=7)),
        probe=Tcp(port=80),
        mode=Mode.SLOW,
        word="b",
        folder=Path("/tmp"),
        either="text",
    )
    assert isinstance(made.rate, float)


def test_everything_wrong_is_told_at_once() -> None:
    """Each wrong value of a file is one problem with its path, found value, and what is accepted."""
    data = {
        "name": 3,
        "rat": 1,
        "inner": {"size": 50, "minimum": "2"},
        "many": {"k": {"size": True}},
        "row": [{}, {"syze": 1}],
        "tags": "text",
        "mode": "fasst",
    }

    assert problems(data) == [
        "levers.name must be text, got 3.",
        "levers.tags must be a list, got 'text'.",
        "levers.inner.size must be an integer between 1 and 10, got 50. The default is 4.",
        "levers.inner.minimum must be an integer, got '2'.",
        "levers.many.k.size must be an integer, got True.",
        "levers.row[1].syze must be a known key (minimum, size; did you mean 'size'?), got 'syze'.",
        "levers.mode must be one of 'fast', 'slow'; the nearest is 'fast', got 'fasst'.",
        "levers.rat must be a known key (either, folder, inner, lists, many, mode, name, on, probe, rate, row, tags, "
        "word; did you mean 'rate'?), got 'rat'.",
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "levers.name must be given, got NOTHING."),
        ([], "levers must be a table with text keys, got []."),
        (None, "levers must be a table with text keys, got None."),
        ({"name": "n", "on": 1}, "levers.on must be true or false, got 1."),
        ({"name": "n", "on": "yes"}, "levers.on must be true or false, got 'yes'."),
        ({"name": "n", "rate": True}, "levers.rate must be a finite number, got True."),
        ({"name": "n", "rate": "1"}, "levers.rate must be a finite number, got '1'."),
        ({"name": "n", "rate": math.inf}, "levers.rate must be a finite number, got inf."),
        ({"name": "n", "rate": math.nan}, "levers.rate must be a finite number, got nan."),
        ({"name": "n", "tags": [1]}, "levers.tags[0] must be text, got 1."),
        ({"name": "n", "lists": ["a", 2]}, "levers.lists[1] must be text, got 2."),
        ({"name": "n", "many": []}, "levers.many must be a table with text keys, got []."),
        ({"name": "n", "many": {1: {}}}, "levers.many must be a table with text keys, got {1: {}}."),
        ({"name": "n", "probe": {}}, "levers.probe.type must be one of 'http', 'tcp', got NOTHING."),
        ({"name": "n", "probe": {"type": 1}}, "levers.probe.type must be one of 'http', 'tcp', got 1."),
        ({"name": "n", "probe": {"type": "http"}}, "levers.probe.url must be given, got NOTHING."),
        (
            {"name": "n", "probe": {"type": "tcp", "port": 0}},
            "levers.probe.port must be an integer between 1 and 65535, got 0.",
        ),
        ({"name": "n", "word": "c"}, "levers.word must be one of 'a', 'b', got 'c'."),
        ({"name": "n", "folder": ""}, "levers.folder must be a path as text, got ''."),
        ({"name": "n", "either": 1.5}, "levers.either must be an integer or text, got 1.5."),
        ({"name": "n", "inner": {"minimum": 9}}, "levers.inner.minimum must be at most size (4), got 9."),
    ],
)
def test_one_wrong_value_is_one_problem(data: object, told: str) -> None:
    """Nothing is coerced: what is of another kind is refused, where it stands."""
    assert problems(data) == [told]


def test_a_huge_integer_is_no_float() -> None:
    """An integer too large for a float is refused as a number that is not finite."""
    assert problems({"name": "n", "rate": 10**400})[0].startswith("levers.rate must be a finite number, got 1000")


def test_paths_at_the_top_have_no_leading_dot() -> None:
    """Without a place of its own, a setting is named by its key alone."""
    assert problems({}, where="") == ["name must be given, got NOTHING."]


def test_the_source_stands_before_it_all() -> None:
    """The message begins with the file, and carries each problem."""
    with pytest.raises(InvalidConfigError) as caught:
        structure({"on": 1}, Outer, "x", source="app.toml")

    assert str(caught.value) == (
        "app.toml: 2 settings are not accepted:\n- x.name must be given, got NOTHING.\n"
        "- x.on must be true or false, got 1."
    )
    assert (caught.value.where, caught.value.found) == ("x.name", attrs.NOTHING)


def test_a_record_made_already_is_taken() -> None:
    """Python code may put records where a file has tables."""
    assert structure({"name": "n", "inner": Inner(size=2)}, Outer).inner.size == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([f.name for f in attrs.fields(Outer)] + ["size", "type", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_data_is_taken_or_refused_in_words(data: Any) -> None:
    """Whatever a file holds, the outcome is a record or one error that tells each problem by its path."""
    try:
        made = structure(data, Outer, "top")
    except InvalidConfigError as error:
        assert error.problems
        assert all(problem.where.startswith("top") for problem in error.problems)
        assert len({p.where for p in error.problems}) == len(error.problems)
    else:
        assert isinstance(made, Outer)


def _even(value: object) -> int:
    if not isinstance(value, int):
        raise ConfigError("anything", value, "an even number", "2")
    if value % 2:
        raise InvalidConfigError([ConfigProblem("", value, "even"), ConfigProblem("half[0].x", value, "whole")])
    return value


@attrs.frozen(kw_only=True)
class Owned:
    """Has fields of a type that makes itself."""

    even: Annotated[int, StructuredBy(_even)] = attrs.field(default=2, validator=between(0, 10))
    row: tuple[Annotated[int, StructuredBy(_even)] | None, ...] = ()

    def __attrs_post_init__(self) -> None:
        if len(self.row) == self.even:
            both = [ConfigProblem("Owned.row", self.row, "shorter"), ConfigProblem("Owned.even", self.even, "larger")]
            raise InvalidConfigError(both)


def test_a_type_makes_itself() -> None:
    """A type marked with its own way is made by it, also where it may be missing, and validated like any other."""
    assert structure({"even": 4, "row": [6, None]}, Owned) == Owned(even=4, row=(6, None))


def test_what_a_type_refuses_itself_has_its_path() -> None:
    """One error is told at the value's place, several with their paths from there on, each only once."""
    with pytest.raises(InvalidConfigError) as caught:
        structure({"even": "x", "row": [2, 3]}, Owned, "top")

    assert [str(problem) for problem in caught.value.problems] == [
        "top.even must be an even number, got 'x'. The default is 2.",
        "top.row[1] must be even, got 3.",
        "top.row[1].half[0].x must be whole, got 3.",
    ]


def test_a_record_may_refuse_itself_for_several_reasons() -> None:
    """What a record says of itself, all at once, is told with the paths of its fields."""
    with pytest.raises(InvalidConfigError) as caught:
        structure({"even": 2, "row": [2, 4]}, Owned, "top")

    assert [problem.where for problem in caught.value.problems] == ["top.row", "top.even"]


def test_choices_name_the_nearest() -> None:
    """A word that is like one of the accepted is told so; one that is like none, or far too long, is not."""
    assert choices(["restart", "clear"], "restrat") == "one of 'restart', 'clear'; the nearest is 'restart'"
    assert choices(["restart"], "zzz") == choices(["restart"], "restart" * 100_000) == "one of 'restart'"


@pytest.mark.parametrize(("name", "text"), [("a.json", '\ufeff{"a": {"b": [1, 2.5]}}'), ("a.TOML", "a.b = [1, 2.5]\n")])
def test_files_are_read_by_their_name(tmp_path: Path, name: str, text: str) -> None:
    """JSON and TOML files give the same plain data."""
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert load_file(tmp_path / name) == {"a": {"b": [1, 2.5]}}


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.yaml", b"", "settings file must be a file whose name ends in .json or .toml, got "),
        ("a.json", b"{", "must be well-formed JSON, got 'Expecting property name enclosed in double quotes at line 1"),
        ("a.json", b'{"a": 1, "a": 2}', "must be without a key that stands twice in one table, got 'a'."),
        ("a.json", b'{"a": NaN}', "must be made of finite numbers, got 'NaN'."),
        ("a.json", b"[]", "must be a table of settings at its top, got 'list'."),
        ("a.json", b"\xff", "must be UTF-8 text, got 'a byte that is not, at 0'."),
        ("a.json", b"[" * 100_000, "must be JSON nested less deeply, got 'too many levels'."),
        ("a.json", b" " * (MAX_FILE_BYTES + 1), f"must be at most {MAX_FILE_BYTES} bytes, got '1048577 bytes'."),
        (
            "a.json",
            b"[%s]" % (b"9" * 5000),
            "must be made of shorter numbers, got 'an integer of thousands of digits'.",
        ),
        (
            "a.toml",
            b"a = %s" % (b"9" * 5000),
            "must be made of shorter numbers, got 'an integer of thousands of digits'.",
        ),
        ("a.toml", b"a" + b".a" * 33 + b" = 1", "must be made of keys of at most 32 parts, got 'a dotted key of many"),
        ("a.toml", b"[a" + b" . 'a\"'" * 20_000 + b"]", "must be made of keys of at most 32 parts"),
        ("a.toml", b"a = {" + b'"a#".' * 40 + b"b = 1}", "must be made of keys of at most 32 parts"),
        ("a.toml", b'a = "' + b'\\"' * 30_000, "must be well-formed TOML"),
        ("a.toml", b"a = " + b"[" * 60_000, "must be TOML nested less deeply"),
        ("a.toml", b"a = ", "must be well-formed TOML, got 'Invalid value (at end of document)'."),
        ("a.toml", b"a = 1\na = 2", "must be well-formed TOML, got 'Cannot overwrite a value (at "),
    ],
)
def test_a_bad_file_is_refused_naming_it(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    """A file that is not well formed is refused with its path and what is wrong."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path / name)

    assert told in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("text", ["'a.b'", '"a.b"', "1.5", "'''a.b\na.b = '''", '"""a.b"""', "[0.5]  # a.b"])
def test_dots_that_are_no_keys_are_not_counted(tmp_path: Path, text: str) -> None:
    """Texts, numbers and comments may have as many dots as they like."""
    (tmp_path / "a.toml").write_text("\n".join([f"k{n} = {text.replace('a.b', 'a.b' * 40)}" for n in range(50)]))

    assert len(load_file(tmp_path / "a.toml")) == 50


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Something that is no regular file is not waited for."""
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="must be a regular file"):
        load_file(tmp_path / "a.json")


def test_content_is_read_and_parsed_apart(tmp_path: Path) -> None:
    """Who compares contents before parsing them gets the same data."""
    (tmp_path / "a.json").write_text('{"a": 1}')

    assert read_bytes(tmp_path / "a.json") == b'{"a": 1}'
    assert parse_bytes(b'{"a": 1}', "a.json") == {"a": 1}
    with pytest.raises(ConfigError, match="NUL"):
        read_bytes(tmp_path / "a\0b.json")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"none\.json must be readable, got 'No such file or directory'"):
        load_file(tmp_path / "none.json")
