"""Thresholds by time of day: how often each way to set them calls usual samples unusual, on noise and on records.

Samples count after a week of learning; of recorded series only those outside of labelled windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import nab
from benchmarks.detect_univariate import LEARNT_DAYS, NOISES, noise
from benchmarks.table import print_table
from selfheal.detection import SeasonalBaseline
from selfheal.detection.baseline import normal_score
from selfheal.detection.seasons import DAY

STEP = 300.0
APART = 3600.0
"""Seconds without an unusual sample after which the next one is another episode."""
CONTENDERS: dict[str, tuple[str, float | tuple[float, float], tuple[int, int]]] = {
    "mean ± 3σ": ("sigma", 3.0, (1, 1)),
    "mean ± 2σ off-peak, ± 3σ at the peak": ("sigma", (2.0, 3.0), (1, 1)),
    "mean ± 3σ, three of five": ("sigma", 3.0, (3, 5)),
    "± 2σ off-peak, ± 3σ at the peak, three of five": ("sigma", (2.0, 3.0), (3, 5)),
    "calibrated, as rare as 3σ": ("calibrated", 3.0, (1, 1)),
    "calibrated, as rare as 2σ off-peak, 3σ at the peak": ("calibrated", (2.0, 3.0), (1, 1)),
}


def unusual(name: str, times: Sequence[float], values: Sequence[float]) -> NDArray[np.bool_]:
    """Which samples are beyond the thresholds of a contender."""
    mode, sigma, sustain = CONTENDERS[name]
    baseline = SeasonalBaseline(mode=mode, sigma=sigma, sustain=sustain)
    limits = [normal_score(each) for each in (sigma if isinstance(sigma, tuple) else (sigma, sigma))]
    found = np.zeros(len(times), bool)
    for n, (t, x) in enumerate(zip(times, values, strict=True)):
        verdict = baseline.update(t, x)
        found[n] = verdict.ready and verdict.score > min(limits) and verdict.score > limits[baseline.is_peak(t)]
    return found


def rates(times: Sequence[float], found: NDArray[np.bool_], judged: NDArray[np.bool_]) -> tuple[int, int, int, float]:
    """Samples judged, those of them unusual, episodes of them, and the days judged."""
    at = np.asarray(times)
    hits = at[found & judged]
    episodes = int((np.diff(hits) > APART).sum()) + 1 if len(hits) else 0
    step = float(np.median(np.diff(at)))
    return int(judged.sum()), len(hits), episodes, float(judged.sum()) * step / DAY


def _cells(counted: Sequence[tuple[int, int, int, float]]) -> list[str]:
    samples, hits, episodes, days = (sum(column) for column in zip(*counted, strict=True))
    return [f"{100.0 * hits / max(samples, 1):.2f} %", f"{7.0 * episodes / max(days, 1e-9):.1f}"]


def run(folder: Path | None, days: int = 35) -> None:
    """Print what part of usual samples each contender calls unusual, and how many episodes a week that makes."""
    quiet = {kind: noise(kind, STEP, days) for kind in NOISES}
    series = nab.load(folder) if folder else []
    rows = []
    for name in CONTENDERS:
        cells = []
        for times, values in quiet.values():
            judged = np.asarray(times) >= times[0] + LEARNT_DAYS * DAY
            cells += _cells([rates(times, unusual(name, times, values), judged)])
        if series:
            counted = []
            for each in series:
                judged = (np.asarray(each.times) >= each.times[0] + LEARNT_DAYS * DAY) & (each.window < 0)
                counted.append(rates(each.times, unusual(name, each.times, each.values), judged))
            cells += _cells(counted)
        rows.append([name, *cells])
    of = [*NOISES, *(["recorded"] if series else [])]
    head = ["thresholds by time of day", *(cell for kind in of for cell in (kind, "a week"))]
    print_table("usual samples called unusual, and episodes a week", head, rows)
