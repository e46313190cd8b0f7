"""The nodes of all trees of a forest in a few contiguous arrays, level by level, siblings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.arrays import pack, unpack
from selfheal.detection.saved import Saved
from selfheal.errors import ConfigError

DEEPEST = 64
"""Levels a tree may have; an isolation tree over n rows has log2(n)."""


@attrs.frozen(eq=False)
class Nodes:
    """All nodes of all trees. The first ``trees`` of them are the roots, then come all of the next level, and so on.

    A leaf loops on itself: its child is itself and its threshold infinite, so a row walks on for as many steps as the
    deepest tree has levels, and no step asks whether it has arrived.

    Args:
        feature: which value of a row a node looks at; 0 at a leaf.
        threshold: rows up to it go left; infinite at a leaf. Rows are float32, so it is rounded down to that, which
            moves none of them.
        child: place of the left child, the right one beside it; its own place at a leaf.
        missing_right: whether a row that lacks the value goes right.
        length: at a leaf: the path to it, with the average path of the training rows that ended there.
        trees: how many there are.
        depth: levels below the roots.
    """

    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    child: NDArray[np.intp]
    missing_right: NDArray[np.bool_]
    length: NDArray[np.float64]
    trees: int
    depth: int

    @classmethod
    def of(cls, trees: Sequence[Any], features: Sequence[NDArray[Any]]) -> Nodes:
        """Lay out the trees of a forest.

        Args:
            trees: the ``tree_`` of each of scikit-learn's estimators.
            features: for each tree, which of the forest's features its own ones are.

        Raises:
            ConfigError: if a tree has a threshold that is not finite (it was grown on infinite values).
        """
        starts = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        pairs = list(zip(trees, starts.tolist(), strict=True))
        left = np.concatenate([np.where(tree.children_left < 0, -1, tree.children_left + at) for tree, at in pairs])
        right = np.concatenate([tree.children_right + at for tree, at in pairs])
        order, depth = _by_level(starts, left, right)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        inner = left[order] >= 0
        own = np.concatenate([f[np.maximum(t.feature, 0)] for t, f in zip(trees, features, strict=True)])[order]
        threshold = np.concatenate([t.threshold for t in trees])[order]
        if not np.isfinite(threshold[inner]).all():
            raise ConfigError("forest", "a threshold that is not finite", "a forest grown on finite values")
        missing = np.concatenate([t.missing_go_to_left for t in trees])[order]
        return cls(
            feature=np.where(inner, own, 0).astype(np.intp),
            threshold=np.where(inner, _rounded_down(np.where(inner, threshold, 0.0)), np.float32(np.inf)),
            child=np.where(inner, place[left[order]], np.arange(len(order))).astype(np.intp),
            missing_right=inner & (missing == 0),
            length=np.where(inner, 0.0, np.concatenate([_lengths(t) for t in trees])[order]),
            trees=len(trees),
            depth=depth,
        )

    def to_dict(self) -> dict[str, Any]:
        """All arrays as JSON data."""
        return {
            "trees": self.trees,
            "depth": self.depth,
            "feature": pack(self.feature.astype("<i4")),
            "threshold": pack(np.where(self.leaf, np.float32(0), self.threshold)),
            "child": pack(self.child.astype("<i4")),
            "missing_right": pack(self.missing_right),
            "length": pack(self.length),
        }

    @property
    def leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves."""
        found: NDArray[np.bool_] = self.child == np.arange(len(self.child))
        return found

    @classmethod
    def read(cls, saved: Saved, n_features: int) -> Nodes:
        """Make them anew from what :meth:`to_dict` gave, if no walk can leave them.

        Raises:
            StateError: if an array is damaged, or a node points where it must not.
        """
        trees, depth = saved.count("trees"), saved.count("depth")
        feature, child = unpack(saved, "feature", "<i4"), unpack(saved, "child", "<i4")
        threshold, length = unpack(saved, "threshold", "<f4"), unpack(saved, "length", "<f8")
        missing = unpack(saved, "missing_right", "|b1")
        count = len(child)
        if any(len(each) != count for each in (feature, threshold, length, missing)) or not 1 <= trees <= count:
            raise saved.wrong("its arrays are not of one length, or have no trees")
        places = np.arange(count)
        leaf = child == places
        if ((child < places) | (child + ~leaf >= count) | (feature < 0) | (feature >= n_features)).any():
            raise saved.wrong("a node points to none, or looks at a value there is not")
        if depth > DEEPEST or not np.isfinite(threshold).all() or not np.isfinite(length).all():
            raise saved.wrong("its depth, a threshold or a length is out of bounds")
        return cls(
            feature=feature.astype(np.intp),
            threshold=np.where(leaf, np.float32(np.inf), threshold),
            child=child.astype(np.intp),
            missing_right=missing & ~leaf,
            length=length,
            trees=trees,
            depth=depth,
        )


def average_path(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Average path of an unsuccessful search in a binary tree of so many rows: c(n) of Liu, Ting and Zhou (2008).

    Computed in the very steps of scikit-learn, so that not a bit differs.
    """
    lengths = np.zeros(rows.shape)
    lengths[rows == 2] = 1.0
    many = rows > 2
    n = rows[many]
    lengths[many] = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return lengths


def _lengths(tree: Any) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = tree.compute_node_depths() + average_path(tree.n_node_samples) - 1.0
    return lengths


def _by_level(roots: NDArray[Any], left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """All nodes in the order of their level, siblings side by side, and how many levels are below the roots."""
    levels = [roots]
    while True:
        inner = levels[-1][left[levels[-1]] >= 0]
        if not len(inner):
            return np.concatenate(levels), len(levels) - 1
        levels.append(np.stack([left[inner], right[inner]], axis=1).ravel())


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each: ``x <= threshold`` is the same for every float32 ``x``."""
    with np.errstate(over="ignore"):
        nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
