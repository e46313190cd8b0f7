"""A week to learn from, for who has none: ``python -m examples.reference_app.week recorded.json``.

Runs the real app under its real traffic for some seconds, from nobody to four clients, and lays what was measured over
seven days: more traffic by day than by night, five minutes after five minutes.

Measured: every look at CPU, memory, latency and success, on this machine. Repeated: all of them, some hundred times, in
an order by chance. Added: a wobble, of sizes that are written down in ``WOBBLE``, for some seconds cannot show by how
much one day differs from the next. What a service that runs for a week records itself needs neither.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.reference_app.anomaly import DAY, METRICS, STEP, WHOLE
from examples.reference_app.faults import OPTIONS
from examples.reference_app.running import NotSeenError, RunningApp
from examples.reference_app.traffic import busy
from selfheal.clock import SYSTEM_CLOCK
from selfheal.detection import History
from selfheal.errors import StateError

Moment = Mapping[str, float]
"""What one look found; what nobody could tell, such as a latency without requests, is not in it."""

CLIENTS = (0, 1, 2, 4)
"""How much traffic is recorded: this many at once, each for the same time."""
SECONDS = 8.0
PAUSE, LEAST = 0.2, 3
"""Seconds between two looks, and how many there are at least at each level."""
LOOKS = 15
"""Looks that become one step of five minutes, at most."""
WOBBLE = {"cpu_percent": 10.0, "memory_percent": 2.0, "latency_ms": 20.0, "success_rate": 0.005}
"""By how much a step is off, on average: percent, percent, milliseconds, share; a success rate only downwards."""
DAYS = 7
NIGHT, NOON = 0.2, 1.0
"""Share of looks with traffic, at most, at four in the morning and twelve hours later."""
SEED = 20


def record(app: RunningApp, seconds: float = SECONDS) -> dict[int, list[Moment]]:
    """Measure a running app with more and more clients; the looks, by number of clients.

    Raises:
        NotSeenError: if it does not measure itself.
    """
    app.wait_for(lambda: _now(app).get("cpu_percent"), "what the service measures of itself")
    found: dict[int, list[Moment]] = {}
    for clients in CLIENTS:
        looks = found[clients] = []
        end = SYSTEM_CLOCK.monotonic() + seconds / len(CLIENTS)
        with busy(app.port, clients):
            while SYSTEM_CLOCK.monotonic() < end or len(looks) < LEAST:
                SYSTEM_CLOCK.sleep(PAUSE)
                looks.append(_now(app))
    return found


def _now(app: RunningApp) -> dict[str, float]:
    """What the app measured of itself last, as far as it is known."""
    return {metric: value for metric, value in app.status()["detection"]["moment"].items() if value is not None}


def lay(recorded: Mapping[int, Sequence[Moment]], until: float, days: int = DAYS, seed: int = SEED) -> History:
    """Lay looks over the days before ``until`` (wall seconds, UTC), as :func:`record` gave them."""
    chance, history = random.Random(seed), History()
    end = int(until // STEP)
    for number in range(end - round(days * DAY / STEP), end):
        t = number * STEP
        for metric, value in _five_minutes(recorded, share(t) * chance.random(), chance).items():
            history.add(metric, value, WHOLE, t)
    return history


def share(t: float) -> float:
    """Share of looks with traffic, at most, at a time of day: the least at four in the morning."""
    return NIGHT + (NOON - NIGHT) * (1.0 - math.cos(2.0 * math.pi * (t / DAY - 4.0 / 24.0))) / 2.0


def _five_minutes(recorded: Mapping[int, Sequence[Moment]], traffic: float, chance: random.Random) -> Moment:
    """Some looks at one level of traffic, and others without any, made into one step."""
    quiet, active = recorded[0], recorded[chance.choice([clients for clients in recorded if clients])]
    looks = [chance.choice(active if chance.random() < traffic else quiet) for _ in range(chance.randint(1, LOOKS))]
    step = {}
    for metric in METRICS:
        known = [look[metric] for look in looks if metric in look]
        if known:
            step[metric] = _wobbled(metric, sum(known) / len(known), chance)
    return step


def _wobbled(metric: str, value: float, chance: random.Random) -> float:
    off = chance.expovariate(1.0 / WOBBLE[metric])
    if metric == "success_rate":
        return max(value - off, 0.0)
    return max(value + chance.choice((-off, off)), 0.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Record and write the file; exit code 0 if that could be done."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.reference_app.week", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("file", type=Path, help="where the week is written: a history, for --history")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of traffic (default: %(default)g)")
    options = parser.parse_args(argv)
    try:
        told = make(options.file, options.seconds)
    except (NotSeenError, OSError, StateError) as error:
        print(f"no week was recorded: {error}", file=sys.stderr)
        return 1
    print(told)
    return 0


def make(file: Path, seconds: float = SECONDS) -> str:
    """Run the app, record, lay, and write the file; what was done, in words."""
    with (
        tempfile.TemporaryDirectory(prefix="selfheal-week-") as directory,
        RunningApp(Path(directory), options=OPTIONS) as app,
    ):
        recorded = record(app, seconds)
    history = lay(recorded, SYSTEM_CLOCK.wall())
    history.save(file)
    looks = sum(map(len, recorded.values()))
    points = sum(len(history.points(metric, WHOLE)) for metric in METRICS)
    return f"{looks} looks at the running service in {seconds:g} s, laid over {DAYS} days: {points} points in {file}"


if __name__ == "__main__":
    sys.exit(main())
