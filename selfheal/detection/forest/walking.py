"""Rows walking down all trees at once, a level at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.forest.nodes import Nodes

TOP = 3
"""Levels that a batch decides for all their nodes at once: there are few, and comparing is cheaper than looking up."""
BLOCK = 256
"""Rows of a batch that walk together, so that what they touch stays in the processor's cache."""


class Walk:
    """Takes rows to their leaves and adds up the lengths of their paths.

    A missing value is handled without a branch in the walk: a row with one is doubled, missing values being ``-inf`` in
    the first half and ``inf`` in the second, and each node looks at the half in which it goes the right way.

    Args:
        nodes: of all trees.
        n_features: values of a row.
    """

    def __init__(self, nodes: Nodes, n_features: int) -> None:
        self._nodes = nodes
        self._features = n_features
        self._feature = nodes.feature
        self._doubled = nodes.feature + n_features * nodes.missing_right
        roots = slice(0, nodes.trees)
        self._root_threshold = nodes.threshold[roots]
        self._root_child = nodes.child[roots]
        self._top = min(TOP, nodes.depth)
        self._heap = _heap(nodes, self._top)
        self._entry = np.ascontiguousarray(self._heap[-1].T).ravel()
        self._entry_row = (np.arange(nodes.trees) << self._top)[:, None]

    def one(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum of the path lengths of one row, as an array of one."""
        nodes, feature = self._nodes, self._feature
        if np.isnan(row).any():
            feature, row = self._doubled, _double(row)
        threshold, child = nodes.threshold, nodes.child
        at = self._root_child + (row.take(feature[: nodes.trees]) > self._root_threshold)
        for _ in range(nodes.depth - 1):
            right = row.take(feature.take(at)) > threshold.take(at)
            at = child.take(at)
            at += right
        lengths: NDArray[np.float64] = np.add.accumulate(nodes.length.take(at))[-1:]
        return lengths

    def many(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sums of the path lengths of many rows."""
        feature = self._feature
        if np.isnan(rows).any():
            feature, rows = self._doubled, _double(rows)
        columns = rows.T
        sums = np.empty(len(rows))
        block = min(BLOCK, len(rows))
        room = _Room(self._nodes.trees * block)
        for start in range(0, len(rows), block or 1):
            part = np.ascontiguousarray(columns[:, start : start + block])
            self._block(part, feature, room, sums[start : start + block])
        return sums

    def _block(self, part: NDArray[np.float32], feature: NDArray[Any], room: _Room, sums: NDArray[Any]) -> None:
        """Walk a block; ``part`` has a row for each feature. No index leaves its array: 'wrap' is just faster."""
        nodes, flat, width = self._nodes, part.ravel(), part.shape[1]
        at, look, value, limit, right = room.of(nodes.trees, width)
        np.add(self._decide_top(part, feature), self._entry_row, out=look)
        self._entry.take(look, out=at, mode="wrap")
        first, place = feature * width, np.arange(width)
        for _ in range(nodes.depth - self._top):
            first.take(at, out=look, mode="wrap")
            look += place
            flat.take(look, out=value, mode="wrap")
            nodes.threshold.take(at, out=limit, mode="wrap")
            np.greater(value, limit, out=right)
            nodes.child.take(at, out=look, mode="wrap")
            np.add(look, right, out=at)
        # Tree after tree, as scikit-learn adds them. A single column would be added pairwise, which rounds differently.
        lengths = nodes.length.take(at)
        sums[:] = np.add.reduce(lengths, axis=0) if width > 1 else np.add.accumulate(lengths)[-1]

    def _decide_top(self, part: NDArray[np.float32], feature: NDArray[Any]) -> NDArray[np.uint8]:
        """For each tree and row, the turns taken in the upper levels, as the bits of a number."""
        trees, width = self._nodes.trees, part.shape[1]
        turns = np.zeros((trees, width), dtype=np.uint8)
        path: list[NDArray[np.bool_]] = []
        for level in self._heap[: self._top]:
            seen = part.take(feature[level].ravel(), axis=0).reshape(len(level), trees, width)
            right = seen > self._nodes.threshold[level][:, :, None]
            for turn in path:  # of all nodes of the level, keep the one that the row comes to
                half = len(right) // 2
                right = right[:half] ^ ((right[:half] ^ right[half:]) & turn)
            path.append(right[0])
            turns <<= 1
            turns |= right[0].view(np.uint8)
        return turns


class _Room:
    """Arrays used again for each block, rather than asked of the system each time."""

    def __init__(self, size: int) -> None:
        self._at, self._look = np.empty(size, np.intp), np.empty(size, np.intp)
        self._value, self._limit = np.empty(size, np.float32), np.empty(size, np.float32)
        self._right = np.empty(size, np.bool_)

    def of(self, *shape: int) -> tuple[NDArray[Any], ...]:
        whole = (self._at, self._look, self._value, self._limit, self._right)
        return tuple(array[: shape[0] * shape[1]].reshape(shape) for array in whole)


def _double(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    missing = np.isnan(rows)
    low, high = np.where(missing, -np.inf, rows), np.where(missing, np.inf, rows)
    return np.concatenate([low, high], axis=-1, dtype=np.float32)


def _heap(nodes: Nodes, levels: int) -> list[NDArray[np.intp]]:
    """The nodes of the upper levels as complete trees, of shape (2 ** level, trees); a leaf is its own children."""
    heap = [np.arange(nodes.trees)[None, :]]
    for _ in range(levels):
        left = nodes.child[heap[-1]]
        beside = left + (left != heap[-1])
        heap.append(np.stack([left, beside], axis=1).reshape(-1, nodes.trees))
    return heap
