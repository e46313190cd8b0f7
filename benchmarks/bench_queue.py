"""The task queue beside ``queue.PriorityQueue``, and a drill: a pool whose workers are killed at random.

``python -m benchmarks.bench_queue`` takes about half a minute and prints operations a second and the gate.
``python -m benchmarks.bench_queue --drill [tasks]`` runs 100,000 tasks through a pool of processes, kills workers all
the while, and counts what was lost and what was done twice without being declared.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Gate, print_gates, print_table
from selfheal.events import EventBus
from selfheal.resources import TaskQueue
from selfheal.supervision import WorkerPool, current_task

ROUNDS = 9
COUNT = 20_000
BACKLOG = 1_000
TOGETHER = 60_000
"""Steps that several threads do together: enough of them for many a change of threads."""
WORK = 0.0005
"""Seconds of work of a drilled task, so that many a kill finds it under way."""
PRIORITIES = [n * 7 % 10 for n in range(COUNT)]
Race = Callable[[], float]


def peer(backlog: int) -> Race:
    """Nanoseconds for one put and one get, with so many others waiting."""

    def run() -> float:
        waiting: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()
        for n in range(backlog):
            waiting.put((PRIORITIES[n], n))
        put, get = waiting.put, waiting.get
        start = time.perf_counter_ns()
        for n, priority in enumerate(PRIORITIES, backlog):
            put((priority, n))
            get()
        return (time.perf_counter_ns() - start) / COUNT

    return run


def ours(backlog: int, **options: float) -> Race:
    """Nanoseconds for one put, one take and one acknowledgement, with so many others waiting."""

    def run() -> float:
        tasks = TaskQueue(max_size=COUNT + backlog, **options)  # type: ignore[arg-type]
        for n in range(backlog):
            tasks.put(n, priority=PRIORITIES[n])
        put, take, ack = tasks.put, tasks.take, tasks.ack
        start = time.perf_counter_ns()
        for n, priority in enumerate(PRIORITIES, backlog):
            put(n, priority=priority)
            delivery = take("worker")
            assert delivery is not None
            ack(delivery)
        took = (time.perf_counter_ns() - start) / COUNT
        check = tasks.snapshot()
        if (check.acked, check.size) != (COUNT, backlog):
            raise SystemExit(f"the queue acknowledged {check.acked} of {COUNT} tasks")
        return took

    return run


def peer_bulk() -> float:
    """Nanoseconds for one put and one get: all are put, then all are got."""
    waiting: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()
    start = time.perf_counter_ns()
    for n, priority in enumerate(PRIORITIES):
        waiting.put((priority, n))
    for _ in PRIORITIES:
        waiting.get()
    return (time.perf_counter_ns() - start) / COUNT


def ours_bulk() -> float:
    """Nanoseconds for one put, take and acknowledgement: all are put, then all are taken."""
    tasks = TaskQueue(max_size=COUNT)
    start = time.perf_counter_ns()
    for n, priority in enumerate(PRIORITIES):
        tasks.put(n, priority=priority)
    while (delivery := tasks.take("worker")) is not None:
        tasks.ack(delivery)
    return (time.perf_counter_ns() - start) / COUNT


def in_threads(step: Callable[[], object], threads: int = 4) -> float:
    """Nanoseconds of the clock for each step of several threads."""
    ready = threading.Barrier(threads + 1)

    def work() -> None:
        ready.wait()
        for _ in range(TOGETHER // threads):
            step()

    those = [threading.Thread(target=work) for _ in range(threads)]
    for thread in those:
        thread.start()
    ready.wait()
    start = time.perf_counter_ns()
    for thread in those:
        thread.join()
    return (time.perf_counter_ns() - start) / TOGETHER


def peer_threads() -> float:
    """Four threads that put and get."""
    waiting: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()

    def step() -> None:
        waiting.put((5, 1))
        waiting.get()

    return in_threads(step)


def ours_threads() -> float:
    """Four threads that put, take and acknowledge."""
    tasks = TaskQueue(max_size=COUNT)

    def step() -> None:
        tasks.put(1)
        delivery = tasks.take("worker")
        assert delivery is not None
        tasks.ack(delivery)

    return in_threads(step)


def durable(synchronous: str, count: int) -> float:
    """Nanoseconds for a put, a take and an acknowledgement in a file."""
    with tempfile.TemporaryDirectory() as directory:
        tasks = TaskQueue(path=Path(directory) / "queue.sqlite", synchronous=synchronous)
        start = time.perf_counter_ns()
        for n in range(count):
            tasks.put({"n": n}, priority=PRIORITIES[n])
            delivery = tasks.take("worker")
            assert delivery is not None
            tasks.ack(delivery)
        took = (time.perf_counter_ns() - start) / count
        tasks.close()
        return took


def race(contenders: dict[str, Race]) -> dict[str, float]:
    """Median of each, taking turns; one round before to warm up."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS + 1):
        for name, run in contenders.items():
            took[name].append(run())
    return {name: statistics.median(times[1:]) for name, times in took.items()}


def bench() -> int:
    """Compare with the peer, and print the gates."""
    pairs: dict[str, tuple[Race, Race]] = {
        "empty but for one": (peer(0), ours(0)),
        f"{BACKLOG:,} waiting": (peer(BACKLOG), ours(BACKLOG)),
        f"{COUNT:,} put, then all taken": (peer_bulk, ours_bulk),
        "4 threads": (peer_threads, ours_threads),
    }
    both = {(name, side): run for name, pair in pairs.items() for side, run in zip(("peer", "ours"), pair, strict=True)}
    took = race({f"{name}|{side}": run for (name, side), run in both.items()})
    ratios = {name: took[f"{name}|peer"] / took[f"{name}|ours"] for name in pairs}
    rows = [
        [name, f"{1e9 / took[f'{name}|peer']:,.0f}", f"{1e9 / took[f'{name}|ours']:,.0f}", f"{ratio:.2f}"]
        for name, ratio in ratios.items()
    ]
    head = ["tasks a second, with priorities and ageing", "PriorityQueue", "TaskQueue", "ratio"]
    print_table("put and get beside put, take and acknowledge", head, rows)
    files = [[f"synchronous={mode}", f"{1e9 / durable(mode, 300):,.0f}"] for mode in ("normal", "full")]
    print_table("in a SQLite file: put, take and acknowledge", ["file", "tasks a second"], files)
    return print_gates([Gate(f"of PriorityQueue, {name}", ratio, "≥", 0.3) for name, ratio in ratios.items()])


class DrillReport(NamedTuple):
    """What came of a drill."""

    tasks: int
    kills: int
    crashes: int
    lost: int
    undeclared: int
    declared: int
    dead: int
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was lost, and nothing done twice without being declared."""
        return self.lost == self.undeclared == 0 and self.kills > 0


def note(payload: str) -> None:
    """What a drilled worker does: it writes task and delivery count down, in one write, in the middle of its work."""
    task = current_task()
    assert task is not None
    time.sleep(WORK / 2)
    file = os.open(payload, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, b"%d %d\n" % (task.id, task.delivery_count))
    finally:
        os.close(file)
    time.sleep(WORK / 2)


def drill(tasks: int, *, workers: int = 3, every: float = 0.15, seed: int = 1, timeout: float = 900.0) -> DrillReport:
    """Run tasks through a pool while its workers are killed, each ``every`` seconds on average."""
    rng, kills, over = random.Random(seed), 0, threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        log.touch()
        waiting = TaskQueue("drill", max_size=tasks, max_deliveries=10, events=EventBus())
        ids = {waiting.put(str(log), priority=rng.randrange(10)) for _ in range(tasks)}
        pool = WorkerPool(
            "benchmarks.bench_queue:note", waiting, name="drill", size=workers, intensity=1_000_000, events=EventBus()
        )

        def kill() -> None:
            nonlocal kills
            while not over.wait(rng.expovariate(1 / every)):
                pids = [worker.pid for worker in pool.snapshot().workers if worker.pid]
                with contextlib.suppress(ProcessLookupError, IndexError):  # it has just ended; or none is there
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    kills += 1

        killer = threading.Thread(target=kill, name="drill-killer")
        began = time.monotonic()
        pool.start()
        pool.wait_ready()
        killer.start()
        while _left(waiting) and time.monotonic() - began < timeout:
            time.sleep(0.25)
        over.set()
        killer.join()
        seconds = time.monotonic() - began
        pool.stop()
        runs = Counter(tuple(map(int, line.split())) for line in log.read_text().splitlines())
    dead = {letter.id for letter in waiting.dead_letters()}
    done = Counter(task for task, _ in runs)
    undeclared = sum(times - 1 for times in runs.values()) + sum(task not in ids for task in done)
    return DrillReport(
        tasks=tasks,
        kills=kills,
        crashes=pool.snapshot().crashes,
        lost=len(ids - done.keys() - dead) + _left(waiting),
        undeclared=undeclared,
        declared=sum(times - 1 for times in done.values()),
        dead=len(dead),
        seconds=seconds,
    )


def _left(waiting: TaskQueue) -> int:
    snapshot = waiting.snapshot()
    return snapshot.size - snapshot.dead


def run_drill(tasks: int) -> int:
    """Drill, and say what came of it."""
    report = drill(tasks)
    rows = [
        ["tasks", f"{report.tasks:,}"],
        ["workers killed by SIGKILL", f"{report.kills:,}"],
        ["ends that the pool saw", f"{report.crashes:,}"],
        ["tasks done again, declared by their delivery count", f"{report.declared:,}"],
        ["dead letters", f"{report.dead:,}"],
        ["seconds", f"{report.seconds:.1f}"],
        ["tasks a second, kills included", f"{report.tasks / report.seconds:,.0f}"],
    ]
    print_table("a pool whose workers are killed at random", ["what", "count"], rows)
    return print_gates(
        [
            Gate("tasks lost", report.lost, "≤", 0),
            Gate("tasks done twice, undeclared", report.undeclared, "≤", 0),
            Gate("workers killed", report.kills, "≥", 1),
        ]
    )


def main() -> int:
    """Run the comparison and say which gate holds."""
    return bench()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--drill", nargs="?", type=int, const=100_000, metavar="TASKS")
    chosen = parser.parse_args()
    sys.exit(main() if chosen.drill is None else run_drill(chosen.drill))
