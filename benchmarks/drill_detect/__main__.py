"""The drill: ``python -m benchmarks.drill_detect --help``. Exits 1 if a gate is missed, 130 if it is interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from benchmarks.drill_detect.cases import Settings, cases
from benchmarks.drill_detect.figures import print_results, print_set_up
from benchmarks.drill_detect.playing import play, settings_here
from selfheal.clock import SYSTEM_CLOCK


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the drill and print what came of it."""
    given = _parsed(arguments)
    settings = Settings() if given.shipped else settings_here()
    there = len(os.sched_getaffinity(0))
    kinds = [case for case in cases(settings) if given.only in (None, case.key)]
    print_set_up(kinds, settings, given.runs, given.seed, there)
    sys.stdout.flush()
    began = SYSTEM_CLOCK.monotonic()
    outcomes = play(kinds, settings, given.runs, given.seed, given.at_once, max(there - 1, 1))
    took, load = SYSTEM_CLOCK.monotonic() - began, os.getloadavg()[0]
    print(f"\n{len(outcomes)} runs took {took:.0f} s; the load of the machine is {load:.1f}")
    return print_results(outcomes, kinds)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drill_detect",
        description="Do real faults to real processes, and see whether the monitor finds them, and nothing else.",
    )
    keys = [case.key for case in cases(Settings())]
    parser.add_argument("--runs", type=count, default=10, help="runs of each kind (default: 10)")
    parser.add_argument("--seed", type=int, default=20261121, help="of the first run of each kind (default: 20261121)")
    parser.add_argument("--only", choices=keys, help="this kind alone")
    parser.add_argument("--at-once", type=count, default=10, help="runs at the same time (default: 10)")
    parser.add_argument(
        "--shipped", action="store_true", help="the rule for CPU as it ships, however busy the machine is"
    )
    return parser.parse_args(arguments)


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = main()
    except KeyboardInterrupt:
        print("\ninterrupted; all processes were ended", file=sys.stderr)
        status = 130
    raise SystemExit(status)
