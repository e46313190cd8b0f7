"""Protected and allowed targets: deny wins, and nothing destructive is allowed by default."""

from __future__ import annotations

import fnmatch
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.policies.protection import Protection, matches


def test_by_default_nothing_destructive_may_run() -> None:
    """An empty list of allowed targets allows no destructive action, and every other one."""
    protection = Protection()

    assert protection.check("web", destructive=False) is None
    assert protection.check("web", destructive=True) == (
        "no target is allowed for destructive actions, so 'web' is not"
    )


def test_deny_wins_over_allow() -> None:
    """A denied target is touched by nothing, though it is allowed too."""
    protection = Protection(denied=("web-1",), allowed=("*",))

    for destructive in (False, True):
        assert protection.check("web-1", destructive) == "'web-1' is protected: 'web-1' is denied"
        assert protection.check("web-2", destructive) is None


def test_what_is_not_allowed_is_told_with_what_is() -> None:
    """A target beside the allowed ones is refused, for destructive actions alone."""
    protection = Protection(allowed=("web-*", "cache"))

    assert protection.check("db", destructive=True) == (
        "'db' is not allowed for destructive actions; allowed are 'web-*', 'cache'"
    )
    assert protection.check("db", destructive=False) is None
    assert protection.check("cache", destructive=True) is None


def test_an_unknown_target_is_matched_by_the_star_alone() -> None:
    """The empty name is not allowed by any pattern that says something, and denied by ``*``."""
    assert Protection(allowed=("a*",)).check("", destructive=True) is not None
    assert Protection(denied=("*",)).check("", destructive=False) is not None


@pytest.mark.parametrize(
    ("pattern", "name", "same"),
    [
        ("web", "web", True),
        ("web", "Web", False),
        ("web", "web-1", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*c", "abbc", True),
        ("a*b*b", "ab", False),
        ("a*b*b", "abb", True),
        ("ab*ba", "aba", False),
        ("a**b", "ab", True),
        ("[a]", "a", False),
        ("a?", "ab", False),
        ("a.c", "abc", False),
    ],
)
def test_only_the_star_means_more_than_itself(pattern: str, name: str, same: bool) -> None:
    """Names are exact; ``*`` is any text; nothing else is special."""
    assert matches(pattern, name) is same


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_the_star_is_that_of_the_shell(pattern: str, name: str) -> None:
    """For patterns of letters and stars it says what ``fnmatch`` says."""
    assert matches(pattern, name) is (re.match(fnmatch.translate(pattern), name) is not None)


def test_hostile_patterns_take_no_time() -> None:
    """A hundred stars against a long name that just does not match end at once, as no search goes back."""
    pattern = "".join(itertools.repeat("a*", 99)) + "b"

    assert not matches(pattern, "a" * 100_000)
    assert matches(pattern, "a" * 100_000 + "b")


@pytest.mark.parametrize(
    ("denied", "where"),
    [
        ("db", "Protection.denied must be a list"),
        (["db", ""], "Protection.denied[1]"),
        ([" db"], "Protection.denied[0]"),
        ([3], "Protection.denied[0]"),
        (["x" * 201], "Protection.denied[0]"),
        (["x"] * 1001, "Protection.denied must be a list of at most 1000"),
    ],
)
def test_a_list_that_is_none_is_refused(denied: list[str], where: str) -> None:
    """One text for a list, blanks, what is no text, and too much are told with their place."""
    with pytest.raises(ConfigError, match=re.escape(where)):
        Protection(denied=denied)


def test_the_lists_come_from_a_file_too() -> None:
    """Plain data makes the same protection; a wrong name is told with its path."""
    assert structure({"denied": ["db"], "allowed": ["*"]}, Protection) == Protection(denied=["db"], allowed=["*"])
    with pytest.raises(InvalidConfigError, match=r"guards\.protection\.allowed"):
        structure({"allowed": [""]}, Protection, "guards.protection")


def test_the_snapshot_has_both_lists() -> None:
    """What is denied and allowed can be shown."""
    assert Protection(denied=["a"], allowed=["b"]).snapshot() == {"denied": ["a"], "allowed": ["b"]}
