"""Many rows at once come to the same leaves as one after the other, wherever their values lie."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from selfheal.detection.forest.flat import FlatForest
from selfheal.detection.forest.nodes import Nodes
from selfheal.detection.forest.walking import BLOCK, PAIRS, Walk
from tests.detection.forest.grown import grown

EDGES = np.array([-np.inf, -3.4e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 3.4e38, np.inf, np.nan], np.float32)


def one_by_one(walk: Walk, rows: NDArray[np.float32]) -> NDArray[Any]:
    return np.concatenate([walk.one(row) for row in rows])


def cut_at(nodes: Nodes, value: np.float32) -> Nodes:
    """The same trees, every node of which asks whether a value is above the given one."""
    return attrs.evolve(nodes, threshold=np.where(nodes.leaf, np.float32(np.inf), value))


@pytest.mark.parametrize("value", EDGES[1:-2].tolist())
def test_values_around_a_threshold(value: float) -> None:
    """Zeros of both signs, the smallest and the largest numbers, infinities and neighbours are above it or are not."""
    cut = np.float32(value)
    walk = Walk(cut_at(FlatForest.from_sklearn(grown(gaps=True)).nodes, cut), 4)
    beside = np.nextafter(cut, np.array([-np.inf, np.inf], np.float32))
    rows = np.random.default_rng(1).choice(np.append(EDGES, beside), size=(200, 4))

    assert walk.many(rows).tobytes() == one_by_one(walk, rows).tobytes()


@pytest.mark.parametrize("n", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 2])
def test_rests_of_blocks(n: int) -> None:
    """A last block of one row is added up in the same order as all others."""
    walk = Walk(FlatForest.from_sklearn(grown()).nodes, 4)
    rows = np.random.default_rng(2).normal(size=(n, 4)).astype(np.float32)

    assert walk.many(rows).tobytes() == one_by_one(walk, rows).tobytes()


@pytest.mark.parametrize("trees", [1, PAIRS // BLOCK, PAIRS // BLOCK + 1, 3 * (PAIRS // BLOCK) - 1])
def test_rests_of_trees(trees: int) -> None:
    """However many trees walk together, their lengths are added in the order of the trees."""
    forest = grown(n=500, n_estimators=trees)
    rows = np.random.default_rng(3).normal(size=(BLOCK, 4)).astype(np.float32)

    scores = FlatForest.from_sklearn(forest).score_samples(rows)
    assert scores.tobytes() == forest.score_samples(rows).tobytes()


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_trees_of_few_levels(n: int) -> None:
    """Trees that are decided by their upper levels alone, or by none, have the lengths of their leaves."""
    forest = grown(n=n, n_estimators=7)
    rows = np.random.default_rng(4).normal(size=(50, 4)).astype(np.float32)

    assert FlatForest.from_sklearn(forest).score_samples(rows).tobytes() == forest.score_samples(rows).tobytes()


def test_a_forest_whose_records_have_too_few_bits() -> None:
    """Of so many features that a node is no single number any more, each row walks alone, to the same leaves."""
    nodes, apart = FlatForest.from_sklearn(grown(gaps=True)).nodes, 1 << 16
    wide = attrs.evolve(nodes, feature=nodes.feature * apart)
    rows = np.random.default_rng(8).normal(size=(6, 4)).astype(np.float32)
    rows[::2, 1] = np.nan
    spread = np.zeros((len(rows), 4 * apart), np.float32)
    spread[:, ::apart] = rows

    walk = Walk(wide, 4 * apart)
    assert walk.many(spread).tobytes() == Walk(nodes, 4).many(rows).tobytes()
    assert walk.many(spread[:0]).tolist() == []
