"""The flattened forest is scikit-learn's to the last bit, and refuses what is not its own."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from selfheal.detection.arrays import pack, seal
from selfheal.detection.forest import FlatForest
from selfheal.detection.forest.flat import FEW
from selfheal.errors import ConfigError, StateError
from tests.detection.forest.grown import ANY, forests, grown

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Whether two arrays of floats are equal bit for bit."""
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


@SLOW
@given(forests(), st.data())
def test_scores_are_those_of_scikit_learn(made: tuple[IsolationForest, int], data: st.DataObject) -> None:
    """On any forest and any rows, with gaps, infinities and huge values, both methods agree bit for bit."""
    forest, m = made
    rows = data.draw(hnp.arrays(np.float64, (data.draw(st.integers(1, 20)), m), elements=ANY))
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    flat = FlatForest.from_sklearn(forest)

    assert same(flat.score_samples(rows), forest.score_samples(rows))
    assert same(flat.decision_function(rows), forest.decision_function(rows))


@SLOW
@given(forests(), st.data())
def test_a_single_score_is_that_of_scikit_learn(made: tuple[IsolationForest, int], data: st.DataObject) -> None:
    """One row scored by itself has the very score it has in a batch of scikit-learn's."""
    forest, m = made
    row = data.draw(hnp.arrays(np.float32, (m,), elements=st.floats(width=32)))

    assert FlatForest.from_sklearn(forest).score(row) == forest.score_samples(row[None, :])[0]


@SLOW
@given(forests(), st.integers(0, 2**31))
def test_values_on_a_threshold_go_the_same_way(made: tuple[IsolationForest, int], seed: int) -> None:
    """Rows made of the thresholds themselves, and of their float32 neighbours, score the same."""
    forest, m = made
    cuts = np.concatenate(
        [tree.tree_.threshold[tree.tree_.children_left >= 0] for tree in forest.estimators_] + [[0.0]]
    )
    near = cuts.astype(np.float32)
    near = np.concatenate([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))])
    rows = np.random.default_rng(seed).choice(near, size=(30, m))

    assert same(FlatForest.from_sklearn(forest).score_samples(rows), forest.score_samples(rows))


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 513, FEW + 1])
@pytest.mark.parametrize("gaps", [False, True])
def test_batches_of_every_size(n: int, gaps: bool) -> None:
    """Blocks, rests of one row, and batches large enough for scikit-learn's own all give its scores."""
    forest = grown(gaps=gaps)
    rows = np.random.default_rng(5).normal(size=(n, 4))
    if gaps:
        rows[::3, 1] = np.nan

    assert same(FlatForest.from_sklearn(forest).score_samples(rows), forest.score_samples(rows))


@pytest.mark.parametrize(
    "shape", [{"max_samples": 2}, {"max_samples": 2_000}, {"max_features": 3}, {"n_estimators": 1}]
)
def test_shallow_deep_and_partial_trees(shape: dict[str, Any]) -> None:
    """Trees of one level, of eleven, on some of the features, and a single tree give scikit-learn's scores."""
    forest = grown(**shape)
    rows = np.random.default_rng(6).normal(size=(300, 4))

    assert same(FlatForest.from_sklearn(forest).score_samples(rows), forest.score_samples(rows))


def test_many_trees_and_many_features() -> None:
    """A thousand trees, and rows of four hundred numbers with gaps, have scikit-learn's scores."""
    forest = grown(m=400, n=300, gaps=True, n_estimators=1_000, max_samples=16)
    rows = np.random.default_rng(9).normal(size=(40, 400))
    rows[::3, ::7] = np.nan
    flat = FlatForest.from_sklearn(forest)

    assert same(flat.score_samples(rows), forest.score_samples(rows))
    assert [flat.score(row) for row in rows[:3]] == forest.score_samples(rows[:3]).tolist()


def test_no_rows_have_no_scores() -> None:
    """An empty batch is no error."""
    assert FlatForest.from_sklearn(grown(n=10)).score_samples(np.empty((0, 4))).tolist() == []


def test_a_number_beyond_float32_is_infinite_without_a_warning() -> None:
    """A huge value is scored as infinite, silently."""
    flat = FlatForest.from_sklearn(grown(n=50))

    assert flat.score([1e300, 0.0, 0.0, 0.0]) == flat.score([math.inf, 0.0, 0.0, 0.0])


def test_it_comes_back_from_text_bit_for_bit() -> None:
    """Saved as JSON and read again, it gives the same scores without scikit-learn's object, in batches of any size."""
    forest = grown(gaps=True, contamination=0.1)
    flat = FlatForest.from_dict(json.loads(json.dumps(FlatForest.from_sklearn(forest).to_dict())))
    rows = np.random.default_rng(7).normal(size=(FEW + 1, 4))
    rows[::5, 2] = np.nan

    assert same(flat.decision_function(rows), forest.decision_function(rows))
    assert flat.to_dict() == FlatForest.from_sklearn(forest).to_dict()


def test_wrong_shapes_are_refused() -> None:
    """Rows of another width are told, not scored."""
    flat = FlatForest.from_sklearn(grown(n=50))
    with pytest.raises(ConfigError, match="4 numbers"):
        flat.score([1.0])
    with pytest.raises(ConfigError, match="rows of 4 numbers"):
        flat.score_samples([[1.0]])


def test_an_unfitted_forest_is_refused() -> None:
    """A forest that was not fitted has nothing to flatten."""
    with pytest.raises(ConfigError, match="a fitted"):
        FlatForest.from_sklearn(IsolationForest())


BASE = FlatForest.from_sklearn(grown(n=50, n_estimators=3)).to_dict()
CHILD = np.frombuffer(base64.b64decode(BASE["child"]["bytes"]), "<i4")


def changed(array: NDArray[Any], value: float, at: int = 0) -> dict[str, Any]:
    copy = array.copy()
    copy[at] = value
    return pack(copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"child": changed(CHILD, len(CHILD))}, "points to none"),
        ({"child": changed(CHILD, len(CHILD) - 1)}, "points to none"),
        ({"child": changed(CHILD, 0, at=2)}, "points to none"),
        ({"child": changed(CHILD, -1)}, "points to none"),
        ({"feature": pack(np.full(len(CHILD), 4, "<i4"))}, "looks at a value there is not"),
        ({"feature": pack(np.full(len(CHILD), -1, "<i4"))}, "looks at a value there is not"),
        ({"feature": pack(np.zeros(3, "<i4"))}, "not of one length"),
        ({"length": pack(np.full(len(CHILD), np.nan))}, "out of bounds"),
        ({"threshold": pack(np.full(len(CHILD), np.inf, "<f4"))}, "out of bounds"),
        ({"depth": 10**9}, "out of bounds"),
        ({"trees": 0}, "no trees"),
        ({"trees": len(CHILD) + 1}, "no trees"),
        ({"n_features": 0}, "looks at a value there is not"),
        ({"offset": None}, "offset is no finite number"),
    ],
)
def test_a_record_that_would_lead_astray_is_refused(change: dict[str, Any], told: str) -> None:
    """Even with a right checksum, no node may point outside, and no walk may be endless."""
    content = {key: value for key, value in BASE.items() if key != "checksum"}
    with pytest.raises(StateError, match=told):
        FlatForest.from_dict(seal({**content, **change}))


def test_an_altered_record_is_refused() -> None:
    """A record whose content is not that of its checksum is not read."""
    with pytest.raises(StateError, match="checksum"):
        FlatForest.from_dict({**BASE, "offset": 0.1})
