"""Recorded incidents of one metric: ours, plain statistics and other packages by one scorer, published rows beside.

A peer is judged twice: *raw*, an alarm at each sample above the one threshold that suits the labels best, as the
Numenta Anomaly Benchmark does it; and with the calibration and the gate that ours has, at the budget that suits best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import detect_peers, nab
from benchmarks.detect_univariate import (
    BUDGETS,
    SIGMAS,
    Alarms,
    gated,
    literal,
    selfheal_scores,
    shipped,
    sigma_mode,
)
from benchmarks.table import Gate, print_table
from selfheal.detection import TailCalibrator

Candidate = dict[str, Alarms]
"""Alarms of one setting, by series."""

PUBLISHED = {
    "Random Cut Forest": (51.7, 38.4, 59.7),
    "windowed Gaussian": (39.6, 20.9, 47.4),
    "relative entropy": (54.6, 47.6, 58.8),
    "Numenta HTM": (70.5, 62.6, 75.2),
    "ARTime": (74.9, 65.1, 80.4),
}
"""Standard, low FP and low FN of results in numenta/NAB, on all its 58 series."""
THRESHOLDS = 60
SHORT = 2_500
MUST = {"standard": (62.0, 70.0), "low FP": (54.0, 62.0), "low FN": (68.0, 75.0)}
FIXED = (58.0, 65.0)
HEAD = ["NAB score", *nab.PROFILES, *(f"{profile}, kept" for profile in nab.PROFILES), "standard, searched on"]


class Judge:
    """Scores contenders on a set of series: on all, on those kept, and on those that settings were searched on.

    Args:
        series: numbered by their place, which tells whether settings were searched on them.
    """

    def __init__(self, series: Sequence[tuple[int, nab.Series]]) -> None:
        self.all = [each for _, each in series]
        self.kept = [each for number, each in series if not nab.is_tuned(number)]
        self.tuned = [each for number, each in series if nab.is_tuned(number)]
        self.rows: list[list[str]] = []

    def told(self, name: str, candidates: Sequence[Candidate]) -> dict[str, float]:
        """Add a row with the best of the candidates by profile, and say what was reached."""
        best = self._best(self.all, candidates)
        kept, tuned = self._best(self.kept, candidates), self._best(self.tuned, candidates)
        found = [*(best[p] for p in nab.PROFILES), *(kept[p] for p in nab.PROFILES), tuned["standard"]]
        self.rows.append([name, *(f"{value:.1f}" for value in found)])
        return best | {f"{profile}, kept": value for profile, value in kept.items()}

    def _best(self, series: Sequence[nab.Series], candidates: Sequence[Candidate]) -> dict[str, float]:
        if not series:
            return dict.fromkeys(nab.PROFILES, float("nan"))
        scores = [nab.score(series, alarms) for alarms in candidates]
        return {profile: max(each[profile] for each in scores) for profile in nab.PROFILES}

    def by(self, alarming: Callable[[Sequence[float], Sequence[float]], Alarms]) -> Candidate:
        return {each.name: alarming(each.times, each.values) for each in self.all}


class Peer(NamedTuple):
    """What a package scored, by series."""

    name: str
    raw: dict[str, NDArray[np.float64]]

    def above(self) -> list[Candidate]:
        """Alarms at each of many thresholds."""
        every = np.concatenate(list(self.raw.values()))
        cuts = np.unique(np.quantile(every, 1.0 - np.geomspace(0.3, 1e-5, THRESHOLDS)))
        return [{name: scores > cut for name, scores in self.raw.items()} for cut in cuts]

    def calibrated(self, series: Sequence[nab.Series]) -> list[Candidate]:
        """Alarms of our calibrator and gate on these scores, at each budget."""
        scored = {each.name: rarity(each.times, self.raw[each.name]) for each in series}
        return [{name: gated(scores, budget) for name, scores in scored.items()} for budget in BUDGETS]


def rarity(times: Sequence[float], raw: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """Time, score and usual step of each sample: the score tells how rarely the past scored as much."""
    calibrator, found = TailCalibrator(), []
    step, known = float(np.median(np.diff(times))), False
    for t, score in zip(times, raw.tolist(), strict=True):
        known = known or score > 0.0  # before the first fit all are 0, and say nothing
        found.append((t, calibrator.score(score) if known else 0.0, step))
        if known:
            calibrator.learn(score)
    return found


def ours(judge: Judge) -> tuple[dict[str, float], dict[str, float]]:
    """Rows of the detector as it ships, and of the budget that suits the labels best."""
    scored = {each.name: selfheal_scores(each.times, each.values) for each in judge.all}
    many = [{name: gated(scores, budget) for name, scores in scored.items()} for budget in BUDGETS]
    fixed = judge.told("selfheal as it ships", [judge.by(shipped)])
    return fixed, judge.told(f"selfheal, best of {len(BUDGETS)} budgets", many)


def plain(judge: Judge) -> None:
    """Rows of mean and standard deviation."""
    judge.told("selfheal mean ± 3σ mode", [judge.by(sigma_mode)])
    for name, days in (("mean ± 3σ of 7 days", 7.0), ("mean ± 3σ of an hour", 1.0 / 24.0)):
        judge.told(name, [judge.by(literal(3.0, days))])
        judge.told(f"{name}, best of {len(SIGMAS)} σ", [judge.by(literal(sigma, days)) for sigma in SIGMAS])


def others(judge: Judge, contenders: dict[str, detect_peers.Scoring]) -> None:
    """Two rows of each package."""
    for name, scoring in contenders.items():
        peer = Peer(name, {each.name: scoring(each.values) for each in judge.all})
        judge.told(f"{name}, raw", peer.above())
        judge.told(f"{name}, our calibration", peer.calibrated(judge.all))


def gates_of(fixed: dict[str, float], oracle: dict[str, float]) -> list[Gate]:
    """Those of the detector as it ships, and of its best budget: on the series kept, and on all."""
    gates = [
        Gate("NAB standard as it ships, kept", fixed["standard, kept"], "≥", *FIXED),
        Gate("NAB standard as it ships, all", fixed["standard"], "≥", *FIXED),
    ]
    anchors = {p: f"HTM {PUBLISHED['Numenta HTM'][n]}, ARTime {PUBLISHED['ARTime'][n]}" for n, p in enumerate(MUST)}
    for part, ending in (("kept", ", kept"), ("all", "")):
        for profile, (must, ambitious) in MUST.items():
            what = f"NAB {profile}, best budget, {part}"
            gates.append(Gate(what, oracle[profile + ending], "≥", must, ambitious, anchors[profile]))
    return gates


def run(folder: Path, peers: bool = True) -> list[Gate]:
    """Print what all contenders reach on the series of a folder; the gates of ours."""
    series = list(enumerate(nab.load(folder)))
    judge = Judge(series)
    print(f"\nNAB series that settings were searched on: {', '.join(each.name for each in judge.tuned)}")
    print(f"kept: {', '.join(each.name for each in judge.kept)}")
    fixed, oracle = ours(judge)
    plain(judge)
    if peers:
        others(judge, detect_peers.on_all())
    published = [[f"published, 58 series: {name}", *map(str, row), *[""] * 4] for name, row in PUBLISHED.items()]
    print_table(f"recorded incidents ({folder})", HEAD, [*judge.rows, *published])
    slow = detect_peers.on_some() if peers else {}
    if slow:
        few = Judge([(number, each) for number, each in series if len(each.values) <= SHORT])
        ours(few)
        others(few, slow)
        names = ", ".join(each.name for each in few.all)
        print_table(f"only series of at most {SHORT:,} samples: {names}", HEAD, few.rows)
    return gates_of(fixed, oracle)
