"""Detection: every figure that has a gate, beside scikit-learn, River, PyOD, rrcf, plain statistics and published rows.

``python -m benchmarks.bench_detect --data FOLDER`` judges recorded series too: ``FOLDER/nab`` as in numenta/NAB, and
``FOLDER/asd``, ``FOLDER/smd`` and ``FOLDER/services`` with ``.npz`` files. Without it only what is made here by a seed
is judged. One setting for all series. Other packages are judged where they are installed. It takes about a quarter of
an hour.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    bench_leak,
    detect_multivariate,
    detect_recorded,
    detect_subsets,
    detect_thresholds,
    detect_univariate,
)
from benchmarks.table import Gate, print_gates

LEAK_SERIES = 200
ANCHORS = {
    "asd": "isolation forest .20/.16, principal components .29/.25, random .05/.06",
    "smd": "isolation forest .34/.23, principal components .48/.38, nearest neighbours .55/.46",
    "services": "isolation forest .14, random .05",
}
"""AUC-PR/VUS-PR measured before on all machines of a set, those used for tuning too."""
AMBITIOUS = {
    "one row, µs": 50.0,
    "one row, times as fast": 200.0,
    "rows, times as fast": 6.0,
    "asd: AUC-PR": 0.50,
    "asd: VUS-PR": 0.42,
    "smd: AUC-PR": 0.58,
    "smd: VUS-PR": 0.48,
    "services: AUC-PR": 0.28,
}


def aimed(gate: Gate) -> Gate:
    """A gate of several metrics, with what is aimed at beyond it and what others reach."""
    kind, _, rest = gate.what.partition(" ")
    measure = rest.rpartition(": ")[2]
    name = gate.what if gate.what in AMBITIOUS else f"{kind}: {measure}" if kind in ANCHORS else rest
    return gate._replace(ambitious=AMBITIOUS.get(name), beside=ANCHORS.get(kind, gate.beside))


def introduce(command: Sequence[str]) -> None:
    """Say what is measured, by which command and with what."""
    print(f"python -m benchmarks.bench_detect {' '.join(command)}".rstrip())
    found = [f"Python {platform.python_version()}"]
    for name in ("numpy", "scikit-learn", "river", "pyod", "rrcf"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    print(", ".join(found))
    print("One setting, the shipped defaults, for all series. Settings of the detectors were searched on every third")
    print("NAB series by name, and on the machines at places 0, 2, 4 … of the other sets; 'kept' are those they were")
    print("not searched on. NAB series kept were looked at while choosing between ways to go on: no blind test.")


def several(data: Path | None, peers: bool) -> list[Gate]:
    """Detectors of several metrics: speed, cost of imports, and what they find."""
    gates = detect_multivariate.race_forests()
    detect_multivariate.flag_noise()
    detect_multivariate.weigh_imports()
    if data is not None:
        contenders = {**detect_multivariate.CONTENDERS, **(detect_multivariate.peers() if peers else {})}
        quick = {name: each for name, each in contenders.items() if not detect_subsets.is_slow(name)}
        gates += detect_multivariate.judge(data, "kept", 100, quick)
        detect_subsets.run(data, "kept", contenders)
    return [aimed(gate) for gate in gates]


def measure(data: Path | None, quick: bool, peers: bool) -> list[Gate]:
    """Run all parts, and say how long each took."""
    recorded = data / "nab" if data else None
    parts: dict[str, Callable[[], list[Gate]]] = {
        "one metric, recorded": lambda: detect_recorded.run(recorded, peers) if recorded else [],
        "one metric": lambda: detect_univariate.run(quick),
        "several metrics": lambda: several(data, peers),
        "memory leaks": lambda: bench_leak.measure(2 if quick else LEAK_SERIES),
    }
    gates, took = [], []
    for name, part in parts.items():
        started = time.monotonic()
        gates += part()
        took.append(f"{name} {time.monotonic() - started:.0f} s")
    started = time.monotonic()
    detect_thresholds.run(recorded, 8 if quick else 35)
    took.append(f"thresholds {time.monotonic() - started:.0f} s")
    print(f"\ntook: {', '.join(took)}")
    return gates


def main(arguments: Sequence[str] = ()) -> int:
    """Print all tables and say which gate holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_detect", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with recorded series, in nab/, asd/, smd/ and services/")
    parser.add_argument("--no-peers", action="store_true", help="only ours, plain statistics and scikit-learn")
    parser.add_argument("--quick", action="store_true", help="little of everything, only to see that it runs")
    asked = parser.parse_args(arguments)
    introduce(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return print_gates(measure(asked.data, asked.quick, not asked.no_peers))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
