"""Validators accept what they say and refuse all else with one clear error."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal import validators
from selfheal.errors import ConfigError


@attrs.frozen(kw_only=True)
class Settings:
    """One field for each validator."""

    count: int = attrs.field(default=3, validator=validators.between(1, 10))
    wait: float = attrs.field(default=60.0, validator=validators.between(0.0, 86_400.0, "s"))
    slow: float | None = attrs.field(default=None, validator=validators.between(0.0, 5.0, "s", optional=True))
    endless: float = attrs.field(default=0.0, validator=validators.between(0.0, math.inf))
    mode: str = attrs.field(default="skip", validator=validators.one_of("skip", "run_once"))
    title: str = attrs.field(default="x", validator=validators.name)
    call: Any = attrs.field(default=print, validator=validators.a_callable())
    hook: Any = attrs.field(default=None, validator=validators.a_callable(optional=True))
    on: bool = attrs.field(default=True, validator=validators.boolean)
    zone: str = attrs.field(default="UTC", validator=validators.a_zone)


@attrs.frozen(kw_only=True)
class Bare:
    """Fields whose default cannot be told."""

    count: int = attrs.field(validator=validators.between(1, 10))
    made: int = attrs.field(factory=int, validator=validators.between(0, 10))


ACCEPTED: list[dict[str, Any]] = [
    {"count": 1},
    {"count": 10},
    {"wait": 0.0},
    {"wait": 86_400.0},
    {"wait": 7},
    {"slow": None},
    {"slow": 5},
    {"mode": "run_once"},
    {"title": "Zahlungen – 支払い"},
    {"call": len},
    {"hook": len},
    {"on": False},
    {"zone": "Europe/Berlin"},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"count": 0}, "Settings.count must be an integer between 1 and 10, got 0. The default is 3."),
    ({"count": 11}, "Settings.count must be an integer between 1 and 10, got 11. The default is 3."),
    ({"count": 3.0}, "Settings.count must be an integer between 1 and 10, got 3.0. The default is 3."),
    ({"count": True}, "Settings.count must be an integer between 1 and 10, got True. The default is 3."),
    ({"count": "3"}, "Settings.count must be an integer between 1 and 10, got '3'. The default is 3."),
    ({"count": None}, "Settings.count must be an integer between 1 and 10, got None. The default is 3."),
    ({"wait": -1.0}, "Settings.wait must be between 0.0 and 86400.0 s, got -1.0. The default is 60.0."),
    ({"wait": math.nan}, "Settings.wait must be between 0.0 and 86400.0 s, got nan. The default is 60.0."),
    ({"wait": math.inf}, "Settings.wait must be between 0.0 and 86400.0 s, got inf. The default is 60.0."),
    ({"slow": 5.1}, "Settings.slow must be between 0.0 and 5.0 s or None, got 5.1. The default is None."),
    ({"endless": math.inf}, "Settings.endless must be between 0.0 and inf, got inf. The default is 0.0."),
    ({"mode": "SKIP"}, "Settings.mode must be one of 'skip', 'run_once', got 'SKIP'. The default is 'skip'."),
    ({"mode": None}, "Settings.mode must be one of 'skip', 'run_once', got None. The default is 'skip'."),
    (
        {"title": " "},
        "Settings.title must be text that is not blank, without control characters, got ' '. The default is 'x'.",
    ),
    (
        {"title": "a\nb"},
        "Settings.title must be text that is not blank, without control characters, got 'a\\nb'. The default is 'x'.",
    ),
    ({"hook": 1}, "Settings.hook must be a callable or None, got 1. The default is None."),
    ({"on": 1}, "Settings.on must be True or False, got 1. The default is True."),
    ({"on": "false"}, "Settings.on must be True or False, got 'false'. The default is True."),
    (
        {"zone": "Mars"},
        "Settings.zone must be the name of a time zone such as 'Europe/Berlin', got 'Mars'. The default is 'UTC'.",
    ),
    (
        {"zone": None},
        "Settings.zone must be the name of a time zone such as 'Europe/Berlin', got None. The default is 'UTC'.",
    ),
]


@pytest.mark.parametrize("given_", ACCEPTED, ids=str)
def test_accepted(given_: dict[str, Any]) -> None:
    """The bounds themselves and all between are accepted, unchanged."""
    made = Settings(**given_)

    assert {name: getattr(made, name) for name in given_} == given_


@pytest.mark.parametrize(("given_", "text"), REFUSED, ids=str)
def test_refused(given_: dict[str, Any], text: str) -> None:
    """What is out of bounds or of another kind is refused, naming field, bound, value and default."""
    with pytest.raises(ConfigError) as caught:
        Settings(**given_)

    assert str(caught.value) == text
    assert caught.value.found is next(iter(given_.values()))


def test_a_callable_is_needed() -> None:
    """Without ``optional``, ``None`` is no callable."""
    with pytest.raises(ConfigError, match=r"Settings\.call must be a callable, got None"):
        Settings(call=None)


@pytest.mark.parametrize("field", ["count", "made"])
def test_no_default_is_told_where_there_is_none(field: str) -> None:
    """A required field, or one whose default is made anew each time, tells no default."""
    with pytest.raises(ConfigError) as caught:
        Bare(**{"count": 1, field: -1})

    assert caught.value.default is None
    assert str(caught.value).endswith("got -1.")


@pytest.mark.parametrize("huge", [10**400, -(10**400)], ids=["plus", "minus"])
def test_integers_too_large_for_a_float_are_refused_in_words(huge: int) -> None:
    """A number beyond any float is refused like any other, not by an overflow."""
    with pytest.raises(ConfigError):
        Settings(wait=huge)


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans(), st.binary()))
def test_whatever_comes_is_accepted_or_refused(value: Any) -> None:
    """Any value is either within bounds and kept, or refused by a ConfigError and nothing else."""
    try:
        made = Settings(wait=value)
    except ConfigError:
        assert isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400
    else:
        assert 0 <= made.wait <= 86_400
