"""Rows walking down all trees at once, a level at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.forest.nodes import Nodes

TOP = 3
"""Levels that a batch decides for all their nodes at once: there are few, and comparing is cheaper than looking up."""
BLOCK = 1024
"""Rows of a batch that walk together: each operation has so many numbers in a row."""
PAIRS = 25_600
"""Rows times trees that walk together, so that what they touch stays in the processor's cache."""
HALF = 32
"""Bits of a key."""


class Walk:
    """Takes rows to their leaves and adds up the lengths of their paths.

    A missing value is handled without a branch in the walk: a row with one is doubled, missing values being ``-inf`` in
    the first half and ``inf`` in the second, and each node looks at the half in which it goes the right way.

    A batch compares no values below the upper levels, but adds whole numbers in their order: see :func:`_keys`.

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
        entry = np.ascontiguousarray(self._heap[-1].T).ravel()
        self._entry_row = (np.arange(nodes.trees) << self._top)[:, None]
        # A record is the place of the left child, and below it what is missing to the threshold: the key of a value
        # above it, added, carries into the place, which becomes that of the right child. At a leaf none carries.
        limit = np.where(nodes.leaf, 0, (1 << HALF) - 1 - _keys(nodes.threshold))
        self._record = nodes.child << HALF | limit
        self._entered = _Tables(self._record[entry], nodes.length[entry], self._feature[entry], self._doubled[entry])
        self._within = _Tables(self._record, nodes.length, self._feature, self._doubled)

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
        gaps = bool(np.isnan(rows).any())
        columns, trees = (_double(rows) if gaps else rows).T, self._nodes.trees
        sums = np.zeros(len(rows))
        block = max(1, min(BLOCK, len(rows)))
        group = max(1, min(PAIRS // block, trees))
        room = _Room(group, block)
        for start in range(0, len(rows), block):
            part = _Part(np.ascontiguousarray(columns[:, start : start + block]), self._entered, self._within, gaps)
            for tree in range(0, trees, group):
                self._block(part, slice(tree, min(tree + group, trees)), room, sums[start : start + block])
        return sums

    def _block(self, part: _Part, trees: slice, room: _Room, sums: NDArray[Any]) -> None:
        """Walk some rows down some trees, and add to their sums. No index leaves its array: 'wrap' is just faster."""
        width = part.values.shape[1]
        at, look, key, lengths = room.of(trees.stop - trees.start, width)
        np.add(self._decide_top(part, trees), self._entry_row[trees], out=at)
        tables, first, column = self._entered, part.entry_first, np.arange(width)
        for _ in range(self._nodes.depth - self._top):
            first.take(at, out=look, mode="wrap")
            look += column
            part.keys.take(look, out=key, mode="wrap")
            tables.record.take(at, out=look, mode="wrap")
            key += look
            np.right_shift(key, HALF, out=at)
            tables, first = self._within, part.first
        # Tree after tree, as scikit-learn adds them, beginning with what the trees before came to.
        lengths[0] = sums
        tables.length.take(at, out=lengths[1:], mode="wrap")
        if width > 1:
            np.add.reduce(lengths, axis=0, out=sums)
        else:  # a single column would be added pairwise, which rounds differently
            sums[:] = np.add.accumulate(lengths)[-1]

    def _decide_top(self, part: _Part, trees: slice) -> NDArray[np.uint8]:
        """For each tree and row, the turns taken in the upper levels, as the bits of a number."""
        count, width = trees.stop - trees.start, part.values.shape[1]
        turns = np.zeros((count, width), dtype=np.uint8)
        path: list[NDArray[np.bool_]] = []
        feature = self._doubled if part.gaps else self._feature
        for heap in self._heap[: self._top]:
            level = heap[:, trees]
            seen = part.values.take(feature[level].ravel(), axis=0).reshape(len(level), count, width)
            right = seen > self._nodes.threshold[level][:, :, None]
            for turn in path:  # of all nodes of the level, keep the one that the row comes to
                half = len(right) // 2
                right = right[:half] ^ ((right[:half] ^ right[half:]) & turn)
            path.append(right[0])
            turns <<= 1
            turns |= right[0].view(np.uint8)
        return turns


class _Tables(NamedTuple):
    """What is looked up of a node, or of what the upper levels decided: record, length, and which value it looks at."""

    record: NDArray[np.int64]
    length: NDArray[np.float64]
    feature: NDArray[np.intp]
    doubled: NDArray[np.intp]


class _Part:
    """Rows that walk together, a column each: their values, their keys, and where those begin that a node looks at."""

    def __init__(self, values: NDArray[np.float32], entered: _Tables, within: _Tables, gaps: bool) -> None:
        width = values.shape[1]
        self.values, self.gaps = values, gaps
        self.keys = _keys(values).ravel()
        self.entry_first = (entered.doubled if gaps else entered.feature) * width
        self.first = (within.doubled if gaps else within.feature) * width


class _Room:
    """Arrays used again for each block, rather than asked of the system each time."""

    def __init__(self, trees: int, width: int) -> None:
        self._whole = [np.empty(trees * width, np.int64) for _ in range(3)]
        self._lengths = np.empty((trees + 1) * width)

    def of(self, trees: int, width: int) -> tuple[NDArray[Any], ...]:
        count = trees * width
        parts = (array[:count].reshape(trees, width) for array in self._whole)
        return (*parts, self._lengths[: count + width].reshape(trees + 1, width))


def _keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers from 0 to 2 ** 32 - 1 in the very order of the values, none of which is missing."""
    bits = (values + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    keys: NDArray[np.int64] = (bits ^ (bits >> 31 & 0x7FFFFFFF)).astype(np.int64) + (1 << HALF - 1)
    return keys


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
