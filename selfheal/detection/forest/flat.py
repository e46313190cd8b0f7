"""An isolation forest flattened into arrays: the same scores as scikit-learn's to the last bit, in microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selfheal.detection.arrays import check_seal, seal
from selfheal.detection.forest.nodes import Nodes, average_path
from selfheal.detection.forest.walking import Walk
from selfheal.errors import ConfigError

KIND, VERSION = "flat_forest", 1
FEW = 10_000
"""Up to so many rows at once the flat forest is the faster one; beyond, scikit-learn's own, where it is at hand."""


class FlatForest:
    """Scores rows as the isolation forest it was made from, without the cost that scikit-learn has for each call.

    All trees are walked at once, a level at a time. Depths are added in the order of the trees, and rows are
    cast to float32 first, as scikit-learn does: the scores are bit-equal. A missing value (``nan``) goes where the
    tree says missing ones go.

    Made by :meth:`from_sklearn` or :meth:`from_dict`. It does not change, and may be used by several threads.

    Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
    """

    def __init__(self, nodes: Nodes, n_features: int, max_samples: int, offset: float, own: Any = None) -> None:
        self.nodes = nodes
        self.n_features = n_features
        self.max_samples = max_samples
        self.offset = offset
        self._own = own
        self._walk = Walk(nodes, n_features)
        self._divisor = nodes.trees * float(average_path(np.array([max_samples]))[0])

    @classmethod
    def from_sklearn(cls, forest: Any) -> Self:
        """Flatten a fitted ``sklearn.ensemble.IsolationForest``, which is kept for large batches.

        Raises:
            ConfigError: if it is not fitted, or was fitted on infinite values.
        """
        if not hasattr(forest, "estimators_"):
            raise ConfigError("forest", forest, "a fitted sklearn.ensemble.IsolationForest")
        trees = [estimator.tree_ for estimator in forest.estimators_]
        nodes = Nodes.of(trees, forest.estimators_features_)
        return cls(nodes, forest.n_features_in_, forest.max_samples_, float(forest.offset_), forest)

    def score(self, row: Sequence[float] | NDArray[Any]) -> float:
        """The score of one row: what ``score_samples([row])[0]`` is. Lower is more unusual; between -1 and 0."""
        with np.errstate(over="ignore"):
            values = np.asarray(row, dtype=np.float32)
        if values.shape != (self.n_features,):
            raise ConfigError("row", values.shape, f"{self.n_features} numbers")
        return float(self._scores(self._walk.one(values))[0])

    def score_samples(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Scores of rows, of shape (rows, features): as scikit-learn's method of that name."""
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(np.asarray(rows, dtype=np.float32))
        if values.ndim != 2 or values.shape[1] != self.n_features:
            raise ConfigError("rows", values.shape, f"an array of rows of {self.n_features} numbers")
        if len(values) > FEW and self._own is not None:
            theirs: NDArray[np.float64] = self._own.score_samples(values)
            return theirs
        return self._scores(self._walk.many(values))

    def decision_function(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Scores less the offset: below 0 is what the forest calls an outlier."""
        return self.score_samples(rows) - self.offset

    def _scores(self, depths: NDArray[np.float64]) -> NDArray[np.float64]:
        share = depths / self._divisor if self._divisor else np.ones_like(depths)
        scores: NDArray[np.float64] = -(2 ** (-share))
        return scores

    def to_dict(self) -> dict[str, Any]:
        """All it is, as JSON data with a checksum: plain arrays, nothing that is executed when read."""
        return seal(
            {
                "kind": KIND,
                "version": VERSION,
                "n_features": self.n_features,
                "max_samples": self.max_samples,
                "offset": self.offset,
                **self.nodes.to_dict(),
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave; scikit-learn is not needed for that.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = check_seal(data, KIND, VERSION)
        n_features, max_samples = saved.count("n_features"), saved.count("max_samples")
        return cls(Nodes.read(saved, n_features), n_features, max_samples, saved.number("offset"))
