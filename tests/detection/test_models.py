"""Nearest rows and support vectors beside plain computations and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from selfheal.detection.neighbours import MOST_ROWS, NearestRows
from selfheal.detection.svm import OneClassSVMDetector, SupportVectors

Rows = NDArray[np.float64]
ROWS = hnp.arrays(np.float64, st.tuples(st.integers(16, 60), st.just(4)), elements=st.floats(-10.0, 10.0, width=32))


@given(ROWS, st.integers(1, 30))
def test_distances_are_those_of_a_plain_search(rows: Rows, neighbours: int) -> None:
    """The root of the mean squared distance to the nearest, as scikit-learn finds them."""
    known, asked = rows[:-5], rows[-5:]
    found = NearestRows(known, neighbours).deviations(asked)
    distances, _ = (
        NearestNeighbors(n_neighbors=min(neighbours, len(known)), algorithm="brute").fit(known).kneighbors(asked)
    )

    assert found == pytest.approx(np.sqrt((distances**2).mean(axis=1)), abs=1e-5)


def test_many_rows_are_thinned_evenly_and_blocks_agree() -> None:
    """No more than 2,000 rows are kept, first and last among them; batches give what single rows give."""
    rows = np.random.default_rng(0).normal(size=(5_000, 3))
    model = NearestRows(rows, 1)
    asked = np.concatenate([rows[:1], rows[-1:], np.random.default_rng(1).normal(size=(600, 3))])
    found = model.deviations(asked)

    assert len(NearestRows.from_dict(model.to_dict(), 3)._rows) == MOST_ROWS
    assert found[:2] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found == pytest.approx([model.deviations(row[None, :])[0] for row in asked])


@settings(max_examples=25, deadline=None)
@given(ROWS, st.floats(0.05, 0.5))
def test_support_vectors_decide_as_scikit_learn(rows: Rows, nu: float) -> None:
    """The decision function from plain arrays is scikit-learn's, also after a journey as text."""
    machine = OneClassSVM(nu=nu, gamma=0.25).fit(rows)
    detector = OneClassSVMDetector(["a", "b"], nu=nu, gamma=0.25)
    model = detector._fit(rows)
    back = SupportVectors.from_dict(json.loads(json.dumps(model.to_dict())), 4)

    assert back.decision_function(rows) == pytest.approx(machine.decision_function(rows), abs=1e-6)


def test_far_and_further_are_told_apart() -> None:
    """Where the decision function is flat, the deviation still grows with the distance."""
    rows = np.random.default_rng(0).normal(size=(200, 2))
    model = OneClassSVMDetector(["a"], gamma=1.0)._fit(rows)
    far = np.array([[50.0, 0.0], [60.0, 0.0], [500.0, 0.0]])
    deviations = model.deviations(far)

    assert deviations[0] < deviations[1] < deviations[2]
    assert np.isfinite(deviations).all()
