"""The task registry's engine beside APScheduler 3, both measured in one run.

``python -m benchmarks.bench_tasks`` takes about a minute and prints a table and, for each gate, whether
it holds. Each figure comes from a process of its own, so that neither engine pays for the other's threads.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

OURS, PEER = "selfheal", "APScheduler"
SPREAD_FOR = 8.0
HERD_EVERY = 4.0
HERD_ROUNDS = 2
IDLE_FOR = 8.0
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


def _recorder(late: list[float], first: float, every: float) -> Callable[[], None]:
    """A short task that notes how late it started against its own grid."""
    rounds = iter(range(1 << 30))
    monotonic, append = time.monotonic, late.append

    def task() -> None:
        append(monotonic() - first - every * next(rounds))

    return task


def _nothing() -> None:
    """What a task does that is never due."""


def spread(name: str, count: int) -> Figures:
    """``count`` tasks, each once a second, their slots spread evenly over nine tenths of it."""
    subject, late = Subject(name), list[float]()
    base = time.monotonic() + 1.0 + count / 2000
    for number in range(count):
        first = base + 0.9 * number / count
        subject.add(number, _recorder(late, first, 1.0), 1.0, first)
    subject.start()
    time.sleep(max(base - 0.5 - time.monotonic(), 0.0))
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(0.5 + SPREAD_FOR - 0.05)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    runs = len(late)
    subject.stop()
    return {"cpu": 100 * cpu / wall, "p99": 1000 * _p99(late), "expected": count * SPREAD_FOR, "runs": runs}


def herd(name: str, count: int) -> Figures:
    """``count`` tasks all due at the same moment, a few times over."""
    subject, late = Subject(name), list[float]()
    first = time.monotonic() + 1.0 + count / (8000 if name == OURS else 1500)
    for number in range(count):
        subject.add(number, _recorder(late, first, HERD_EVERY), HERD_EVERY, first)
    subject.start()
    gc.collect()
    time.sleep(max(first + HERD_EVERY * (HERD_ROUNDS - 0.3) - time.monotonic(), 0.0))
    runs = len(late)
    subject.stop()
    return {"p99": 1000 * _p99(late), "expected": count * HERD_ROUNDS, "runs": runs}


def idle(name: str, count: int) -> Figures:
    """``count`` tasks of which none is due."""
    subject = Subject(name)
    for number in range(count):
        subject.add(number, _nothing, 3600.0, time.monotonic() + 3600.0)
    subject.start()
    time.sleep(0.5)
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(IDLE_FOR)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    subject.stop()
    return {"cpu": 100 * cpu / wall}


def memory(name: str, count: int) -> Figures:
    """Bytes a registered task takes, its id included, the callable not."""
    subject = Subject(name)
    subject.add(-1, _nothing, 3600.0, time.monotonic() + 3600.0)
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        subject.add(number, _nothing, 3600.0, time.monotonic() + 3600.0)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"bytes": held / count}


CASES: dict[str, Callable[[str, int], Figures]] = {"spread": spread, "herd": herd, "idle": idle, "memory": memory}


def measure(case: str, name: str, count: int) -> Figures:
    """Run one case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_tasks", "--case", case, name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _drops(figures: Figures) -> int:
    return max(round(figures["expected"] - figures["runs"]), 0)


def report() -> bool:
    """Measure everything, print the table and the gates; tell whether all hold."""
    found = {
        (case, count, name): measure(case, name, count)
        for case, count in (("spread", 1000), ("herd", 1000), ("herd", 10_000), ("idle", 10), ("memory", 2000))
        for name in (OURS, PEER)
    }

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
    print(f"{'':46}{OURS:>12}{PEER:>14}{'gate':>12}")
    holds = []
    for label, unit, case, count, figure, gate in rows:
        ours, peer = of(case, count, figure), of(case, count, figure, PEER)
        holds.append(ours <= gate)
        verdict = "holds" if holds[-1] else "MISSED"
        print(
            f"{label:46}{ours:>10.2f} {unit:<2}{peer:>11.2f} {unit:<2}{'≤ ' + format(gate, 'g'):>9} {unit:<2} {verdict}"
        )
    for case, count in (("spread", 1000), ("herd", 1000), ("herd", 10_000)):
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
