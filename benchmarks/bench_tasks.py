"""The task registry's engine beside APScheduler 3, both measured in one run.

``python -m benchmarks.bench_tasks`` takes about a minute and a half and prints a table and, for each gate, whether
it holds. Each figure comes from a process of its own, so that neither engine pays for the other's threads.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from statistics import median
from typing import Any

OURS, PEER = "selfheal", "APScheduler"
SPREAD_FOR = 6.0
HERD_EVERY = 2.5
HERD_ROUNDS = 3
IDLE_FOR = 5.0
Figures = dict[str, float]


def _p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] if ordered else float("inf")


class Subject:
    """One engine behind one small face: tasks at absolute times, then start and stop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._peer: Any = None
        self._registry: Any = None
        if name == OURS:
            from selfheal.tasks import TaskRegistry

            self._registry = TaskRegistry(max_tasks=20_000, start=False)
        else:
            from apscheduler.schedulers.background import BackgroundScheduler

            self._peer = BackgroundScheduler()

    def add(self, number: int, fn: Callable[[], None], every: float, first: float) -> None:
        """Run ``fn`` at ``first`` (monotonic seconds) and every ``every`` seconds from then on."""
        ahead = first - time.monotonic()
        if self._registry is not None:
            self._registry.register_interval(f"task-{number}", fn, every, first_after=max(ahead, 0.0))
        else:
            start = datetime.now().astimezone() + timedelta(seconds=ahead)
            self._peer.add_job(fn, "interval", seconds=every, start_date=start, id=f"task-{number}")

    def start(self) -> None:
        (self._registry or self._peer).start()

    def stop(self) -> None:
        if self._registry is not None:
            self._registry.shutdown()
        else:
            self._peer.shutdown(wait=False)


def _recorder(late: list[list[float]], first: float, every: float) -> Callable[[], None]:
    """A short task that notes how late it started against its own grid."""
    rounds = itertools.count()
    monotonic = time.monotonic

    def task() -> None:
        number = next(rounds)
        late[number].append(monotonic() - first - every * number)

    return task


def _nothing() -> None:
    """What a task does that is never due."""


def rounds_of_lateness() -> list[list[float]]:
    """Room for the lateness of each run, one list for each round of slots."""
    return [[] for _ in range(100)]


def spread(name: str, tasks: int) -> Figures:
    """``tasks`` tasks, each once a second, their slots spread evenly over nine tenths of it."""
    subject, late = Subject(name), rounds_of_lateness()
    base = time.monotonic() + 1.0 + tasks / 2000
    for number in range(tasks):
        first = base + 0.9 * number / tasks
        subject.add(number, _recorder(late, first, 1.0), 1.0, first)
    subject.start()
    time.sleep(max(base - 0.01 - time.monotonic(), 0.0))
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(0.01 + SPREAD_FOR - 0.05)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    runs = sum(map(len, late))
    subject.stop()
    return {
        "cpu": 100 * cpu / wall,
        "p99": 1000 * _p99(list(itertools.chain(*late))),
        "expected": tasks * SPREAD_FOR,
        "runs": runs,
    }


def herd(name: str, tasks: int) -> Figures:
    """``tasks`` tasks all due at the same moment, a few times over; lateness is that of the median round."""
    subject, late = Subject(name), rounds_of_lateness()
    first = time.monotonic() + 1.0 + tasks / (8000 if name == OURS else 2000)
    for number in range(tasks):
        subject.add(number, _recorder(late, first, HERD_EVERY), HERD_EVERY, first)
    subject.start()
    gc.collect()
    time.sleep(max(first + HERD_EVERY * (HERD_ROUNDS - 0.3) - time.monotonic(), 0.0))
    runs = sum(map(len, late))
    subject.stop()
    p99 = median(_p99(late[number]) for number in range(HERD_ROUNDS))
    return {"p99": 1000 * p99, "expected": tasks * HERD_ROUNDS, "runs": runs}


def idle(name: str, tasks: int) -> Figures:
    """``tasks`` tasks of which none is due."""
    subject = Subject(name)
    for number in range(tasks):
        subject.add(number, _nothing, 3600.0, time.monotonic() + 3600.0)
    subject.start()
    time.sleep(0.5)
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(IDLE_FOR)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    subject.stop()
    return {"cpu": 100 * cpu / wall}


def memory(name: str, tasks: int) -> Figures:
    """Bytes a registered task takes, its id included, the callable not."""
    subject = Subject(name)
    subject.add(-1, _nothing, 3600.0, time.monotonic() + 3600.0)
    gc.collect()
    tracemalloc.start()
    for number in range(tasks):
        subject.add(number, _nothing, 3600.0, time.monotonic() + 3600.0)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"bytes": held / tasks}


CASES: dict[str, Callable[[str, int], Figures]] = {"spread": spread, "herd": herd, "idle": idle, "memory": memory}


def measure(case: str, name: str, count: int) -> Figures:
    """Run one case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_tasks", "--case", case, name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _drops(figures: Figures) -> int:
    return max(round(figures["expected"] - figures["runs"]), 0)


HERDS = (1000, 10_000)


def measure_all() -> dict[tuple[str, int, str], Figures]:
    """Everything in the table, one after the other; only what does nothing is measured side by side."""
    cases = [("spread", 1000), *(("herd", count) for count in HERDS), ("memory", 2000)]
    found = {(case, count, name): measure(case, name, count) for case, count in cases for name in (OURS, PEER)}
    with ThreadPoolExecutor() as pool:
        both = pool.map(lambda name: measure("idle", name, 10), (OURS, PEER))
        found |= {("idle", 10, name): figures for name, figures in zip((OURS, PEER), both, strict=True)}
    return found


def report() -> bool:
    """Measure everything, print the table and the gates; tell whether all hold."""
    busy = os.getloadavg()[0]
    found = measure_all()

    def of(case: str, count: int, figure: str, name: str = OURS) -> float:
        return found[case, count, name][figure]

    rows = [
        ("1,000 tasks, each once a second: CPU", "%", "spread", 1000, "cpu", 15.0),
        ("1,000 tasks, each once a second: late, p99", "ms", "spread", 1000, "p99", 10.0),
        ("herd of 1,000 due at once: late, p99", "ms", "herd", 1000, "p99", 20.0),
        ("herd of 10,000 due at once: late, p99", "ms", "herd", 10_000, "p99", 60.0),
        ("idle, 10 tasks: CPU", "%", "idle", 10, "cpu", 0.05),
        ("memory a task", "B", "memory", 2000, "bytes", 1024.0),
    ]
    print(f"{os.cpu_count()} cores, load average {busy:.1f} before the run, Python {sys.version.split()[0]}\n")
    print(f"{'':46}{OURS:>12}{PEER:>14}{'gate':>12}")
    holds = []
    for label, unit, case, count, figure, gate in rows:
        ours, peer = of(case, count, figure), of(case, count, figure, PEER)
        holds.append(ours <= gate)
        verdict = "holds" if holds[-1] else "MISSED"
        print(
            f"{label:46}{ours:>10.2f} {unit:<2}{peer:>11.2f} {unit:<2}{'≤ ' + format(gate, 'g'):>9} {unit:<2} {verdict}"
        )
    for case, count in (("spread", 1000), *(("herd", count) for count in HERDS)):
        ours, peer = _drops(found[case, count, OURS]), _drops(found[case, count, PEER])
        holds.append(ours == 0)
        label = f"{case}, {count:,} tasks: runs dropped of {found[case, count, OURS]['expected']:,.0f}"
        print(f"{label:46}{ours:>10}   {peer:>11}   {'0':>9}    {'holds' if ours == 0 else 'MISSED'}")
    return all(holds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=3, metavar=("CASE", "ENGINE", "COUNT"))
    chosen = parser.parse_args().case
    if chosen:
        print(json.dumps(CASES[chosen[0]](chosen[1], int(chosen[2]))))
        return 0
    return 0 if report() else 1


if __name__ == "__main__":
    sys.exit(main())
