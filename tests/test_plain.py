"""Host values as JSON data."""

from __future__ import annotations

import datetime
import enum
import json
import math
from collections import deque
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.plain import MAX_TEXT, MAX_VALUES, NotPlainError, camel_cased, plain
from selfheal.redaction import REDACTED


class Colour(enum.Enum):
    RED = "red"


def test_the_usual_kinds_become_json() -> None:
    """Mappings, sequences, sets, enums, dates and numbers come out as JSON has them."""
    day = datetime.date(2026, 1, 2)
    found = plain({"a": deque([1, 2.5]), "b": {"y", "x"}, "c": Colour.RED, "d": day, "e": None, 3: True}, "host")

    assert found == {"a": [1, 2.5], "b": ["x", "y"], "c": "red", "d": "2026-01-02", "e": None, "3": True}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_null(number: float) -> None:
    """A number that is not finite becomes null."""
    assert plain({"rate": number}, "host") == {"rate": None}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"client": object()}, r"host\.client: a object"),
        ({"deep": [b"x"]}, r"host\.deep\[0\]: a bytes"),
        ({("a", "b"): 1}, "host: a key is a tuple"),
        ({"n": 1 << 300}, r"host\.n: an integer of 301 bits"),
    ],
)
def test_what_cannot_be_shown_is_named(value: Any, where: str) -> None:
    """The error says where the value stands and what it is."""
    with pytest.raises(NotPlainError, match=where):
        plain(value, "host")


def test_a_value_that_contains_itself_is_refused() -> None:
    """A cycle ends at the depth limit instead of never."""
    loop: dict[str, Any] = {}
    loop["self"] = loop

    with pytest.raises(NotPlainError, match="containing itself"):
        plain(loop, "host")


def test_a_huge_value_is_refused() -> None:
    """A section cannot make the status arbitrarily large by number."""
    with pytest.raises(NotPlainError, match=str(MAX_VALUES)):
        plain({"all": range(10**12)}, "host")


def test_long_text_is_cut() -> None:
    """A section cannot make the status arbitrarily large by length."""
    assert len(plain({"log": "x" * 1_000_000}, "host")["log"]) == MAX_TEXT + 1


def test_secrets_are_hidden_by_name() -> None:
    """Values under secret names are redacted, through lists and mappings, while counts are shown."""
    found = plain(
        {
            "keyManagement": {"totalKeys": 3, "activeKeys": 2, "failedKeys": 1, "apiKeys": ["k1", "k2"]},
            "password": 1234,
            "tokens": {"used": 17, "current": "abc"},
            "apiKey": "",
            "secret": None,
            "token": True,
        },
        "llm",
    )

    assert found == {
        "keyManagement": {"totalKeys": 3, "activeKeys": 2, "failedKeys": 1, "apiKeys": [REDACTED, REDACTED]},
        "password": REDACTED,
        "tokens": {"used": 17, "current": REDACTED},
        "apiKey": "",
        "secret": None,
        "token": True,
    }


def test_a_password_stays_hidden_below_another_name() -> None:
    """What stands below a password is hidden whatever it is called."""
    assert plain({"credentials": {"tokens": 5, "user": "ann"}}, "x") == {
        "credentials": {"tokens": REDACTED, "user": REDACTED}
    }


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=8), _json, max_size=4))
def test_the_result_is_always_strict_json(value: dict[str, Any]) -> None:
    """Whatever JSON-like data a host returns can be written as strict JSON."""
    assert json.loads(json.dumps(plain(value, "host"), allow_nan=False)) == plain(value, "host")


def test_records_become_sections_with_times_in_milliseconds() -> None:
    """Keys are in camelCase, the named durations in whole milliseconds, everything else as it is."""

    @attrs.frozen
    class Record:
        last_good_ago: float | None = 1.2345
        retry_in: float | None = None
        failure_rate: float = 0.5

    shown = camel_cased(Record(), {"last_good_ago", "retry_in"})

    assert shown == {"lastGoodAgo": 1234, "retryIn": None, "failureRate": 0.5}
