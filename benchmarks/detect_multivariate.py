"""Several metrics together: the forest beside scikit-learn's, and what is found on recorded servers.

    python -m benchmarks.detect_multivariate [--data DIRECTORY] [--part tuned|kept] [--machines N] [--only WORD]
                                             [--peers]

Without ``--data``: speed, import and memory cost, and the one-hour window on noise. With it: AUC-PR and VUS-PR on
``asd/``, ``smd/`` and ``services/`` (``.npz`` with ``train``, ``test``, ``label``), the random row beside. In sorted
order of their names, the machines at places 0, 2, 4 … were used for tuning, those at places 1, 3, 5 … kept apart.
One setting for all. Ours go on learning while they are tested, incidents included, except where it says "frozen".
"Best" is the share of incidents found by the threshold that suits the labels best, with at most one wrong alarm a day
and 1 % of the other time flagged; "found", "wrong" and "time" are what ``MULTIVARIATE_GATE`` makes of the scores:
incidents found, wrong alarms a day, and the share of the time without incidents that is in alarm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attrs
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from benchmarks.ranking import auc_pr, event_recall, found, vus_pr
from benchmarks.table import Gate, print_gates, print_table
from selfheal.detection import (
    MULTIVARIATE_GATE,
    AlertGate,
    CompositeDetector,
    FlatForest,
    IsolationForestDetector,
    OneClassSVMDetector,
)
from selfheal.detection.windowed import WindowDetector

Array = NDArray[Any]
STEPS = {"asd": 300.0, "smd": 60.0, "services": 300.0}
LEARNT_DAYS = 14
"""Days of ``train`` that are learnt, the latest."""
HOUR_ROWS = 60
NOISE_RUNS = 20


class Recorded(NamedTuple):
    """One machine: what was before, what is judged, and where the incidents are."""

    name: str
    step: float
    train: Array
    test: Array
    label: Array


def recordings(data: Path, kind: str, part: str, most: int) -> Iterator[Recorded]:
    """Machines of a set: ``"all"``, or the part that was used for ``"tuned"`` settings, or that ``"kept"`` apart."""
    files = sorted((data / kind).glob("*.npz"))
    files = files if part == "all" else files[part == "kept" :: 2]
    for file in files[:most]:
        with np.load(file) as found:
            step = STEPS[kind]
            train = found["train"][-int(LEARNT_DAYS * 86_400 / step) :].astype(float)
            yield Recorded(file.stem, step, train, found["test"].astype(float), found["label"].astype(int))


def scaled(machine: Recorded) -> tuple[Array, Array]:
    spread = machine.train.std(axis=0)
    spread[spread < 1e-9] = 1.0
    return (machine.train - machine.train.mean(axis=0)) / spread, (machine.test - machine.train.mean(axis=0)) / spread


def by_random(machine: Recorded) -> Array:
    return np.random.default_rng(0).random(len(machine.test))


def by_sklearn_forest(machine: Recorded) -> Array:
    scores: Array = -IsolationForest(random_state=0).fit(machine.train).score_samples(machine.test)
    return scores


def by_components(machine: Recorded) -> Array:
    """What principal components of 90 % of the variance leave over."""
    train, test = scaled(machine)
    _, sizes, ways = np.linalg.svd(train, full_matrices=False)
    kept = ways[: int(np.searchsorted(np.cumsum(sizes**2) / (sizes**2).sum(), 0.9)) + 1]
    test = np.clip(test, -50.0, 50.0)
    left: Array = ((test - test @ kept.T @ kept) ** 2).sum(axis=1)
    return left


def by_neighbours(machine: Recorded) -> Array:
    """The mean distance to the nearest 5 of 2,000 rows of the training part, which is all that is known."""
    train, test = (np.clip(part, -10.0, 10.0) for part in scaled(machine))
    known = train[np.linspace(0, len(train) - 1, min(len(train), 2_000)).astype(int)]
    found = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(known).kneighbors(test)
    scores: Array = found[0].mean(axis=1)
    return scores


def by_ours(make: Callable[[list[str]], WindowDetector], machine: Recorded, *, learn: bool = True) -> Array:
    """Score and learn one sample after the other, learning less during an alarm as a monitor does; or only score."""
    names = [f"m{n}" for n in range(machine.train.shape[1])]
    detector, gate, step = make(names), AlertGate(MULTIVARIATE_GATE), machine.step
    detector.warm_start((n * step, dict(zip(names, row, strict=True))) for n, row in enumerate(machine.train.tolist()))
    t = len(machine.train) * step
    if not learn:
        detector.config = attrs.evolve(detector.config, refit="called")
    scores = np.empty(len(machine.test))
    for n, row in enumerate(machine.test.tolist()):
        sample = dict(zip(names, row, strict=True))
        scores[n] = detector.score(t, sample).score
        gate.update(t, float(scores[n]), step)
        detector.learn(t, sample, gate.learning_weight(t) if learn else 0.0)
        t += step
    return scores


CONTENDERS: dict[str, Callable[[Recorded], Array]] = {
    "random": by_random,
    "sklearn IsolationForest": by_sklearn_forest,
    "principal components": by_components,
    "nearest 5, training part only": by_neighbours,
    "selfheal CompositeDetector": lambda machine: by_ours(CompositeDetector, machine),
    "selfheal CompositeDetector, frozen": lambda machine: by_ours(CompositeDetector, machine, learn=False),
    "selfheal without anchor": lambda machine: by_ours(lambda names: CompositeDetector(names, anchor=0.0), machine),
    "selfheal IsolationForestDetector": lambda machine: by_ours(IsolationForestDetector, machine),
    "selfheal OneClassSVMDetector": lambda machine: by_ours(OneClassSVMDetector, machine),
    "selfheal IsolationForestDetector, 1 hour": lambda machine: by_ours(
        lambda names: IsolationForestDetector(names, window=3600.0, least=8, refit_every=3600.0), machine
    ),
}


def peers() -> dict[str, Callable[[Recorded], Array]]:
    """Other packages, where they are installed."""
    found: dict[str, Callable[[Recorded], Array]] = {}
    try:
        from pyod.models.ecod import ECOD

        found["PyOD ECOD"] = lambda machine: np.asarray(ECOD().fit(machine.train).decision_function(machine.test))
    except ImportError:
        print("PyOD is not installed: left out")
    try:
        from river.anomaly import HalfSpaceTrees
        from river.compose import Pipeline
        from river.preprocessing import MinMaxScaler

        found["River HalfSpaceTrees"] = lambda machine: _by_river(
            Pipeline(MinMaxScaler(), HalfSpaceTrees(seed=0)), machine
        )
    except ImportError:
        print("River is not installed: left out")
    try:
        import rrcf

        found["rrcf, 10 trees"] = lambda machine: _by_rrcf(rrcf, machine)
    except ImportError:
        print("rrcf is not installed: left out")
    return found


def _by_river(model: Any, machine: Recorded) -> Array:
    for row in machine.train.tolist():
        model.learn_one(dict(enumerate(row)))
    scores = []
    for row in machine.test.tolist():
        scores.append(model.score_one(dict(enumerate(row))))
        model.learn_one(dict(enumerate(row)))
    return np.array(scores)


def _by_rrcf(rrcf: Any, machine: Recorded) -> Array:
    train, test = scaled(machine)
    draw = np.random.default_rng(0)
    trees = [
        rrcf.RCTree(train[draw.choice(len(train), min(256, len(train)), replace=False)], random_state=n)
        for n in range(10)
    ]
    scores = []
    for row in test:
        total = 0.0
        for tree in trees:
            tree.insert_point(row, index="asked")
            total += tree.codisp("asked")
            tree.forget_point("asked")
        scores.append(total)
    return np.array(scores)


def in_alarm(machine: Recorded, scores: Array) -> Array:
    """Which samples are during an alarm of the gate as shipped."""
    gate, active = AlertGate(MULTIVARIATE_GATE), np.zeros(len(scores), bool)
    for n, score in enumerate(scores.tolist()):
        gate.update(n * machine.step, score, machine.step)
        active[n] = gate.active
    return active


def judge(data: Path, part: str, most: int, contenders: dict[str, Callable[[Recorded], Array]]) -> None:
    """Print what each contender finds on the machines of each set, on the mean of them."""
    head = ["detector", "AUC-PR", "VUS-PR", "best", "µs a sample", "found", "wrong", "time"]
    for kind in STEPS:
        machines = list(recordings(data, kind, part, most))
        if not machines:
            print(f"{data / kind}: no recordings")
            continue
        rows = []
        for name, contender in contenders.items():
            started = time.thread_time()
            scored = [(machine, contender(machine)) for machine in machines]
            took = (time.thread_time() - started) / sum(len(m.train) + len(m.test) for m in machines)
            areas = (np.mean([measure(m.label, s) for m, s in scored]) for measure in (auc_pr, vus_pr))
            best = np.mean([event_recall(m.label, s, m.step) for m, s in scored])
            row = [name, *(f"{area:.3f}" for area in areas), f"{best:.2f}", f"{took * 1e6:.0f}"]
            if name.startswith("selfheal"):
                recall, wrong, share = np.mean([found(m.label, in_alarm(m, s), m.step) for m, s in scored], axis=0)
                row += [f"{recall:.2f}", f"{wrong:.2f}", f"{100 * share:.1f} %"]
            rows.append(row + [""] * (len(head) - len(row)))
        print_table(f"{kind}, {part}: {', '.join(machine.name for machine in machines)}", head, rows)


def least(calls: Mapping[Callable[[], object], int]) -> list[float]:
    """Microseconds of CPU that each took at its quickest, called so many times in each of ten turns.

    They take turns, so that a machine that is busy for a while is so for all of them.
    """
    took: dict[Callable[[], object], int] = dict.fromkeys(calls, sys.maxsize)
    for _ in range(10):
        for call, times in calls.items():
            call()
            for _ in range(times):
                started = time.thread_time_ns()
                call()
                took[call] = min(took[call], time.thread_time_ns() - started)
    return [nanoseconds / 1000.0 for nanoseconds in took.values()]


def race_forests() -> list[Gate]:
    """The flattened forest beside scikit-learn's, on the same rows; a difference in one bit ends it."""
    rows = np.random.default_rng(0).normal(size=(10_000, 4))
    theirs = IsolationForest(random_state=0).fit(rows[:2_000])
    ours = FlatForest.from_sklearn(theirs)
    one = [float(value) for value in rows[0]]
    sklearn_single, single = least({lambda: theirs.score_samples(rows[:1]): 3, lambda: ours.score(one): 200})
    table = [["1", f"{sklearn_single:,.0f}", f"{single:,.1f}", f"{sklearn_single / single:.0f} ×"]]
    gates = [
        Gate("one row, µs", single, "≤", 100.0),
        Gate("one row, times as fast", sklearn_single / single, "≥", 100.0),
    ]
    for count in (10, 100, 1_000, 10_000):
        batch = rows[:count]
        if theirs.score_samples(batch).tobytes() != ours.score_samples(batch).tobytes():
            raise SystemExit(f"the scores of {count} rows differ")
        slow, quick = least({partial(theirs.score_samples, batch): 3, partial(ours.score_samples, batch): 3})
        table.append([f"{count:,}", f"{slow:,.0f}", f"{quick:,.0f}", f"{slow / quick:.1f} ×"])
        if count <= 1_000:
            gates.append(Gate(f"{count:,} rows, times as fast", slow / quick, "≥", 4.0))
    print_table("100 trees of 256 rows, 4 metrics, bit-equal: µs of CPU", ["rows", "sklearn", "flat", ""], table)
    return gates


def flag_noise() -> None:
    """What part of an hour of pure noise the predictions of scikit-learn call an outlier, at a new sample."""
    flagged = {"IsolationForest": 0.0, "OneClassSVM": 0.0}
    for seed in range(NOISE_RUNS):
        draw = np.random.default_rng(seed)
        seen, new = draw.normal(size=(HOUR_ROWS, 4)), draw.normal(size=(500, 4))
        for name, model in (
            ("IsolationForest", IsolationForest(random_state=seed)),
            ("OneClassSVM", OneClassSVM(nu=0.05)),
        ):
            flagged[name] += float((model.fit(seen).predict(new) < 0).mean()) / NOISE_RUNS
    rows = [[name, f"{100 * part:.0f} %"] for name, part in flagged.items()]
    print_table(
        f"normal samples flagged after {HOUR_ROWS} rows of noise, 4 metrics", ["sklearn's predict", "flagged"], rows
    )


COST = """
import sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
before, started = resident(), time.process_time()
{code}
print(f"{{1000 * (time.process_time() - started):.0f}} {{resident() - before:.1f}} {{'sklearn' in sys.modules}}")
"""


def weigh_imports() -> None:
    """CPU and memory of looking at the room, of making detectors, and of the first forest."""
    one = "(300.0 * n, {'a': n % 7, 'b': n % 5}) for n in range(500)"
    steps = {
        "import selfheal.detection": "import selfheal.detection",
        "a CompositeDetector of two metrics, 500 samples": (
            f"from selfheal.detection import CompositeDetector as D; D(['a', 'b']).warm_start({one})"
        ),
        "an IsolationForestDetector of two metrics, 500 samples": (
            f"from selfheal.detection import IsolationForestDetector as D; D(['a', 'b']).warm_start({one})"
        ),
    }
    rows = []
    for name, code in steps.items():
        command = [sys.executable, "-c", COST.format(code=code)]
        cpu, memory, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        rows.append([name, cpu, memory, "yes" if loaded == "True" else "no"])
    print_table("what it costs in a fresh interpreter", ["", "CPU ms", "MB", "scikit-learn loaded"], rows)


def main() -> int:
    """Run what was asked for and say which gate holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="directory with asd/, smd/ and services/")
    parser.add_argument("--part", choices=("tuned", "kept", "all"), default="kept", help="machines (default: kept)")
    parser.add_argument("--machines", type=int, default=100, help="of each set at most")
    parser.add_argument("--only", default="", help="detectors with this in their names, and no measurements of speed")
    parser.add_argument("--peers", action="store_true", help="PyOD, River and rrcf too, where installed (minutes)")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    gates = []
    if not asked.only:
        gates = race_forests()
        flag_noise()
        weigh_imports()
    if asked.data:
        contenders = {**CONTENDERS, **(peers() if asked.peers else {})}
        contenders = {name: contender for name, contender in contenders.items() if asked.only in name}
        judge(asked.data, asked.part, asked.machines, contenders)
    return print_gates(gates)


if __name__ == "__main__":
    sys.exit(main())
