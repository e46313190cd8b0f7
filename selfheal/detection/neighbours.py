"""How far a row is from the nearest ones of the past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.arrays import pack, unpack
from selfheal.detection.saved import Saved

KIND, VERSION = "nearest_rows", 1
MOST_ROWS = 2_000
_BLOCK = 256


class NearestRows:
    """The root of the mean squared distance to the nearest known rows, per number of a row.

    Args:
        rows: the known rows, at most 2,000: more are thinned evenly.
        neighbours: how many of the nearest count; fewer where there are fewer rows.
    """

    def __init__(self, rows: NDArray[np.float64], neighbours: int) -> None:
        if len(rows) > MOST_ROWS:
            rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int)]
        self.neighbours = neighbours
        self._rows = np.ascontiguousarray(rows)
        self._squares = np.einsum("ij,ij->i", self._rows, self._rows)

    def deviations(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of each row: about 1 for one that is a spread off in everything."""
        return np.concatenate([self._some(rows[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)])

    def _some(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        squares = self._squares - 2.0 * (rows @ self._rows.T)
        nearest = min(self.neighbours, len(self._rows))
        squares.partition(nearest - 1, axis=1)
        mean = squares[:, :nearest].mean(axis=1) + np.einsum("ij,ij->i", rows, rows)
        distances: NDArray[np.float64] = np.sqrt(np.maximum(mean, 0.0))
        return distances

    def to_dict(self) -> dict[str, Any]:
        """It, as JSON data."""
        return {"kind": KIND, "version": VERSION, "neighbours": self.neighbours, "rows": pack(self._rows)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], width: int) -> NearestRows:
        """Make it anew from what :meth:`to_dict` gave, for rows of so many numbers.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        rows, neighbours = unpack(saved, "rows", "<f8", 2), saved.count("neighbours")
        if not 1 <= len(rows) <= MOST_ROWS or rows.shape[1] != width or not np.isfinite(rows).all() or not neighbours:
            raise saved.wrong(f"its rows, of shape {rows.shape}, are not finite rows of {width} numbers")
        return cls(rows, neighbours)
