"""A one-class support vector machine over a sliding window of several metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.anchor import Model
from selfheal.detection.arrays import pack, unpack
from selfheal.detection.saved import Saved
from selfheal.detection.window_config import WindowConfig
from selfheal.detection.windowed import WindowDetector
from selfheal.validators import between

KIND, VERSION = "support_vectors", 1


@attrs.frozen(kw_only=True)
class SvmConfig(WindowConfig):
    """Settings of a :class:`OneClassSVMDetector`: those of :class:`WindowConfig`, and the following.

    Args:
        nu: part of the window that may lie outside; 0.001 to 0.5.
        gamma: how fast likeness falls with squared distance; ``None`` for one over numbers of a row times variance.

    Raises:
        ConfigError: if a value is out of range.
    """

    nu: float = attrs.field(default=0.05, validator=between(0.001, 0.5))
    gamma: float | None = attrs.field(default=None, validator=between(1e-6, 1e3, optional=True))


class SupportVectors:
    """What a fitted one-class machine with a radial kernel consists of.

    Args:
        vectors: the support vectors.
        weights: of each, positive.
        gamma: how fast likeness falls with squared distance.
        offset: the sum of likeness at the boundary.
        usual: the median of how far the rows were that it was fitted to, so that one fit and the next compare.
    """

    def __init__(
        self,
        vectors: NDArray[np.float64],
        weights: NDArray[np.float64],
        gamma: float,
        offset: float,
        usual: float = 0.0,
    ) -> None:
        self._vectors = np.ascontiguousarray(vectors)
        self._weights = weights
        self._gamma = gamma
        self._offset = offset
        self.usual = usual
        self._squares = np.einsum("ij,ij->i", self._vectors, self._vectors)
        self._log_weights = np.log(weights)
        self._most = float(np.log(weights.sum()))

    def decision_function(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """What scikit-learn's method of that name gives, but for rounding: below 0 is outside."""
        inside: NDArray[np.float64] = np.exp(self._exponents(rows)) @ self._weights - self._offset
        return inside

    def deviations(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far beyond the usual: minus the logarithm of likeness, which tells far from further where that is 0."""
        exponents = self._exponents(rows) + self._log_weights
        highest = exponents.max(axis=1)
        likeness = highest + np.log(np.exp(exponents - highest[:, None]).sum(axis=1))
        outside: NDArray[np.float64] = np.maximum(self._most - likeness - self.usual, 0.0)
        return outside

    def _exponents(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        own = np.einsum("ij,ij->i", rows, rows)[:, None]
        squares = np.maximum(own + self._squares - 2.0 * (rows @ self._vectors.T), 0.0)
        exponents: NDArray[np.float64] = -self._gamma * squares
        return exponents

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "gamma": self._gamma,
            "offset": self._offset,
            "usual": self.usual,
            "vectors": pack(self._vectors),
            "weights": pack(self._weights),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], width: int) -> SupportVectors:
        """Make it anew from what :meth:`to_dict` gave, for rows of so many numbers.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        vectors, weights = unpack(saved, "vectors", "<f8", 2), unpack(saved, "weights", "<f8")
        good = np.isfinite(vectors).all() and np.isfinite(weights).all() and (weights > 0.0).all()
        if not good or vectors.shape != (len(weights), width) or not len(weights):
            raise saved.wrong(f"its vectors, of shape {vectors.shape}, are not weighted vectors of {width} numbers")
        return cls(vectors, weights, saved.number("gamma", 0.0), saved.number("offset"), saved.number("usual"))


class OneClassSVMDetector(WindowDetector):
    """Says how far the metrics of a sample, together, are outside of what the window was like.

    The machine is trained by scikit-learn, loaded when the first is, and kept as plain arrays. Usage and guarantees
    are those of :class:`~selfheal.detection.MultivariateDetector`.

    Args:
        metrics: the names of the metrics.
        config: its settings, a :class:`SvmConfig`; the fields may be given as keyword arguments instead.

    Raises:
        ConfigError: if a setting is out of range, or there is no metric.

    Source: Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, "Estimating the support of a high-dimensional
    distribution", Neural Computation 13 (2001).
    """

    kind: ClassVar[str] = "one_class_svm_detector"
    config_class: ClassVar[type[WindowConfig]] = SvmConfig
    config: SvmConfig

    def _fit(self, rows: NDArray[np.float64]) -> Model:
        from sklearn.svm import OneClassSVM

        variance = float(rows.var())
        gamma = self.config.gamma or 1.0 / (rows.shape[1] * (variance if variance > 1e-12 else 1.0))
        machine = OneClassSVM(nu=self.config.nu, gamma=gamma).fit(rows)
        model = SupportVectors(machine.support_vectors_, machine.dual_coef_[0], gamma, -float(machine.intercept_[0]))
        model.usual = float(np.median(model.deviations(rows)))
        return model

    @classmethod
    def _read(cls, data: Mapping[str, Any], width: int) -> Model:
        return SupportVectors.from_dict(data, width)
