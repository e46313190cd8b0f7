"""The strategy engine: what an observation costs, and how soon the first action follows an alert.

The whole engine is measured, journal on a real disk and threads for actions included, not its index alone.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.table import Gate, print_gates, print_table
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import Alert, EventBus
from selfheal.healing import StrategyEngine
from selfheal.healing.actions import ActionCall, ActionRegistry
from selfheal.healing.strategies import StrategySet
from selfheal.journal import Journal
from selfheal.policies.flags import FeatureFlags

SIZES = (10, 1_000, 10_000)
OBSERVATIONS = 20_000
ROUNDS = 7
ALERTS = 200


def engine_of(size: int, metric: str, folder: Path, acted: list[float]) -> StrategyEngine:
    """An engine of so many strategies; ``metric`` names what strategy ``n`` watches."""
    actions = ActionRegistry()

    @actions.action("act")
    def act(call: ActionCall) -> None:
        acted.append(time.perf_counter())

    @act.verify
    def holds(call: ActionCall, plan: object, receipt: object) -> bool:
        return True

    strategies = [
        {
            "name": f"s{n}",
            "trigger": f"{metric.format(n=n)} > {100 + n} for 5m clear 90",
            "grace_period": 0,
            "max_attempts_per_hour": 1000,
            "settle": 0,
            "verify": {"by": "actions"},
            "actions": ["act"],
        }
        for n in range(size)
    ]
    files = [strategies[n : n + 200] for n in range(0, size, 200)]  # one file may not hold all of them
    return StrategyEngine(
        StrategySet().merged(*(StrategySet.from_data({"version": 1, "strategies": file}) for file in files)),
        levers={},
        actions=actions,
        journal=Journal(folder / f"{size}-{len(metric)}.jsonl"),
        flags=FeatureFlags(environ={}),
        events=EventBus(),
        actions_per_hour=100_000,
        attempts_per_hour=100_000,
        failure_limit=10_000,
    )


def observing(engine: StrategyEngine, metric: str) -> float:
    """Microseconds of one observation that moves nothing; the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for n in range(OBSERVATIONS):
            engine.observe(metric, 50.0 + n % 7, "web-1")
        best = min(best, time.perf_counter() - began)
    return best / OBSERVATIONS * 1e6


def first_actions(engine: StrategyEngine, acted: list[float]) -> list[float]:
    """Milliseconds from an alert to the first action, each for a target of its own."""
    took = []
    for n in range(ALERTS):
        acted.clear()
        alert = Alert(at=SYSTEM_CLOCK.wall(), kind="s3", target=f"t{n}", metric="m3", value=200.0)
        began = time.perf_counter()
        engine.submit(alert)
        engine.run_once()
        took.append((acted[0] - began) * 1000)
        engine.clear(alert.fingerprint)
    return took


def main() -> int:
    """Run everything; 0 if all gates hold."""
    logging.disable(logging.CRITICAL)
    rows, gates = [], []
    with tempfile.TemporaryDirectory() as directory:
        folder, acted = Path(directory), list[float]()
        others = {}
        for size in SIZES:
            engine = engine_of(size, "m{n}", folder, acted)
            others[size] = observing(engine, "another")
            rows.append([f"observe, {size:,} strategies on other metrics", f"{others[size]:.2f} µs"])
            if size == SIZES[1]:
                took = first_actions(engine, acted)
            engine.close()
        engine = engine_of(SIZES[1], "shared", folder, acted)
        one = observing(engine, "shared")
        engine.close()
        rows.append([f"observe, {SIZES[1]:,} strategies on this metric", f"{one:.2f} µs"])
        late = statistics.quantiles(took, n=100)[98]
        rows.append([f"alert to first action, median of {ALERTS}", f"{statistics.median(took):.2f} ms"])
        rows.append(["alert to first action, p99", f"{late:.2f} ms"])
    print_table("strategy engine (journal on disk, actions in threads)", ["what", "cost"], rows)
    gates = [
        Gate("observe, 10,000 on other metrics (µs)", others[SIZES[-1]], "≤", 5.0),
        Gate("the same beside 10 strategies (ratio)", others[SIZES[-1]] / others[SIZES[0]], "≤", 1.5),
        Gate("observe, 1,000 on one metric (µs)", one, "≤", 15.0),
        Gate("alert to first action, p99 (ms)", late, "≤", 10.0),
    ]
    logging.disable(logging.NOTSET)
    return print_gates(gates)


if __name__ == "__main__":
    raise SystemExit(main())
