"""Detectors of several metrics that take too long for all recordings, on a part of them; ours on the same beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.detect_multivariate import STEPS, Recorded, recordings
from benchmarks.ranking import auc_pr, vus_pr
from benchmarks.table import print_table

Contender = Callable[[Recorded], NDArray[np.float64]]
EVERY = 10
THINNED, ALONE = "rrcf", "1 hour"
"""What is in the names of contenders that take milliseconds a sample, and of those that are fitted every hour."""
BESIDE = ("random", "sklearn IsolationForest", "selfheal CompositeDetector", "selfheal CompositeDetector, frozen")


def is_slow(name: str) -> bool:
    """Whether a contender is judged on a part only."""
    return THINNED in name or ALONE in name


def thinned(machine: Recorded) -> Recorded:
    """The same machine, had it been sampled so much less often."""
    train, test, label = (rows[::EVERY] for rows in (machine.train, machine.test, machine.label))
    return Recorded(machine.name, EVERY * machine.step, train, test, label)


def run(data: Path, part: str, contenders: Mapping[str, Contender]) -> None:
    """Print the areas of the slow contenders: every tenth sample of all machines, and the first machine of a set."""
    for kind in STEPS:
        machines = list(recordings(data, kind, part, 100))
        few = [each for each in map(thinned, machines) if each.label.any()]
        _compare(f"{kind}, {part}, every {EVERY}th sample only", few, contenders, THINNED, BESIDE)
    first = list(recordings(data, "asd", part, 1))
    beside = ("random", "selfheal IsolationForestDetector", "selfheal CompositeDetector")
    _compare(f"asd, {part}, one machine only", first, contenders, ALONE, beside)


def _compare(
    title: str, machines: list[Recorded], contenders: Mapping[str, Contender], word: str, beside: tuple[str, ...]
) -> None:
    slow = [name for name in contenders if word in name]
    if not slow or not machines:
        return
    rows = []
    for name in [*(name for name in beside if name in contenders), *slow]:
        scored = [(machine.label, contenders[name](machine)) for machine in machines]
        areas = (np.mean([measure(*pair) for pair in scored]) for measure in (auc_pr, vus_pr))
        rows.append([name, *(f"{area:.3f}" for area in areas)])
    names = ", ".join(machine.name for machine in machines)
    print_table(f"{title}: {names}", ["detector", "AUC-PR", "VUS-PR"], rows)
