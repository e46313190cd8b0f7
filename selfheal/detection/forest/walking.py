"""Rows walking down all trees at once, a level at a time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.forest.nodes import Nodes

TOP = 3
"""Levels whose nodes, seven of a tree, are all asked at once: their answers are the bits of a number."""
BLOCK = 256
"""Rows of a batch that walk together: what they look up stays in the processor's cache, of many features too."""
PAIRS = 25_600
"""Rows times trees that walk together, for the same reason."""
HALF = 32
"""Bits of a key."""


class Walk:
    """Takes rows to their leaves and adds up the lengths of their paths.

    A missing value is handled without a branch in the walk: a row with one is doubled, missing values being ``-inf`` in
    the first half and ``inf`` in the second, and each node looks at the half in which it goes the right way.

    A batch compares no values below the upper levels, but adds whole numbers in their order: see :class:`_Tables`.

    Args:
        nodes: of all trees.
        n_features: values of a row.
    """

    def __init__(self, nodes: Nodes, n_features: int) -> None:
        self._nodes = nodes
        self._features = n_features
        self._upper = _Upper(nodes)

    @cached_property
    def _whole(self) -> _Tables:
        return _Tables(self._nodes, self._upper, self._nodes.feature, self._features)

    @cached_property
    def _gapped(self) -> _Tables:
        doubled = self._nodes.feature + self._features * self._nodes.missing_right
        return _Tables(self._nodes, self._upper, doubled, 2 * self._features)

    def one(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum of the path lengths of one row, as an array of one."""
        tables = self._whole
        if np.count_nonzero(np.isnan(row)):  # half the time of any()
            tables, row = self._gapped, _double(row)
        nodes, upper, feature = self._nodes, self._upper, tables.feature
        answers = row.take(tables.asked) > upper.threshold
        at = upper.reached.take(upper.weight @ answers + upper.first)
        for _ in range(nodes.depth - TOP):
            right = row.take(feature.take(at)) > nodes.threshold.take(at)
            at = nodes.child.take(at)
            at += right
        lengths: NDArray[np.float64] = np.add.accumulate(nodes.length.take(at))[-1:]
        return lengths

    def many(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sums of the path lengths of many rows."""
        tables, walking = self._whole, rows
        if np.isnan(rows).any():
            tables, walking = self._gapped, _double(rows)
        if not tables.fits:
            return np.concatenate([np.empty(0), *(self.one(row) for row in rows)])
        blocks = (walking[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
        return np.concatenate([np.empty(0), *(self._block(block, tables) for block in blocks)])

    def _block(self, rows: NDArray[np.float32], tables: _Tables) -> NDArray[np.float64]:
        """Sums of some rows, walked down some trees after the other."""
        sums, values, keys = np.zeros(len(rows)), np.ascontiguousarray(rows.T), (_keys(rows) << tables.bits).ravel()
        column = np.arange(len(rows)) * rows.shape[1]
        together = max(1, PAIRS // len(rows))
        for first in range(0, self._nodes.trees, together):
            at = self._enter(values, tables, slice(first, first + together))
            self._descend(at, keys, column, tables)
            self._add(at, sums)
        return sums

    def _enter(self, values: NDArray[np.float32], tables: _Tables, trees: slice) -> NDArray[np.int64]:
        """For each tree and row, the entry that the answers of the upper levels lead to."""
        upper = self._upper
        answers = values.take(tables.asked[:, trees], axis=0) > upper.threshold[:, trees, None]
        code = np.einsum("i,ijk->jk", upper.weight, answers.view(np.uint8))
        entry: NDArray[np.int64] = code.astype(np.int64)
        entry += upper.first[trees, None]
        return entry

    def _descend(
        self, at: NDArray[np.int64], keys: NDArray[np.int64], column: NDArray[np.int64], tables: _Tables
    ) -> None:
        """Walk from the entries to the leaves, in place. No index leaves its array: 'wrap' is just faster."""
        found, key = np.empty_like(at), np.empty_like(at)
        record = tables.entry
        for _ in range(max(1, self._nodes.depth - TOP)):
            record.take(at, out=found, mode="wrap")
            np.bitwise_and(found, tables.mask, out=at)
            at += column
            keys.take(at, out=key, mode="wrap")
            key += found
            np.right_shift(key, tables.shift, out=at)
            record = tables.record

    def _add(self, at: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Add the lengths tree after tree, as scikit-learn does, beginning with what the trees before came to."""
        lengths = np.empty((len(at) + 1, len(sums)))
        lengths[0] = sums
        self._nodes.length.take(at, out=lengths[1:], mode="wrap")
        if len(sums) > 1:
            np.add.reduce(lengths, axis=0, out=sums)
        else:  # a single column would be added pairwise, which rounds differently
            sums[:] = np.add.accumulate(lengths)[-1]


class _Upper:
    """The upper levels of all trees, each as a complete tree, in which a leaf is its own children.

    ``asked``: their nodes, of shape (nodes of a tree, trees), the children of the i-th being the (2i + 1)-th and the
    next one; ``reached``: for each tree and each number that the answers make, the node below them.
    """

    def __init__(self, nodes: Nodes) -> None:
        count = (1 << TOP) - 1
        heap = [np.arange(nodes.trees)]
        for n in range(count):
            left = nodes.child[heap[n]]
            heap += [left, left + (left != heap[n])]
        self.asked = np.array(heap)[:count]
        self.threshold = nodes.threshold[self.asked]
        self.weight = (1 << np.arange(count)).astype(np.uint8)
        self.first = np.arange(nodes.trees) << count
        answers = np.arange(1 << count)
        place = np.zeros_like(answers)
        for _ in range(TOP):
            place = 2 * place + 1 + (answers >> place & 1)
        self.reached = np.array(heap)[place].T.ravel()


class _Tables:
    """Where in a row the nodes look, and all that a step of a batch looks up of a node, as the bits of one number.

    A record is, from the highest bits on: the place of the left child, what is missing to the threshold, and where in a
    row the node looks. The key of a value above the threshold, added, carries into the place, which becomes that of
    the right child. At a leaf none carries, as no value is above infinity.

    ``entry``: the records of what the answers of the upper levels lead to; ``fits``: whether a record has enough bits.
    """

    def __init__(self, nodes: Nodes, upper: _Upper, feature: NDArray[np.intp], width: int) -> None:
        self.feature, self.asked = feature, feature[upper.asked]
        self.bits = (width - 1).bit_length()
        self.mask, self.shift = (1 << self.bits) - 1, HALF + self.bits
        self.fits = len(nodes.child).bit_length() + self.shift < 64
        places = (nodes.child << HALF) + ((1 << HALF) - 1) - _keys(nodes.threshold)
        self.record = places << self.bits | feature
        self.entry = self.record[upper.reached]


def _keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers of 32 bits, sign included, in the very order of the values, none of which is missing."""
    bits = (values + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    keys: NDArray[np.int64] = (bits ^ (bits >> 31 & 0x7FFFFFFF)).astype(np.int64)
    return keys


def _double(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    missing = np.isnan(rows)
    low, high = np.where(missing, -np.inf, rows), np.where(missing, np.inf, rows)
    return np.concatenate([low, high], axis=-1, dtype=np.float32)
