"""Detection: every figure that has a gate, beside scikit-learn, River, PyOD, rrcf, plain statistics and published rows.

``python -m benchmarks.bench_detect --data FOLDER`` judges recorded series too: ``FOLDER/nab`` as in numenta/NAB, and
``FOLDER/asd``, ``FOLDER/smd`` and ``FOLDER/services`` with ``.npz`` files. Without it only what is made here by a seed
is judged. One setting for all series. Other packages are judged where they are installed. On two idle cores it takes
about half an hour.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import importlib.metadata
import io
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy comes: two parts run side by side, on a core each

from benchmarks import (
    bench_leak,
    detect_choosing,
    detect_costs,
    detect_multivariate,
    detect_quiet,
    detect_recorded,
    detect_subsets,
    detect_thresholds,
    detect_univariate,
)
from benchmarks.table import Gate, print_gates

Part = Callable[[], list[Gate]]
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
    print("One setting, the shipped defaults, for all series. Settings were searched on every third NAB series")
    print("and, at first, on machines at places 0, 2, 4 … of the other sets; 'kept' are those not searched on, which")
    print("were looked at while choosing between ways to go on: no blind test. 'Kept in turn' is each machine by the")
    print("setting that all the others choose.")


def timed(quick: bool) -> list[Gate]:
    """What a call costs: nothing else runs meanwhile."""
    gates = [aimed(gate) for gate in detect_multivariate.race_forests()]
    detect_multivariate.flag_noise()
    detect_multivariate.weigh_imports()
    detect_costs.run(50 if quick else detect_costs.CALLS)
    return gates + detect_univariate.run(quick)


def several(data: Path, peers: bool) -> list[Gate]:
    """What detectors of several metrics find."""
    contenders = {**detect_multivariate.CONTENDERS, **(detect_multivariate.peers() if peers else {})}
    quick = {name: each for name, each in contenders.items() if not detect_subsets.is_slow(name)}
    detect_multivariate.judge(data, "kept", 100, quick)
    detect_subsets.run(data, "kept", contenders)
    return []


def chosen(data: Path, quick: bool, jobs: int) -> list[Gate]:
    """What ours finds on each machine by the setting that the others choose."""
    settings = dict(list(detect_choosing.SETTINGS.items())[: 2 if quick else None])
    return [aimed(gate) for gate in detect_choosing.run(data, jobs=jobs, settings=settings)]


def thresholds(recorded: Path | None, days: int) -> list[Gate]:
    """How often thresholds by time of day are wrong, which has no gate."""
    detect_thresholds.run(recorded, days)
    return []


def judged(data: Path | None, quick: bool, peers: bool) -> dict[str, Part]:
    """What is found, the longest first: parts that may run side by side."""
    found: dict[str, Part] = {}
    if data is not None:
        found["several metrics, recorded"] = partial(several, data, peers)
        found["one metric, recorded"] = partial(detect_recorded.run, data / "nab", peers)
    found["several metrics of noise"] = partial(detect_quiet.run, quick)
    found["memory leaks"] = partial(bench_leak.measure, 2 if quick else LEAK_SERIES)
    found["thresholds"] = partial(thresholds, data / "nab" if data else None, 8 if quick else 35)
    return found


def told(part: Part) -> tuple[list[Gate], str, float]:
    """Run a part: its gates, what it prints, and the seconds of the processor it took."""
    printed, started = io.StringIO(), time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        gates = part()
    return gates, printed.getvalue(), time.process_time() - started


def measure(parts: dict[str, Part], jobs: int) -> Iterator[Gate]:
    """Run parts, so many at once, print what they print, and say how long each took."""
    took = []
    with concurrent.futures.ProcessPoolExecutor(jobs) if jobs > 1 else contextlib.nullcontext() as pool:
        results = pool.map(told, parts.values()) if pool else map(told, parts.values())
        for name, (gates, printed, seconds) in zip(parts, results, strict=True):
            print(printed, end="", flush=True)
            took.append(f"{name} {seconds:.0f} s")
            yield from gates
    print(f"\nCPU: {', '.join(took)}")


def main(arguments: Sequence[str] = ()) -> int:
    """Print all tables and say which gate holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_detect", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with recorded series, in nab/, asd/, smd/ and services/")
    parser.add_argument("--no-peers", action="store_true", help="only ours, plain statistics and scikit-learn")
    parser.add_argument("--quick", action="store_true", help="little of everything, only to see that it runs")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="parts judged at once")
    asked = parser.parse_args(arguments)
    introduce(arguments)
    gates = [*measure({"costs": partial(timed, asked.quick)}, 1)]
    if asked.data is not None:
        gates += chosen(asked.data, asked.quick, asked.jobs)
    gates += measure(judged(asked.data, asked.quick, not asked.no_peers), asked.jobs)
    return print_gates(gates)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
