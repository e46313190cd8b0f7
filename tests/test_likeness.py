"""Which known word was meant: what the standard library would say, sooner."""

from __future__ import annotations

import difflib

from hypothesis import example, given
from hypothesis import strategies as st

from selfheal.configuring import nearest

WORDS = st.text(st.sampled_from("abcres_"), max_size=12)


@given(WORDS, st.lists(WORDS, max_size=8))
@example("ab", ["ba", "ab", "abc"])
@example("", [""])
def test_the_nearest_is_the_one_difflib_finds(word: str, known: list[str]) -> None:
    """Words that are not compared could not have been the nearest."""
    assert nearest(word, known) == (difflib.get_close_matches(word, known, 1) or [""])[0]


def test_long_text_is_like_none() -> None:
    """What nobody types is not compared, and neither is what is no text."""
    assert nearest("a" * 101, ["a" * 101]) == nearest(7, ["7"]) == ""
    assert nearest("a" * 100, ["a" * 100]) == "a" * 100
