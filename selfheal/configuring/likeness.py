"""Which known word was meant."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable

_LONGEST_WORD = 100
_LIKE = 0.6
"""Share of the characters of two words that has to be the same, in the same order, for them to be like each other."""


def nearest(value: object, known: Iterable[str]) -> str:
    """The known word that is most like ``value``; empty if none is. Long text is like none: comparing takes time.

    It is what ``difflib.get_close_matches`` finds first. Words that cannot be nearer than one that was found already
    are not compared.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        return ""
    letters = _letters(value)
    bounded = [(bound, word) for word in known if (bound := _bound(value, letters, word)) >= _LIKE]
    if not bounded:
        return ""
    from difflib import SequenceMatcher  # only who made a mistake pays for it

    matcher = SequenceMatcher()
    matcher.set_seq2(value)
    best = (_LIKE, "")
    for bound, word in sorted(bounded, reverse=True):
        if bound < best[0]:
            break
        matcher.set_seq1(word)
        best = max(best, (matcher.ratio(), word))
    return best[1]


def _bound(value: str, letters: Counter[str], word: str) -> float:
    """How like each other the words may be at most: by their lengths, then by how often they have each letter."""
    length = len(value) + len(word)
    if not length:
        return 1.0
    if 2.0 * min(len(value), len(word)) / length < _LIKE:
        return 0.0
    same = sum([min(count, letters.get(letter, 0)) for letter, count in _letters(word).items()])
    return 2.0 * same / length


@functools.lru_cache(maxsize=1024)
def _letters(word: str) -> Counter[str]:
    return Counter(word)
