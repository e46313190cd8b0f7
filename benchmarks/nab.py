"""The score of the Numenta Anomaly Benchmark (v1.1): early detections inside labelled windows gain, false ones cost.

Source: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms", 2015, and the scorer of numenta/NAB. It
reads a folder with ``data/`` and ``labels/combined_windows.json`` of that repository, or a part of it.
"""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PROFILES = {"standard": (1.0, 0.11), "low FP": (1.0, 0.22), "low FN": (2.0, 0.11)}
"""Cost of a missed window, and of a false alarm, by profile."""
PROBATION, LONGEST_PROBATION = 0.15, 750


class Series(NamedTuple):
    """One recorded metric.

    Args:
        name: its file.
        times: wall seconds, taken as UTC.
        values: one for each time.
        worth: of an alarm at each time: what part of a window it gains, or loses (negative).
        window: number of the window in which each time lies; -1 outside of all.
        judged: whether it counts: not in the first part, from which a detector may learn.
    """

    name: str
    times: list[float]
    values: list[float]
    worth: Array
    window: NDArray[np.int64]
    judged: NDArray[np.bool_]


def load(folder: Path) -> list[Series]:
    """All series that the folder has labels and data for, by name."""
    labels: dict[str, list[list[str]]] = json.loads((folder / "labels" / "combined_windows.json").read_text())
    there = sorted(name for name in labels if (folder / "data" / name).exists())
    return [_series(name, folder / "data" / name, labels[name]) for name in there]


def is_tuned(number: int) -> bool:
    """Whether settings were searched on the series of that number, by name: every third.

    The others were not searched on, but their scores were seen while choosing: they are no blind test.
    """
    return number % 3 == 0


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text[:19]).replace(tzinfo=datetime.UTC).timestamp()


def _series(name: str, file: Path, windows: Sequence[Sequence[str]]) -> Series:
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    times = [_seconds(row["timestamp"]) for row in rows]
    worth, window = _worth(times, [(_seconds(start), _seconds(end)) for start, end in windows])
    judged = np.arange(len(times)) >= min(math.floor(PROBATION * len(times)), LONGEST_PROBATION)
    return Series(name, times, [float(row["value"]) for row in rows], worth, window, judged)


def _sigmoid(x: float) -> float:
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def _worth(times: list[float], windows: Sequence[tuple[float, float]]) -> tuple[Array, NDArray[np.int64]]:
    """What an alarm at each time is worth: most at the beginning of a window, less than nothing after it."""
    worth, window = np.full(len(times), -1.0), np.full(len(times), -1)
    bounds = [(times.index(start), times.index(end)) for start, end in windows]
    for n, (first, last) in enumerate(bounds):
        width = last - first + 1
        for i in range(first, last + 1):
            worth[i], window[i] = _sigmoid(-(last - i + 1) / width) / _sigmoid(-1.0), n
        until = bounds[n + 1][0] if n + 1 < len(bounds) else len(times)
        for i in range(last + 1, until):
            worth[i] = _sigmoid((i - last) / (width - 1))
    return worth, window


def score(series: Sequence[Series], alarms: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """The score of alarms (true or false for each time), by profile: 0 for none at all, 100 for perfect ones."""
    found = {}
    for profile, (missed, false) in PROFILES.items():
        reached = nothing = perfect = 0.0
        for each in series:
            hits = alarms[each.name].astype(bool) & each.judged
            reached += false * float(each.worth[hits & (each.window < 0)].sum())
            for n in range(int(each.window.max(initial=-1)) + 1):
                inside = each.window == n
                perfect += 1.0
                if (inside & each.judged).any():
                    nothing -= missed
                    gains = each.worth[inside & hits]
                    reached += float(gains.max()) if len(gains) else -missed
        found[profile] = 100.0 * (reached - nothing) / (perfect - nothing)
    return found
