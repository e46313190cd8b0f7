"""What the multivariate detectors have in common: residuals in a sliding window, a model of them, calibration."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.anchor import FIRST, Anchor, Fitted, Model, Rows
from selfheal.detection.arrays import check_seal, seal
from selfheal.detection.calibrator import TailCalibrator
from selfheal.detection.lately import Lately
from selfheal.detection.residual_rows import ResidualRows
from selfheal.detection.row_window import RowWindow
from selfheal.detection.verdict import NOTHING_SAID, Reason, Verdict
from selfheal.detection.window_config import WindowConfig, some_metrics

VERSION = 3
UNUSUAL = 1.0
"""From this score on, reasons are given."""
MOST_REASONS = 5
MOST_ASKED = 10
"""Metrics whose contribution is worked out: those furthest off, so that many metrics cost no more than ten."""
DAY = 86_400.0
ANCHORED = 0.75
"""Weight of the anchor. With more, long incidents rank higher, and an alarm stays on longer after a lasting change."""
SHORTEST = 6.9 * DAY
"""Recorded history that makes an anchor: a week, less what may be missing at its ends."""


class WindowDetector(ABC):
    """A :class:`~selfheal.detection.MultivariateDetector` that fits a model to a sliding window of residuals.

    Each sample becomes a row of residuals, the model says how far that is from the window, the mean of the latest few,
    or of a longer while, how far it was lately, and a calibrator how rarely that happens. A model is fitted when there
    are enough rows, again each time they have doubled, and then every ``refit_every`` seconds; until the next one is
    ready the last one is used. No verdict is ready before a day of samples, or a window of them where that is shorter.

    Where ``anchor`` is set, a sample is also compared with an anchor: the detector as it was at the end of
    :meth:`warm_start`, or after two weeks, and anew after so many seconds. The score is the geometric
    mean of the two, that of the anchor weighing three times: where either finds nothing unusual, there is nothing.

    With ``refit="inline"`` :meth:`learn` fits, within the call. With ``refit="called"`` it does not: ask
    :meth:`refit_due`, and call :meth:`refit` from a task; or take :meth:`fitting` under the lock, call it outside, and
    :meth:`install` what it gives under the lock again.

    Not thread-safe: the owner holds a lock.
    """

    kind: ClassVar[str]
    config_class: ClassVar[type[WindowConfig]] = WindowConfig

    def __init__(self, metrics: Iterable[str], config: WindowConfig | None = None, **options: Any) -> None:
        self._metrics = some_metrics(metrics)
        self.config = self.config_class(**options) if config is None else attrs.evolve(config, **options)
        self.reset()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics it looks at, in its own order."""
        return self._metrics

    @property
    def fitted(self) -> Fitted | None:
        """The model in use; ``None`` before the first."""
        return self._fitted

    def reset(self) -> None:
        """Forget all that was learnt; settings stay."""
        config = self.config
        self._rows = ResidualRows(self._metrics, config.zone)
        self._window = RowWindow(config.window, config.max_rows, len(self._metrics))
        self._calibrator = TailCalibrator()
        self._lately = Lately(config.smooth, config.lasting)
        self._fitted: Fitted | None = None
        self._anchor: Anchor | None = None
        self._first = math.nan

    def score(self, t: float, x: Mapping[str, float]) -> Verdict:
        """Say how unlikely a sample is at ``t`` (wall seconds). Changes nothing that a later verdict depends on."""
        row = self._rows.row(t, x)
        return self._verdict(t, x, row, self._deviation(row), self._from_anchor(t, x, row))

    def learn(self, t: float, x: Mapping[str, float], weight: float = 1.0) -> None:
        """Take a sample into the past, with a weight from 0 to 1; not one without a known metric, late or repeated."""
        row = self._rows.row(t, x)
        if row is not None and self._rows.is_next(t):
            self._learn(t, x, weight, row, self._deviation(row), self._from_anchor(t, x, row))

    def update(self, t: float, x: Mapping[str, float]) -> Verdict:
        """Score a sample, then learn it."""
        row = self._rows.row(t, x)
        deviation, anchored = self._deviation(row), self._from_anchor(t, x, row)
        verdict = self._verdict(t, x, row, deviation, anchored)
        if row is not None and self._rows.is_next(t):
            self._learn(t, x, 1.0, row, deviation, anchored)
        return verdict

    def warm_start(self, history: Iterable[tuple[float, Mapping[str, float]]]) -> int:
        """Learn pairs of time and sample, oldest first, and tell how many there were.

        Models are fitted as it goes, also with ``refit="called"``: this is not the hot path. What is known at the end
        becomes the anchor, if that is at least the window, or a week of it.
        """
        count = 0
        for t, x in history:
            self.learn(t, x)
            count += 1
            if self.refit_due():
                self.refit()
        if count and self._rows.last - self._first >= min(self.config.window, SHORTEST):
            self.anchor()
        return count

    def anchor(self) -> bool:
        """Make what is known now the anchor, as when a change is to stay; ``False`` if there is none or too little."""
        if not self.config.anchor or self._fitted is None or not self._calibrator.ready:
            return False
        self._anchor = Anchor.of(self._rows, self._fitted, self._calibrator, self._lately)
        return True

    def refit_due(self) -> bool:
        """Whether the window has changed enough that a new model should be fitted."""
        at = self._rows.last
        if math.isnan(at):
            return False
        if self._fitted is not None and at < self._fitted.at + self.config.refit_every:
            few = self._fitted.rows <= self.config.max_rows // 2
            return few and self._window.count(at) >= 2 * self._fitted.rows
        return self._window.count(at) >= self.config.least

    def refit(self) -> None:
        """Fit a model to the window as it is, and use it; nothing while there are fewer than ``least`` rows."""
        job = self.fitting()
        if job is not None:
            self.install(job())

    def fitting(self) -> Callable[[], Fitted] | None:
        """What fits a model to a copy of the window, to be called anywhere; ``None`` while there are too few rows."""
        at = self._rows.last
        rows = self._window.rows(at)
        if math.isnan(at) or len(rows) < self.config.least:
            return None
        return lambda: Fitted(self._fit(rows), at, len(rows))

    def install(self, fitted: Fitted) -> None:
        """Use a model from now on."""
        self._fitted = fitted

    @abstractmethod
    def _fit(self, rows: Rows) -> Model:
        """Fit a model to rows that are its own; it may change them, and must touch nothing else that changes."""

    @classmethod
    @abstractmethod
    def _read(cls, data: Mapping[str, Any], width: int) -> Model:
        """Make a model anew from what its ``to_dict`` gave; StateError if it is damaged."""

    def _deviation(self, row: Rows | None) -> float | None:
        return None if row is None or self._fitted is None else self._fitted.deviation(row)

    def _from_anchor(self, t: float, x: Mapping[str, float], row: Rows | None) -> float:
        return 0.0 if row is None or self._anchor is None else self._anchor.deviation(t, x)

    def _verdict(
        self, t: float, x: Mapping[str, float], row: Rows | None, deviation: float | None, anchored: float
    ) -> Verdict:
        if row is None or deviation is None:
            return NOTHING_SAID
        afresh = self._rows.after_gap(t)
        now = score = self._calibrator.score(deviation if afresh else self._lately.with_one(t, deviation))
        then = 0.0
        if self._anchor is not None:
            then = self._anchor.score(t, anchored, afresh=afresh)
            score = now ** (1.0 - ANCHORED) * then**ANCHORED
        reasons = self._reasons(t, x, score, by_anchor=then > now) if score >= UNUSUAL else ()
        long_enough = t - self._first >= min(self.config.window, DAY)
        return Verdict.of(score, reasons, ready=self._calibrator.ready and long_enough)

    def _reasons(self, t: float, x: Mapping[str, float], score: float, *, by_anchor: bool) -> tuple[Reason, ...]:
        """What the metrics contributed, most first."""
        rows, fitted = self._rows, self._fitted
        if by_anchor and self._anchor is not None:
            rows, fitted = self._anchor.rows, self._anchor.fitted
        row = rows.row(t, x)
        if row is None or fitted is None:
            return ()
        furthest = np.argsort(-np.abs(row), kind="stable")[:MOST_ASKED]
        shares = self._shares(row, furthest, fitted.model)
        total = float(shares.sum())
        if total <= 0.0:
            return ()
        reasons = []
        for at in np.argsort(-shares, kind="stable")[:MOST_REASONS].tolist():
            place, share = int(furthest[at]), float(shares[at]) / total
            if share < 0.05:
                break
            spreads = float(row[place])
            why = f"{abs(spreads):.3g} spreads {'above' if spreads > 0 else 'below'} what is usual at this time of day"
            name = self._metrics[place]
            value = float(x.get(name, math.nan))
            reasons.append(Reason(name, value, rows.usual(t, place), share * score, why))
        return tuple(reasons)

    def _shares(self, row: Rows, places: NDArray[np.intp], model: Model) -> Rows:
        """By how much less the row would deviate if the metric at each of the places were as usual."""
        without = np.tile(row, (len(places) + 1, 1))
        without[np.arange(len(places)), places] = 0.0
        deviations = model.deviations(without)
        shares: Rows = np.maximum(deviations[-1] - deviations[:-1], 0.0)
        return shares

    def _learn(
        self, t: float, x: Mapping[str, float], weight: float, row: Rows, deviation: float | None, anchored: float
    ) -> None:
        afresh = self._rows.after_gap(t)
        if afresh:
            self._lately.clear()
        if self._anchor is not None:
            self._anchor.take(t, anchored, afresh=afresh)
        if math.isnan(self._first):
            self._first = t
        if deviation is not None:
            self._calibrator.learn(self._lately.with_one(t, deviation), weight)
            self._lately.take(t, deviation)
        self._window.add(t, row, weight)
        self._rows.learn(t, x, weight)
        if self.config.refit == "inline" and self.refit_due():
            self.refit()
        since, wait = (self._first, FIRST) if self._anchor is None else (self._anchor.at, self.config.anchor)
        if t - since >= wait:
            self.anchor()

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt, as JSON data with a checksum: numbers and plain arrays."""
        fitted = self._fitted
        record: dict[str, Any] = {
            "kind": self.kind,
            "version": VERSION,
            "metrics": list(self._metrics),
            "config": attrs.asdict(self.config),
            "rows": self._rows.to_dict(),
            "window": self._window.to_dict(),
            "calibrator": self._calibrator.to_dict(),
            "lately": self._lately.to_dict(),
            "first": None if math.isnan(self._first) else self._first,
            "fitted": None if fitted is None else fitted.to_dict(),
            "anchor": None if self._anchor is None else self._anchor.to_dict(),
        }
        return seal(record)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = check_seal(data, cls.kind, VERSION)
        try:
            metrics = some_metrics(data.get("metrics") or ())
            made = cls(metrics, cls.config_class(**saved.part("config")))
        except (TypeError, ValueError) as error:  # ConfigError is a ValueError
            raise saved.wrong(f"its settings are not accepted: {error}") from error
        made._rows.load(saved.part("rows"))
        made._window.load(saved.part("window"))
        made._calibrator = TailCalibrator.from_dict(saved.part("calibrator"))
        made._lately.load(saved.part("lately"))
        first = saved.optional("first")
        made._first = math.nan if first is None else first
        if data.get("fitted") is not None:
            made._fitted = made._read_fitted(saved.part("fitted"))
        if data.get("anchor") is not None:
            rows, lately = ResidualRows(metrics, made.config.zone), made._lately.copy()
            made._anchor = Anchor.from_dict(saved.part("anchor"), rows, lately, made._read_fitted)
        return made

    def _read_fitted(self, data: Mapping[str, Any]) -> Fitted:
        return Fitted.from_dict(data, self.kind, lambda model: self._read(model, len(self._metrics)))
