"""What was usual some time ago, kept as it was: what long incidents since then cannot have taught otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from selfheal.detection.calibrator import TailCalibrator
from selfheal.detection.lately import Lately
from selfheal.detection.residual_rows import ResidualRows
from selfheal.detection.saved import Saved

KIND, VERSION = "anchor", 2
FIRST = 14 * 86_400.0
"""Seconds of the past before the first one, unless recorded history is given: working days and weekends twice."""

Rows = NDArray[np.float64]


class Model(Protocol):
    """What was fitted to the rows of a window. It does not change."""

    def deviations(self, rows: Rows) -> Rows:
        """How far each row is from those fitted: not negative, and larger is further."""

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""


@attrs.define(eq=False)
class Fitted:
    """A model, and what it was fitted to. It remembers the latest row: a sample is scored, and then learnt.

    Args:
        model: the model.
        at: wall seconds of the latest sample then.
        rows: how many rows it was fitted to.
    """

    model: Model
    at: float
    rows: int
    _latest: tuple[bytes, float] = attrs.field(default=(b"", 0.0), init=False, repr=False)

    def deviation(self, row: Rows) -> float:
        """How far a row is from those fitted."""
        asked = row.tobytes()
        if asked != self._latest[0]:
            self._latest = asked, float(self.model.deviations(row[None, :])[0])
        return self._latest[1]

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""
        return {"at": self.at, "rows": self.rows, "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], owner: str, read: Callable[[Mapping[str, Any]], Model]) -> Fitted:
        """Make it anew from what :meth:`to_dict` gave, ``read`` making the model.

        Raises:
            StateError: if the record is damaged.
        """
        part = Saved({**data, "kind": owner, "version": 1}, owner, 1)
        return cls(read(part.part("model")), part.number("at"), part.count("rows"))


class Anchor:
    """A detector as it was at one moment. Only the latest few deviations change.

    Args:
        rows: what was usual of each metric then, its own.
        fitted: the model in use then.
        calibrator: how large deviations were until then, its own.
        at: wall seconds of that moment.
        lately: the latest deviations, which a new one is averaged with.
    """

    def __init__(
        self, rows: ResidualRows, fitted: Fitted, calibrator: TailCalibrator, at: float, lately: Lately
    ) -> None:
        self.rows = rows
        self.fitted = fitted
        self.at = at
        self._calibrator = calibrator
        self._lately = lately

    @classmethod
    def of(cls, rows: ResidualRows, fitted: Fitted, calibrator: TailCalibrator, lately: Lately) -> Anchor:
        """One of what a detector knows now."""
        own = ResidualRows(rows.metrics, rows.zone)
        own.load(rows.to_dict())
        fitted = Fitted(fitted.model, fitted.at, fitted.rows)  # its latest row is another one
        return cls(own, fitted, TailCalibrator.from_dict(calibrator.to_dict()), rows.last, lately.copy())

    def deviation(self, t: float, x: Mapping[str, float]) -> float:
        """How far a sample is from what was usual then; 0 without a known metric."""
        row = self.rows.row(t, x)
        return 0.0 if row is None else self.fitted.deviation(row)

    def score(self, t: float, deviation: float, *, afresh: bool) -> float:
        """How rarely there was such a deviation, averaged with the latest ones, or without them after a gap."""
        return self._calibrator.score(deviation if afresh else self._lately.with_one(t, deviation))

    def take(self, t: float, deviation: float, *, afresh: bool) -> None:
        """Keep a deviation as the latest."""
        if afresh:
            self._lately.clear()
        self._lately.take(t, deviation)

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "at": self.at,
            "rows": self.rows.to_dict(),
            "calibrator": self._calibrator.to_dict(),
            "lately": self._lately.to_dict(),
            "fitted": self.fitted.to_dict(),
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], rows: ResidualRows, lately: Lately, fitted: Callable[[Any], Fitted]
    ) -> Anchor:
        """Make it anew from what :meth:`to_dict` gave, overwriting rows and deviations, with what reads a model.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        rows.load(saved.part("rows"))
        lately.load(saved.part("lately"))
        calibrator = TailCalibrator.from_dict(saved.part("calibrator"))
        return cls(rows, fitted(saved.part("fitted")), calibrator, saved.number("at"), lately)
