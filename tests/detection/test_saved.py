"""Saved records are read strictly."""

from __future__ import annotations

import math
from typing import Any

import pytest

from selfheal.detection.saved import Saved
from selfheal.errors import StateError

GOOD: dict[str, Any] = {"kind": "x", "version": 2, "n": 3, "a": 1.5, "none": None, "list": [1, 2.5], "part": {"k": 1}}


def read(**changes: Any) -> Saved:
    return Saved({**GOOD, **changes}, "x", 2)


def test_a_good_record_is_read() -> None:
    """Each kind of value comes out as it went in, numbers as floats."""
    saved = read()

    assert (saved.number("a"), saved.count("n"), saved.optional("none"), saved.optional("a")) == (1.5, 3, None, 1.5)
    assert saved.numbers("list", 2) == [1.0, 2.5]
    assert saved.part("part") == {"k": 1}


@pytest.mark.parametrize(("change", "told"), [({"kind": "y"}, "kind 'y'"), ({"version": 3}, "is 3, known is 2")])
def test_another_record_is_refused(change: dict[str, Any], told: str) -> None:
    """A record of another kind or version is refused, telling which."""
    with pytest.raises(StateError, match=told):
        read(**change)


def test_what_is_no_record_is_refused() -> None:
    """A list is no record."""
    a_list: Any = []
    with pytest.raises(StateError, match="not a mapping"):
        Saved(a_list, "x", 2)


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, 1e9, -1.0])
def test_bad_numbers_are_refused(value: object) -> None:
    """What is no finite number within bounds is refused by its key, alone and in a list."""
    with pytest.raises(StateError, match="a is"):
        read(a=value).number("a", 0.0, 1e6)
    if value not in {1e9, -1.0}:
        with pytest.raises(StateError, match=r"list\[1\]"):
            read(list=[0, value]).numbers("list")


@pytest.mark.parametrize(
    ("key", "bad"), [("n", 1.0), ("n", -1), ("n", True), ("list", (1, 2)), ("list", [1]), ("part", [])]
)
def test_bad_shapes_are_refused(key: str, bad: object) -> None:
    """Counts that are none, lists of another length and parts that are no mapping are refused."""
    read_as = {"n": lambda s: s.count("n"), "list": lambda s: s.numbers("list", 2), "part": lambda s: s.part("part")}
    with pytest.raises(StateError, match=key):
        read_as[key](read(**{key: bad}))
