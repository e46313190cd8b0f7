"""Other packages as detectors of one metric: each on the latest six values, causal, on what was before only.

What fits a model to a batch is fitted to the first part of a series that is not judged, and again each time the past
has grown by half. Settings are the defaults of the packages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from benchmarks import nab

Array = NDArray[np.float64]
Scoring = Callable[[Sequence[float]], Array]
"""Values → by how much each is unusual, not negative and without an end; 0 where nothing is known yet."""

LAGS = 6
MOST_ROWS = 2_000
GROWTH = 1.5
RRCF_TREES, RRCF_ROWS = 10, 256


def lagged(values: Sequence[float]) -> Array:
    """The latest values at each time, the newest first."""
    x = np.asarray(values, float)
    return np.stack([np.r_[np.full(lag, x[0]), x[: len(x) - lag]] for lag in range(LAGS)], axis=1)


def by_batches(fit: Callable[[Array], Callable[[Array], Array]]) -> Scoring:
    """What is fitted to many rows and then scores many rows."""

    def scoring(values: Sequence[float]) -> Array:
        rows, scores = lagged(values), np.zeros(len(values))
        first = max(2 * LAGS, min(math.floor(nab.PROBATION * len(rows)), nab.LONGEST_PROBATION))
        ends = [first]
        while ends[-1] < len(rows):
            ends.append(min(len(rows), math.ceil(ends[-1] * GROWTH)))
        for start, end in pairwise(ends):
            past = rows[np.unique(np.linspace(0, start - 1, MOST_ROWS).astype(int))]
            mean, spread = past.mean(axis=0), past.std(axis=0)
            spread[spread < 1e-9] = 1.0
            scores[start:end] = fit((past - mean) / spread)((rows[start:end] - mean) / spread)
        return np.maximum(np.nan_to_num(scores), 0.0)

    return scoring


def eased(scores: Array) -> Array:
    """Scores between 0 and 1 that crowd in the middle, spread out."""
    found: Array = np.expm1(10.0 * scores)
    return found


def _sklearn_forest(past: Array) -> Callable[[Array], Array]:
    forest = IsolationForest(random_state=0).fit(past)
    return lambda rows: eased(-forest.score_samples(rows))


def _pyod(make: Callable[[], Any], spread: Callable[[Array], Array]) -> Scoring:
    def fit(past: Array) -> Callable[[Array], Array]:
        model = make().fit(past)
        return lambda rows: spread(np.asarray(model.decision_function(rows), float))

    return by_batches(fit)


def _by_half_space_trees(values: Sequence[float]) -> Array:
    from river.anomaly import HalfSpaceTrees
    from river.compose import Pipeline
    from river.preprocessing import MinMaxScaler

    model = Pipeline(MinMaxScaler(), HalfSpaceTrees(seed=0))
    scores = []
    for row in lagged(values).tolist():
        sample = dict(enumerate(row))
        scores.append(model.score_one(sample))
        model.learn_one(sample)
    return eased(np.array(scores))


def _by_gaussian(values: Sequence[float]) -> Array:
    from river.anomaly import GaussianScorer

    model, scores = GaussianScorer(), []
    for x in values:
        scores.append(-math.log10(max(1.0 - model.score_one({}, x), 1e-16)))
        model.learn_one({}, x)
    return np.array(scores)


def _by_rrcf(values: Sequence[float]) -> Array:
    """A robust random cut forest whose trees hold the latest rows."""
    import rrcf

    trees = [rrcf.RCTree(random_state=n) for n in range(RRCF_TREES)]
    scores = np.zeros(len(values))
    for n, row in enumerate(lagged(values)):
        for tree in trees:
            if len(tree.leaves) >= RRCF_ROWS:
                tree.forget_point(n - RRCF_ROWS)
            tree.insert_point(row, index=n)
            scores[n] += tree.codisp(n) / len(trees)
    return scores


def on_all() -> dict[str, Scoring]:
    """Contenders that are quick enough for all series, where they are installed."""
    found: dict[str, Scoring] = {"scikit-learn IsolationForest": by_batches(_sklearn_forest)}
    try:
        from pyod.models.ecod import ECOD
        from pyod.models.iforest import IForest
        from pyod.models.knn import KNN
    except ImportError as error:
        print(f"PyOD is left out: {error}")
    else:
        found["PyOD IForest"] = _pyod(lambda: IForest(random_state=0), lambda s: eased(s + 0.5))
        found["PyOD KNN"] = _pyod(KNN, lambda s: s)
        found["PyOD ECOD"] = _pyod(ECOD, lambda s: s)
    try:
        import river.anomaly  # noqa: F401
    except ImportError as error:
        print(f"River is left out: {error}")
    else:
        found["River HalfSpaceTrees"] = _by_half_space_trees
        found["River GaussianScorer, no lags"] = _by_gaussian
    return found


def on_some() -> dict[str, Scoring]:
    """Contenders that take milliseconds a sample, where they are installed."""
    try:
        import rrcf  # noqa: F401
    except ImportError as error:
        print(f"rrcf is left out: {error}")
        return {}
    return {f"rrcf, {RRCF_TREES} trees of {RRCF_ROWS}": _by_rrcf}


def costs() -> dict[str, Callable[[], Callable[[float, float], object]]]:
    """What scores and learns one sample after the other: makers of functions of a time and a value."""
    found: dict[str, Callable[[], Callable[[float, float], object]]] = {}
    try:
        from river.anomaly import GaussianScorer, HalfSpaceTrees
    except ImportError:
        return found

    def trees() -> Callable[[float, float], object]:
        model = HalfSpaceTrees(seed=0, limits={"x": (0.0, 100.0)})

        def score_and_learn(t: float, x: float) -> object:
            score = model.score_one({"x": x})
            model.learn_one({"x": x})
            return score

        return score_and_learn

    def gaussian() -> Callable[[float, float], object]:
        model = GaussianScorer()

        def score_and_learn(t: float, x: float) -> object:
            score = model.score_one({}, x)
            model.learn_one({}, x)
            return score

        return score_and_learn

    found["River HalfSpaceTrees, 10 trees"] = trees
    found["River GaussianScorer"] = gaussian
    return found
