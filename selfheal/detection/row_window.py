"""The latest rows, as many as there is room for, spread evenly over a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfheal.detection.arrays import pack, unpack
from selfheal.detection.saved import Saved

KIND, VERSION = "row_window", 1


class RowWindow:
    """A ring of rows. When samples come faster than there is room for, it keeps one of several, evenly in time.

    Args:
        length: seconds after which a row is too old.
        room: rows kept at most.
        width: numbers of a row.
    """

    def __init__(self, length: float, room: int, width: int) -> None:
        self.length = length
        self.room = room
        self._times = np.full(room, np.nan)
        self._rows = np.zeros((room, width))
        self._next = 0
        self._due = -math.inf
        self._credit = 0.0

    def add(self, t: float, row: NDArray[np.float64], weight: float = 1.0) -> None:
        """Take a row of a time not before the last; with a weight below 1, only each so many rows."""
        spacing = self.length / self.room
        if t < self._due:
            return
        self._due = self._due + spacing if t < self._due + spacing else t + spacing
        self._credit += weight
        if self._credit < 1.0:
            return
        self._credit -= 1.0
        self._times[self._next], self._rows[self._next] = t, row
        self._next = (self._next + 1) % self.room

    def rows(self, t: float) -> NDArray[np.float64]:
        """A copy of the rows not older than the window at ``t``, oldest first."""
        order = np.roll(np.arange(self.room), -self._next)
        rows: NDArray[np.float64] = self._rows[order[self._times[order] > t - self.length]]
        return rows

    def count(self, t: float) -> int:
        """How many rows are not older than the window at ``t``."""
        return int(np.count_nonzero(self._times > t - self.length))

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        order = np.roll(np.arange(self.room), -self._next)
        order = order[~np.isnan(self._times[order])]
        due = None if math.isinf(self._due) else self._due
        return {
            "kind": KIND,
            "version": VERSION,
            "times": pack(self._times[order]),
            "rows": pack(self._rows[order]),
            "due": due,
            "credit": self._credit,
        }

    def load(self, data: Any) -> None:
        """Take over what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, damaged, or does not fit in here.
        """
        saved = Saved(data, KIND, VERSION)
        times, rows = unpack(saved, "times", "<f8"), unpack(saved, "rows", "<f8", 2)
        count = len(times)
        if len(rows) != count or count > self.room or rows.shape[1] != self._rows.shape[1]:
            raise saved.wrong(f"it has {rows.shape} rows and {count} times, room is for {self._rows.shape}")
        if not (np.isfinite(times).all() and np.isfinite(rows).all() and (np.diff(times) > 0).all()):
            raise saved.wrong("its numbers are not finite, or its times not in order")
        due = saved.optional("due")
        self._times[:] = np.nan
        self._times[:count], self._rows[:count] = times, rows
        self._next = count % self.room
        self._due = -math.inf if due is None else due
        self._credit = saved.number("credit", 0.0, 1.0)
