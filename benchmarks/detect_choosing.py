"""Settings of the detector of several metrics, and what is found on machines that had no part in choosing them.

    python -m benchmarks.detect_choosing --data DIRECTORY [--machines N]

Each machine of ``asd/``, ``smd/`` and ``services/`` is kept apart once: the other machines choose a setting, and the
machine is judged by that one. The setting chosen is the one whose worst figure, as a share of what that must be, is the
best. So no machine chooses among these settings for itself, and none is left out. That is no blind test: the form of a
row, where it is cut, and the weight of the anchor were chosen with all machines in view.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.detect_multivariate import STEPS, by_ours, recordings
from benchmarks.ranking import auc_pr, vus_pr
from benchmarks.table import Gate, print_gates, print_table
from selfheal.detection import CompositeDetector

MUST = {"asd": (0.43, 0.35), "smd": (0.50, 0.38), "services": (0.20, 0.0)}
"""AUC-PR and VUS-PR; 0 where nothing is asked."""
MEASURES = ("AUC-PR", "VUS-PR")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "as it ships": {},
    "40 neighbours": {"neighbours": 40},
    "fading over 10 minutes": {"lasting": 600.0},
    "fading over 40 minutes": {"lasting": 2_400.0},
    "12 samples": {"smooth": 12},
}
Areas = dict[str, dict[str, tuple[float, float]]]
"""Of one setting: AUC-PR and VUS-PR by set and machine."""


def measured(data: Path, options: Mapping[str, Any], most: int) -> Areas:
    """What a setting finds on every machine."""
    areas: Areas = {}
    for kind in STEPS:
        areas[kind] = {}
        for machine in recordings(data, kind, "all", most):
            scores = by_ours(partial(CompositeDetector, **options), machine)
            areas[kind][machine.name] = auc_pr(machine.label, scores), vus_pr(machine.label, scores)
    return {kind: machines for kind, machines in areas.items() if machines}


def mean(areas: Areas, kind: str, without: str = "") -> tuple[float, float]:
    """The mean of a set, with one machine left out."""
    left = [pair for name, pair in areas[kind].items() if name != without]
    return float(np.mean([pair[0] for pair in left])), float(np.mean([pair[1] for pair in left]))


def worth(areas: Areas, without: str) -> float:
    """The worst figure of a setting as a share of what it must be, one machine left out."""
    shares = []
    for kind, musts in MUST.items():
        if kind in areas and areas[kind].keys() - {without}:
            shares += [got / must for got, must in zip(mean(areas, kind, without), musts, strict=True) if must]
    return min(shares, default=0.0)


def in_turn(found: Mapping[str, Areas]) -> tuple[Areas, dict[str, str]]:
    """What each machine reaches by the setting that the others choose, and which that is."""
    held: Areas = {}
    chosen: dict[str, str] = {}
    for kind, machines in next(iter(found.values())).items():
        held[kind] = {}
        for name in machines:
            chosen[name] = max(found, key=lambda setting: worth(found[setting], name))
            held[kind][name] = found[chosen[name]][kind][name]
    return held, chosen


def run(data: Path, most: int = 100, settings: Mapping[str, Mapping[str, Any]] = SETTINGS) -> list[Gate]:
    """Print what was tried, what each machine was judged by, and give the gates."""
    found = {name: measured(data, options, most) for name, options in settings.items()}
    kinds = list(next(iter(found.values())))
    if not kinds:
        print(f"{data}: no recordings")
        return []
    rows = [[name, *(_pair(mean(areas, kind)) for kind in kinds)] for name, areas in found.items()]
    print_table("AUC-PR / VUS-PR on all machines, by setting", ["setting", *kinds], rows)
    held, chosen = in_turn(found)
    rows = [[name, chosen[name], _pair(pair)] for kind in kinds for name, pair in held[kind].items()]
    print_table("each machine by the setting that all others choose", ["machine", "setting", "AUC-PR / VUS-PR"], rows)
    return [
        Gate(f"{kind} kept in turn: {measure}", got, "≥", must)
        for kind in kinds
        for measure, got, must in zip(MEASURES, mean(held, kind), MUST[kind], strict=True)
        if must
    ]


def _pair(areas: tuple[float, float]) -> str:
    return " / ".join(f"{area:.3f}" for area in areas)


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose, judge, and say which gate holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detect_choosing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with asd/, smd/ and services/")
    parser.add_argument("--machines", type=int, default=100, help="of each set at most")
    asked = parser.parse_args(arguments)
    return print_gates(run(asked.data, asked.machines))


if __name__ == "__main__":
    raise SystemExit(main())
