"""An isolation forest over a sliding window of several metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.anchor import Model
from selfheal.detection.forest.flat import FlatForest
from selfheal.detection.saved import Saved
from selfheal.detection.window_config import WindowConfig
from selfheal.detection.windowed import WindowDetector
from selfheal.validators import between

STEEPNESS = 10.0
"""Scores of a forest lie between 0.3 and 0.9: spread out, so that a calibrator tells them apart."""


@attrs.frozen(kw_only=True)
class ForestConfig(WindowConfig):
    """Settings of an :class:`IsolationForestDetector`: those of :class:`WindowConfig`, and the following.

    Args:
        n_estimators: trees; 1 to 1000.
        max_samples: rows that each tree is grown on at most; 2 to 10000.

    Raises:
        ConfigError: if a value is out of range.
    """

    n_estimators: int = attrs.field(default=100, validator=between(1, 1_000))
    max_samples: int = attrs.field(default=256, validator=between(2, 10_000))


class ForestModel:
    """A flat forest as the model of a :class:`~selfheal.detection.windowed.WindowDetector`.

    Args:
        forest: the forest.
        usual: the median score of the rows it was grown on, so that deviations of one forest and the next compare.
    """

    def __init__(self, forest: FlatForest, usual: float) -> None:
        self.forest = forest
        self.usual = usual

    def deviations(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much more easily than usual each row is isolated, larger is easier; 0 if it is not."""
        scores = np.array([self.forest.score(rows[0])]) if len(rows) == 1 else self.forest.score_samples(rows)
        eased: NDArray[np.float64] = np.expm1(STEEPNESS * np.maximum(self.usual - scores, 0.0))
        return eased

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""
        return {"kind": "forest_model", "version": 1, "usual": self.usual, "forest": self.forest.to_dict()}


class IsolationForestDetector(WindowDetector):
    """Says how easily the metrics of a sample, together, are isolated from those of the window.

    The window is seven days of residuals by time of day; ``window=3600`` makes it one hour, which finds far less. The
    forest is grown by scikit-learn, loaded when the first is, and scored flattened: the scores are bit-equal. Usage
    and guarantees are those of :class:`~selfheal.detection.MultivariateDetector`.

    Args:
        metrics: the names of the metrics.
        config: its settings, a :class:`ForestConfig`; the fields may be given as keyword arguments instead.

    Raises:
        ConfigError: if a setting is out of range, or there is no metric.

    Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
    """

    kind: ClassVar[str] = "isolation_forest_detector"
    config_class: ClassVar[type[WindowConfig]] = ForestConfig
    config: ForestConfig

    def _fit(self, rows: NDArray[np.float64]) -> Model:
        from sklearn.ensemble import IsolationForest

        config = self.config
        # No tree can cut what never moved. Noise in its place lets it see when it does, and means nothing before.
        still, given = np.ptp(rows, axis=0) == 0.0, rows.copy()
        rows[:, still] += np.random.default_rng(config.seed).normal(size=(len(rows), int(still.sum())))
        samples = min(config.max_samples, len(rows))
        forest = IsolationForest(n_estimators=config.n_estimators, max_samples=samples, random_state=config.seed)
        flat = FlatForest.from_sklearn(forest.fit(rows))
        usual = min(np.median(flat.score_samples(rows)), np.median(flat.score_samples(given)))
        return ForestModel(flat, float(usual))

    @classmethod
    def _read(cls, data: Mapping[str, Any], width: int) -> Model:
        saved = Saved(data, "forest_model", 1)
        forest = FlatForest.from_dict(saved.part("forest"))
        if forest.n_features != width:
            raise saved.wrong(f"it is for rows of {forest.n_features} numbers, not {width}")
        return ForestModel(forest, saved.number("usual"))
