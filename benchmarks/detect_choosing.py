"""Settings of the detector of several metrics, and what is found on machines that had no part in choosing them.

    python -m benchmarks.detect_choosing --data DIRECTORY [--machines N] [--jobs N]

Each machine of ``asd/``, ``smd/`` and ``services/`` is kept apart once: the other machines choose a setting, and the
machine is judged by that one. The setting chosen is the one whose worst figure, as a share of what that must be, is the
best. The settings are all combinations of how a row is made, where it is cut and what the anchor weighs, and what ships
with one other thing changed. So no machine chooses for itself, and none is left out. It is no blind test: those who
wrote down what to choose among had seen all machines.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attrs
import numpy as np

from benchmarks.detect_multivariate import STEPS, Recorded, by_ours, recordings
from benchmarks.ranking import auc_pr, vus_pr
from benchmarks.table import Gate, print_gates, print_table
from selfheal.detection import CompositeDetector, anchor, residual_rows, windowed
from selfheal.detection.residual_rows import FURTHEST, ResidualRows
from selfheal.detection.windowed import ANCHORED

MUST = {"asd": (0.43, 0.35), "smd": (0.50, 0.38), "services": (0.20, 0.0)}
"""AUC-PR and VUS-PR; 0 where nothing is asked."""
MEASURES = ("AUC-PR", "VUS-PR")
Areas = dict[str, dict[str, tuple[float, float]]]
"""Of one setting: AUC-PR and VUS-PR by set and machine."""


class FromWhole(ResidualRows):
    """Off from the mean of all that is known."""

    def _share(self, place: int, variance: float) -> float:
        return 0.0


class FromTimeOfDay(ResidualRows):
    """Off from the mean of this time of day."""

    def _share(self, place: int, variance: float) -> float:
        return 1.0


class InTwo(ResidualRows):
    """Each metric stands in the row twice: off from the whole, and off from the time of day."""

    def _share(self, place: int, variance: float) -> float:
        return float(place >= len(self.metrics) // 2)


@attrs.frozen
class Setting:
    """How a row is made, where it is cut, what the anchor weighs, and what is given to the detector."""

    rows: type[ResidualRows] = ResidualRows
    cut: float = FURTHEST
    weight: float = ANCHORED
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def areas(self, machine: Recorded) -> tuple[float, float]:
        """What it finds on a machine."""
        if self.rows is InTwo:
            machine = machine._replace(train=np.tile(machine.train, 2), test=np.tile(machine.test, 2))
        with contextlib.ExitStack() as changed:
            for part in (windowed, anchor):
                changed.enter_context(mock.patch.object(part, "ResidualRows", self.rows))
            changed.enter_context(mock.patch.object(residual_rows, "FURTHEST", self.cut))
            changed.enter_context(mock.patch.object(windowed, "ANCHORED", self.weight))
            scores = by_ours(partial(CompositeDetector, **self.options), machine)
        return auc_pr(machine.label, scores), vus_pr(machine.label, scores)


FORMS: Mapping[str, type[ResidualRows]] = {
    "leaning": ResidualRows,
    "from the whole": FromWhole,
    "from the time of day": FromTimeOfDay,
    "in two": InTwo,
}
CUTS = (10.0, 15.0, 30.0)
WEIGHTS = (0.5, 0.75)
SETTINGS: Mapping[str, Setting] = {
    **{
        f"{form}, cut at {cut:g}, anchor {weight}": Setting(FORMS[form], cut, weight)
        for form, cut, weight in itertools.product(FORMS, CUTS, WEIGHTS)
    },
    "40 neighbours": Setting(options={"neighbours": 40}),
    "fading over 10 minutes": Setting(options={"lasting": 600.0}),
    "fading over 40 minutes": Setting(options={"lasting": 2_400.0}),
    "12 samples": Setting(options={"smooth": 12}),
}


def measured(data: Path, most: int, setting: Setting) -> Areas:
    """What a setting finds on every machine."""
    areas: Areas = {
        kind: {machine.name: setting.areas(machine) for machine in recordings(data, kind, "all", most)}
        for kind in STEPS
    }
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


def run(data: Path, most: int = 100, jobs: int = 1, settings: Mapping[str, Setting] = SETTINGS) -> list[Gate]:
    """Print what was tried, what each machine was judged by, and give the gates."""
    with concurrent.futures.ProcessPoolExecutor(jobs) if jobs > 1 else contextlib.nullcontext() as pool:
        areas = (pool.map if pool else map)(partial(measured, data, most), settings.values())
        found = dict(zip(settings, areas, strict=True))
    kinds = list(next(iter(found.values())))
    if not kinds:
        print(f"{data}: no recordings")
        return []
    rows = [[name, *(_pair(mean(areas, kind)) for kind in kinds)] for name, areas in found.items()]
    print_table("AUC-PR / VUS-PR on all machines, by setting", ["setting", *kinds], rows)
    held, chosen = in_turn(found)
    rows = [[name, chosen[name], _pair(pair)] for kind in kinds for name, pair in held[kind].items()]
    print_table("each machine by the setting that all others choose", ["machine", "setting", "AUC-PR / VUS-PR"], rows)
    print("chosen:", ", ".join(f"{times} times {name}" for name, times in Counter(chosen.values()).most_common()))
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
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="settings tried at once")
    asked = parser.parse_args(arguments)
    return print_gates(run(asked.data, asked.machines, asked.jobs))


if __name__ == "__main__":
    raise SystemExit(main())
