"""What a detector says of one sample. All detectors share one scale, so that one budget of false alarms fits all."""

from __future__ import annotations

import math
from typing import NamedTuple

HIGHEST_SCORE = 300.0
"""No score is higher: probabilities below ``1e-300`` are beyond what a float tells apart."""


class Reason(NamedTuple):
    """What one metric contributed to a score.

    Args:
        metric: its name; ``""`` where a detector watches one metric and does not know its name.
        value: what was measured; ``nan`` if it was missing.
        expected: what the learnt past leads to expect, in the unit of the metric.
        score: how much of the score comes from it.
        why: in words.
    """

    metric: str
    value: float
    expected: float
    score: float
    why: str


class Verdict(NamedTuple):
    """How unlikely a sample is, given what was learnt.

    Args:
        score: minus log10 of the probability of a sample at least as extreme: 0 is ordinary, 3 is one in a thousand.
            Never negative, never ``nan``, at most 300.
        p: that probability, ``10 ** -score``; 1 where nothing can be said.
        reasons: what contributed, the most first; empty where nothing is unusual.
        ready: whether enough was learnt to trust the score. While it is not, no alarm is raised on it.

    >>> Verdict.of(3.0)
    Verdict(score=3.0, p=0.001, reasons=(), ready=True)
    """

    score: float
    p: float
    reasons: tuple[Reason, ...] = ()
    ready: bool = True

    @classmethod
    def of(cls, score: float, reasons: tuple[Reason, ...] = (), *, ready: bool = True) -> Verdict:
        """A verdict of a score; one that is negative or ``nan`` becomes 0, one beyond 300 becomes 300."""
        score = min(score, HIGHEST_SCORE) if score > 0.0 else 0.0
        return cls(score, math.pow(10.0, -score), reasons, ready)


NOTHING_SAID = Verdict(0.0, 1.0, (), False)
"""The verdict on a missing value, and on any value before anything was learnt."""
