"""Fields on their way into a line: any JSON comes back, secrets do not, and what is too long is cut and said so."""

from __future__ import annotations

import datetime
import enum
import json
import math
import re
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.journal import Journal, cleaning, read_journal
from selfheal.journal.cleaning import MAX_LINE, clean
from selfheal.journal.entry import RESERVED
from selfheal.plain import MAX_TEXT, NotPlainError
from selfheal.redaction import REDACTED, hides, scrub


def _shows(text: str) -> bool:
    return scrub(text) == text


def _hides_nothing(name: str) -> bool:
    return not hides(name)


TEXT = st.text(st.characters(), max_size=40).filter(_shows)
NAMES = TEXT.filter(_hides_nothing)
FIELDS = NAMES.filter(lambda name: name not in RESERVED)
NUMBERS = st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=5), max_size=5))
def test_any_json_comes_back(tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, Any]]) -> None:
    """What was appended is what is read, value by value and in order."""
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    with Journal(path, sync="never") as journal:
        entries = [journal.append("verified", sync=False, **fields) for fields in map(_without_sync, written)]

    read = list(read_journal(path, types="verified"))
    assert read == entries
    assert [entry.fields for entry in read] == [_without_sync(fields) for fields in written]
    assert [json.loads(json.dumps(e.as_dict())) for e in read] == [e.as_dict() for e in entries]


def _without_sync(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "sync"}


class Colour(enum.Enum):
    RED = "red"


def test_what_is_nearly_json_becomes_it() -> None:
    """Tuples, sets, other mappings, enums and dates are taken; a number that JSON does not have is null."""
    shown, text = clean(
        {
            "tuple": (1, 2),
            "set": frozenset({2, 1}),
            "mapping": MappingProxyType({"a": OrderedDict(b=1)}),
            "numbers": [math.nan, math.inf, 1.5],
            "nan": math.nan,
            "enum": Colour.RED,
            "date": datetime.date(2026, 1, 31),
            "keys": {1: "x", Colour.RED: "y"},
        }
    )

    assert json.loads(text) == shown
    assert shown == {
        "tuple": [1, 2],
        "set": [1, 2],
        "mapping": {"a": {"b": 1}},
        "numbers": [None, None, 1.5],
        "nan": None,
        "enum": "red",
        "date": "2026-01-31",
        "keys": {"1": "x", "red": "y"},
    }


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "plan.a[1].b: a object cannot be shown as JSON"),
        (b"bytes", "plan.a[1].b: a bytes cannot be shown as JSON"),
        (2**300, "plan.a[1].b: an integer of 301 bits is too large to be shown"),
        (lambda: None, "plan.a[1].b: a function cannot be shown as JSON"),
        ({(1, 2): 3}, "plan.a[1].b: a key is a tuple, not text or a number"),
        (list(range(10_001)), "plan.a[1].b: more than 10000 values"),
    ],
)
def test_what_is_not_json_is_named(value: object, told: str) -> None:
    """A value that is refused is named with its whole path."""
    with pytest.raises(NotPlainError, match=f"^{re.escape(told)}$"):
        clean({"plan": {"a": [0, {"b": value}]}})


def test_what_holds_itself_is_refused() -> None:
    """A list in itself, and values that are shared so often that they are without number, end soon."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotPlainError, match="containing itself"):
        clean({"x": endless})

    shared: Any = "x"
    for _ in range(15):
        shared = [shared] * 10
    with pytest.raises(NotPlainError, match="more than 10000 values"):
        clean({"x": shared})


def test_secrets_do_not_reach_the_file(tmp_path: Path) -> None:
    """Secrets are hidden by name and by look, at any depth, the second time as well as the first."""
    secret = "sk-" + "a1B2" * 8
    fields: dict[str, Any] = {
        "password": "hunter2",
        "receipt": {"token": "abcdef", "tokens_used": 17, "url": "https://maria:hunter2@host/", "pin": 1234},
        "list": [f"key {secret}"],
        "error": "password=hunter2",
        "plan": {secret: 1},
    }
    with Journal(tmp_path / "j") as journal:
        first = journal.append("action_done", **fields)
        again = journal.append("action_done", **fields)

    written = (tmp_path / "j").read_text()
    assert "hunter2" not in written
    assert secret not in written
    assert "abcdef" not in written
    assert first.fields == again.fields
    assert first.fields["receipt"]["tokens_used"] == 17
    assert first.fields["receipt"]["pin"] == REDACTED
    assert secret not in cleaning._clean | cleaning._names.keys()


@given(st.from_regex(r"[a-z0-9.:,]{0,80}", fullmatch=True))
def test_what_is_passed_over_holds_no_secret(text: str) -> None:
    """Texts in which no credential is looked for are ones in which none would be found."""
    assert scrub(text) == text


@given(st.text(st.sampled_from("skpr-_.:,=/@ bearghtokenpwidAKIAxox019"), max_size=60))
def test_a_text_is_shown_as_the_redaction_shows_it(text: str) -> None:
    """Remembering changes nothing: every text is as :func:`scrub` has it."""
    assert clean({"said": text})[0] == {"said": scrub(text)}
    assert clean({"said": text})[0] == {"said": scrub(text)}


def test_memory_is_bounded() -> None:
    """However many texts and names go by, only so many are remembered."""
    for n in range(10_000):
        clean({f"name-{n}": f"value-{n}"})

    assert len(cleaning._clean) <= 4096
    assert len(cleaning._names) <= 4096


def test_long_texts_are_cut_and_said_so() -> None:
    """A text beyond 10,000 characters is cut, at any depth, and its field is named."""
    shown, _ = clean({"error": "x" * (MAX_TEXT + 1), "plan": {"deep": ["y" * 20_000]}, "step": 1})

    assert shown["error"] == "x" * MAX_TEXT + "…"
    assert shown["plan"]["deep"] == ["y" * MAX_TEXT + "…"]
    assert shown["cut"] == ["error", "plan"]


def test_a_line_has_an_end(tmp_path: Path) -> None:
    """The longest fields are made texts of their beginning until the line fits; the others stay as they are."""
    with Journal(tmp_path / "j") as journal:
        many = {f"k{n}": "ü" * 90 for n in range(400)}
        entry = journal.append("action_done", run="r1", receipt=many, actions=[{"n": n} for n in range(20)])

    assert entry.fields["cut"] == ["receipt"]
    assert entry.fields["receipt"].startswith('{"k0":"')
    assert entry.fields["run"] == "r1"
    assert entry.fields["actions"][19] == {"n": 19}
    assert max(map(len, (tmp_path / "j").read_bytes().splitlines())) < MAX_LINE
    assert list(read_journal(tmp_path / "j"))[1] == entry


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=5), st.sampled_from([0, 10, 900, 1_001, 9_000]), max_size=30))
def test_any_fields_fit_a_line(sizes: dict[str, int]) -> None:
    """Whatever the sizes, the line is within its bounds, and a field is cut only if it is named."""
    fields = {name: "é" * size for name, size in sizes.items() if name not in RESERVED and not hides(name)}
    shown, text = clean(fields)

    assert len(text) <= MAX_LINE - 512
    assert json.loads(text) == shown
    assert [name for name in fields if shown[name] != fields[name]] == [n for n in fields if n in shown.get("cut", ())]


def test_too_many_fields_are_refused() -> None:
    """Names alone that do not fit a line are no entry."""
    with pytest.raises(NotPlainError, match="9000 fields do not fit into a line of 65536 bytes"):
        clean({f"a long name of a field {n}": 1 for n in range(9_000)})
