"""All runs of the drill, several at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import attrs

from benchmarks.drill_detect.cases import Case, Settings
from benchmarks.drill_detect.outcome import Outcome
from benchmarks.drill_detect.process import Process
from benchmarks.drill_detect.stage import Stage
from selfheal.clock import SYSTEM_CLOCK

TRIES = 3
"""How often a hog is tried that the machine gave no CPU."""


def play(kinds: Sequence[Case], settings: Settings, runs: int, seed: int, at_once: int, cpus: int) -> list[Outcome]:
    """Play all runs, several at once; hogs only as many at once as there are CPUs to spare.

    Args:
        kinds: what is done.
        settings: of rules and clocks.
        runs: of each kind.
        seed: of the first run of each kind; the next has the next.
        at_once: runs that go on at the same time, beside those that need a CPU for themselves.
        cpus: CPUs that hogs may use.
    """
    spare, over = threading.Semaphore(cpus), threading.Event()

    def one(case: Case, number: int) -> Outcome:
        outcome = Stage(case, settings, seed + number, spare, over).run()
        while outcome.starved and outcome.tries < TRIES and not over.is_set():
            outcome = attrs.evolve(Stage(case, settings, seed + number, spare, over).run(), tries=outcome.tries + 1)
        return outcome

    hogs, others = ThreadPoolExecutor(2 * cpus + 1), ThreadPoolExecutor(at_once)
    try:
        waiting = [
            (hogs if case.hogs else others).submit(one, case, number) for number in range(runs) for case in kinds
        ]
        return _collected(waiting)
    except BaseException:
        over.set()
        raise
    finally:
        for pool in (hogs, others):
            pool.shutdown(wait=True, cancel_futures=True)


def settings_here(seconds: float = 2.0) -> Settings:
    """The settings for the machine as it is: rules as they ship, or, where it is busy, a rule for CPU that suits it.

    A process uses all that it can get for some real seconds. Where that is less than 95 % of a CPU, half of it is a
    spike, for a shorter time of a slower clock: readings are longer then, and gaps in what it gets matter less.
    """
    said: list[tuple[float, float]] = []
    process = Process("probe")
    try:
        process.listen(lambda _, used, clock, least: said.append((used, clock)))
        process.tell("hog 1")
        while len(said) < 2 or said[-1][1] - said[0][1] < seconds:
            SYSTEM_CLOCK.sleep(0.1)
    finally:
        process.end()
    (used, began), (used_then, then) = said[0], said[-1]
    share = 100.0 * (used_then - used) / (then - began)
    if share >= 95.0:
        return Settings()
    print(f"The machine is busy: a process that wants a whole CPU gets {share:.0f} % of one.", end=" ")
    print("The rule for CPU is set by that (--shipped: it is not).")
    shipped = Settings().speeds
    return Settings(cpu=max(round(share / 2.0), 5.0), hold=100.0, speeds=(shipped[0] / 3.0, *shipped[1:]))


def _collected(waiting: Sequence[Future[Outcome]]) -> list[Outcome]:
    """Wait for all, and say how far it is where somebody looks on."""
    looked_at = sys.stderr.isatty()
    for done, future in enumerate(as_completed(waiting), start=1):
        future.result()
        if looked_at:
            print(f"\r{done} of {len(waiting)} runs", end="", file=sys.stderr, flush=True)
    if looked_at:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return [future.result() for future in waiting]
