"""What sampling costs: ``python -m benchmarks.bench_sampler``. Exits 1 if a gate is missed.

CPU time of this process, not time that passed, so that a busy machine does not change the figure much.
"""

from __future__ import annotations

import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.table import Gate, print_gates, print_table
from selfheal.detection.history import History
from selfheal.detection.rules import RuleWatch
from selfheal.detection.sampler import Sample, Sampler, SamplerConfig

ROUNDS = 300


def cpu_ms(run: Callable[[], object]) -> float:
    """Milliseconds of CPU of one run: the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(ROUNDS // 5):
            run()
        best = min(best, (time.process_time() - started) / (ROUNDS // 5))
    return 1e3 * best


def of_rules() -> Iterator[list[str]]:
    """Microseconds of CPU for one sample of a metric, beginning with a fresh set of rules each."""
    for metric in ("cpu_percent", "latency_ms", "task_ok", "task_ok, failing", "memory_percent", "of no rule"):
        rules = RuleWatch()
        name, failing = metric.removesuffix(", failing"), metric.endswith("failing")
        samples = [Sample(name, 0.0 if failing else 1.0 + n % 7, "a", 1.7e9 + n, 1000.0 + n) for n in range(20_000)]
        started = time.process_time()
        for sample in samples:
            rules.observe(sample)
        yield [metric, f"{1e6 * (time.process_time() - started) / len(samples):.1f}"]


def of_history(series: int = 50) -> Iterator[list[str]]:
    """What a full history costs, for one of its series: seven days of points."""
    tracemalloc.start()
    history = History()
    for n in range(history.config.points):
        for metric in range(series):
            history.add(f"metric_{metric}", 40.0 + 0.1 * (n % 97), "web-1", 1.7e9 + 300.0 * n)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield ["memory", f"{taken / series / 1e3:.0f} KB"]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "history.json"
        started = time.process_time()
        history.save(file)
        saved = time.process_time()
        History.load(file)
        loaded = time.process_time()
        yield ["in the file", f"{file.stat().st_size / series / 1e3:.0f} KB"]
    yield ["to save it", f"{1e3 * (saved - started) / series:.1f} ms"]
    yield ["to load it", f"{1e3 * (loaded - saved) / series:.1f} ms"]


def main() -> int:
    """Measure and say which gate holds."""
    machine = Sampler()
    machine.sample()
    own = Sampler(SamplerConfig(machine=False))
    own.watch(os.getpid())
    both = Sampler()
    both.watch(os.getpid())
    history = History()

    def all_of_it() -> None:
        both.observe("latency", 1.0, "api")
        for sample in both.sample():
            history.add(sample.metric, sample.value, sample.target, sample.t)

    costs = {
        "machine or container": cpu_ms(machine.sample),
        "one process": cpu_ms(own.sample),
        "machine, own process and an observed value, into the history": cpu_ms(all_of_it),
    }
    rows = [[what, f"{ms:.3f} ms", f"{ms / 10.0:.3f} %"] for what, ms in costs.items()]
    print_table("sampling: CPU of one run", ["", "a run", "of a core at 1 Hz"], rows)
    print_table("the shipped rules: CPU of one sample", ["metric", "µs"], list(of_rules()))
    print_table("the history, seven days full", ["", "one series"], list(of_history()))
    whole = costs["machine, own process and an observed value, into the history"]
    return print_gates([Gate("sampling at 1 Hz, % of a core", whole / 10.0, "≤", 0.2)])


if __name__ == "__main__":
    raise SystemExit(main())
