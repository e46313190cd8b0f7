"""Forests grown by scikit-learn, small and of every shape, and rows for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

FINITE = st.floats(-1e6, 1e6, width=32)
ANY = st.floats(width=64, allow_nan=True, allow_infinity=True)


@st.composite
def forests(draw: st.DrawFn) -> tuple[IsolationForest, int]:
    """A fitted forest and its number of features: few rows or many, ties, gaps, subsets of features."""
    n, m = draw(st.integers(1, 60)), draw(st.integers(1, 5))
    rows: NDArray[Any] = draw(hnp.arrays(np.float32, (n, m), elements=FINITE))
    if draw(st.booleans()):
        rows = np.round(rows / 1e5)
    if draw(st.booleans()):
        rows[np.random.default_rng(draw(st.integers(0, 99))).random(rows.shape) < 0.3] = np.nan
    forest = IsolationForest(
        n_estimators=draw(st.integers(1, 12)),
        max_samples=draw(st.sampled_from([1, min(n, 2), n, 1.0, "auto"])),
        max_features=draw(st.sampled_from([1.0, 1])),
        bootstrap=draw(st.booleans()),
        contamination=draw(st.sampled_from(["auto", 0.1])),
        random_state=draw(st.integers(0, 2**31)),
    )
    return forest.fit(rows), m


def grown(n: int = 2_000, m: int = 4, seed: int = 0, gaps: bool = False, **settings: Any) -> IsolationForest:
    """A forest of the usual size, on Gaussian rows."""
    rows = np.random.default_rng(seed).normal(size=(n, m))
    if gaps:
        rows[np.random.default_rng(seed + 1).random(rows.shape) < 0.1] = np.nan
    return IsolationForest(random_state=seed, **settings).fit(rows)
