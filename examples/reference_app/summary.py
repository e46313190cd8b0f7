"""Summaries by extraction: the sentences of a text that say most of what it says.

``extract`` is what the provider sells: SumBasic, which chooses by the frequency of words. ``lead`` is what
the gateway can do by itself when the provider is away: cheaper, and worse, which is why its replies are
marked degraded.

Source: Nenkova and Vanderwende, "The Impact of Frequency on Summarization", Microsoft Research, 2005.
"""

from __future__ import annotations

import re
from collections import Counter

import attrs

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_PARAGRAPH = re.compile(r"\n\s*\n")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")
_COMMON = frozenset(
    word
    for line in (
        "the and for that this with are was were but not you your from have has had its can may will would should",
        "all any each one two which when what who how why where then than them they their there these those into",
        "out also such only other more most some use used using been being does did our over under between if or of",
        "to in is it as be by on an at no so do we us he she his her",
    )
    for word in line.split()
)
_MIN_WORDS = 6
_MAX_WORDS = 60


@attrs.frozen(kw_only=True)
class Summary:
    """The chosen sentences.

    Args:
        text: the sentences in the order of the original, joined by spaces.
        chosen: how many sentences ``text`` holds.
        total: how many sentences the document holds.
        method: ``sumbasic`` or ``lead``.
    """

    text: str
    chosen: int
    total: int
    method: str


def sentences(text: str) -> list[str]:
    """Split ``text`` at sentence ends and blank lines; white space inside a sentence becomes one space."""
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        joined = " ".join(paragraph.split())
        found += [part for part in _SENTENCE_END.split(joined) if part]
    return found


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case that carry meaning: no common words, none of one letter."""
    return [word for word in (found.lower() for found in _WORD.findall(text)) if word not in _COMMON]


def extract(text: str, count: int = 3) -> Summary:
    """Choose ``count`` sentences, each time the one whose words are most frequent in the text.

    A sentence scores the mean probability of its distinct meaningful words, so that a long one has no
    advantage by its length; headings and run-on lists (under 6 or over 60 words) are left out unless there
    is nothing else. The probabilities of the words of a chosen sentence are squared, so that the next one
    says something else.
    Of two equal sentences the earlier one wins.

    Raises:
        ValueError: if ``text`` holds no sentence or ``count`` is below 1.
    """
    found = _checked(text, count)
    meaning = [frozenset(words(sentence)) for sentence in found]
    frequency = Counter(words(text))
    probability = {word: seen / frequency.total() for word, seen in frequency.items()}
    left = [i for i, sentence in enumerate(found) if _MIN_WORDS <= len(sentence.split()) <= _MAX_WORDS]
    left = left or list(range(len(found)))

    def score(i: int) -> float:
        return sum(probability[word] for word in meaning[i]) / len(meaning[i]) if meaning[i] else 0.0

    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda i: (score(i), -i))
        left.remove(best)
        chosen.append(best)
        probability.update({word: probability[word] ** 2 for word in meaning[best]})
    return _joined(found, sorted(chosen), "sumbasic")


def lead(text: str, count: int = 3) -> Summary:
    """Choose the first ``count`` sentences that are long enough to be one (6 words or more).

    Raises:
        ValueError: if ``text`` holds no sentence or ``count`` is below 1.
    """
    found = _checked(text, count)
    long_enough = [i for i, sentence in enumerate(found) if len(sentence.split()) >= _MIN_WORDS]
    return _joined(found, (long_enough or list(range(len(found))))[:count], "lead")


def _checked(text: str, count: int) -> list[str]:
    if count < 1:
        raise ValueError(f"a summary has 1 sentence or more, got {count}")
    found = sentences(text)
    if not found:
        raise ValueError("there is no sentence to summarise")
    return found


def _joined(found: list[str], order: list[int], method: str) -> Summary:
    return Summary(text=" ".join(found[i] for i in order), chosen=len(order), total=len(found), method=method)
