"""The default for several metrics together: seasonal residuals of each, their nearest past, and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.anchor import Model
from selfheal.detection.neighbours import NearestRows
from selfheal.detection.window_config import DAY, WindowConfig
from selfheal.detection.windowed import WindowDetector
from selfheal.validators import between


@attrs.frozen(kw_only=True)
class CompositeConfig(WindowConfig):
    """Settings of a :class:`CompositeDetector`: those of :class:`WindowConfig`, and the following.

    Args:
        neighbours: how many of the nearest past samples count; 1 to 100. With more, an incident has to have been seen
            for longer before it counts as usual.
        lasting: as there, but 20 minutes.
        anchor: as there, but 28 days.

    Raises:
        ConfigError: if a value is out of range.
    """

    neighbours: int = attrs.field(default=20, validator=between(1, 100))
    lasting: float = attrs.field(default=1_200.0, validator=between(0.0, DAY, "s"))
    anchor: float = attrs.field(default=28 * DAY, validator=between(0.0, 365 * DAY, "s"))


class CompositeDetector(WindowDetector):
    """Says how far the metrics are, together, from the nearest samples of the last seven days.

    Each sample is scaled by what is usual for each metric, as a whole and at this time of day; the model is the window
    itself, at most 2,000 samples of it. The same is asked of the detector as it was at the end of its warm start, or
    after two weeks, and anew every 28 days; the score is a geometric mean of both, so that an incident of days
    does not pass for usual as soon as it is learnt. :meth:`anchor` says that a change is to stay. On recorded servers
    it finds more than the isolation forest on every set. Usage and guarantees are those of
    :class:`~selfheal.detection.MultivariateDetector`.

    Args:
        metrics: the names of the metrics.
        config: its settings, a :class:`CompositeConfig`; the fields may be given as keyword arguments instead.

    Raises:
        ConfigError: if a setting is out of range, or there is no metric.

    >>> detector = CompositeDetector(["cpu", "memory"])
    >>> past = [(300.0 * n, {"cpu": 20.0 + n % 7, "memory": 50.0 + n % 3}) for n in range(2000)]
    >>> detector.warm_start(past)
    2000
    >>> verdict = detector.score(600_000.0, {"cpu": 90.0, "memory": 51.0})
    >>> verdict.score > 3.0, verdict.reasons[0].metric
    (True, 'cpu')
    """

    kind: ClassVar[str] = "composite_detector"
    config_class: ClassVar[type[WindowConfig]] = CompositeConfig
    config: CompositeConfig

    def _fit(self, rows: NDArray[np.float64]) -> Model:
        return NearestRows(rows, self.config.neighbours)

    @classmethod
    def _read(cls, data: Mapping[str, Any], width: int) -> Model:
        return NearestRows.from_dict(data, width)
