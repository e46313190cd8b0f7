"""How unusual the service is as a whole: an isolation forest that has learnt from its own normal traffic.

Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008; scikit-learn's ``IsolationForest``.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

logger = logging.getLogger("reference_app.anomaly")

FEATURES = ("cpu_percent", "memory_percent", "latency_ms", "success_rate")
BLUR = (5.0, 2.0, 0.1, 0.05)
"""Differences that mean nothing, feature by feature; a latency counts by its magnitude, so that this is a quarter."""
TREES = 100
SEED = 20

Moment = Sequence[float]


class AnomalyScore:
    """Learns from the first moments with traffic, then scores the later ones.

    A score is between 0, as usual as those learnt mostly were, and 1, beyond all that was learnt in two features at
    once, or in more. What is odd in one alone scores in between: that has strategies of its own.

    Args:
        learn_from: moments to learn from.
    """

    def __init__(self, learn_from: int = 300) -> None:
        self._learn_from = learn_from
        self._learnt: list[list[float]] = []
        self._forest: IsolationForest | None = None
        self._usual, self._odd = 0.0, 1.0

    @property
    def ready(self) -> bool:
        """Whether it has learnt."""
        return self._forest is not None

    def score(self, moment: Moment) -> float:
        """How unusual ``moment`` is, given in the order of :data:`FEATURES`.

        NaN while it still learns, and for a moment of which something is not known.
        """
        if any(map(math.isnan, moment)):
            return math.nan
        if self._forest is None:
            self._learnt.append(_even(moment))
            if len(self._learnt) >= self._learn_from:
                self._forest = self._learn()
            return math.nan
        (raw,) = -self._forest.score_samples([_even(moment)])
        return float(min(max((raw - self._usual) / (self._odd - self._usual), 0.0), 1.0))

    def _learn(self) -> IsolationForest:
        import numpy  # these two take a second to import: not before they are needed
        from sklearn.ensemble import IsolationForest

        # A feature that was always the same would be in no tree, and no difference in it ever seen: hence the blur.
        chance = numpy.random.default_rng(SEED)
        seen = numpy.array(self._learnt)
        blurred = numpy.concatenate([seen + chance.uniform(-1.0, 1.0, seen.shape) * BLUR for _ in range(4)])
        forest = IsolationForest(n_estimators=TREES, random_state=SEED).fit(blurred)
        self._usual = float(numpy.median(-forest.score_samples(seen)))
        below, above = blurred.min(axis=0) - BLUR, blurred.max(axis=0) + BLUR
        odd = _odd_in_two(list(numpy.median(seen, axis=0)), list(below), list(above))
        self._odd = float(numpy.median(-forest.score_samples(odd)))
        logger.info("the anomaly score has learnt from %d moments of %s", len(seen), ", ".join(FEATURES))
        return forest


def _odd_in_two(usual: list[float], below: list[float], above: list[float]) -> list[list[float]]:
    """The usual moment with two features beyond all that was learnt: each pair of them, up and down."""
    made = []
    for one, other in itertools.combinations(range(len(usual)), 2):
        for first, second in itertools.product((below, above), repeat=2):
            moment = usual.copy()
            moment[one], moment[other] = first[one], second[other]
            made.append(moment)
    return made


def _even(moment: Moment) -> list[float]:
    """Twice as slow is the same step from 1 ms as from 100 ms."""
    cpu, memory, latency, success = moment
    return [cpu, memory, math.log10(max(latency, 0.01)), success]
