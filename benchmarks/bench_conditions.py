"""Conditions: what an observation costs however many are watched, and one evaluation beside its peers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import celpy
import rule_engine
import simpleeval

from benchmarks.table import Gate, print_gates, print_table
from selfheal.conditions import ConditionIndex, compile_condition, parse

CALLS = 20_000
ROUNDS = 7
SIZES = (10, 1_000, 10_000)
TEXT = "cpu > 80 and (mem > 50 or queue == 0)"
"""What all contenders evaluate."""
CEL = "cpu > 80.0 && (mem > 50.0 || queue == 0.0)"
VALUES = {"cpu": 90.0, "mem": 40.0, "queue": 0.0}
"""Values by which every part of it is looked at."""

Call = Callable[[], object]


def spread(number: int, of: int) -> float:
    """Thresholds from 0 to 100, none of them between 50.2 and 50.3."""
    at = 100.0 * number / of
    return at if not 50.2 <= at <= 50.3 else 50.1


def watching(number: int, metric: Callable[[int], str]) -> ConditionIndex:
    """So many conditions with ``for`` and ``clear``, half of those on ``cpu`` firing."""
    index = ConditionIndex(stale_after="1h")
    for n in range(number):
        at = spread(n, number)
        index.add(n, parse(f"{metric(n)} > {at} for 5m clear {at - 0.001}"))
    index.observe("cpu", 50.25, "web", 1000.0)
    index.tick(1400.0)
    return index


def observing(index: ConditionIndex) -> Call:
    """Values that change and cross nothing, each a little later."""
    turn = iter(range(10**12))

    def observe() -> object:
        n = next(turn)
        return index.observe("cpu", 50.21 if n & 1 else 50.29, "web", 1500.0 + n * 0.001)

    return observe


def crossing(index: ConditionIndex) -> Call:
    """Values that cross one threshold of a thousand, there and back: one count begins, and is broken off."""
    turn = iter(range(10**12))
    return lambda: index.observe("cpu", 60.05 if (n := next(turn)) & 1 else 60.15, "web", 1500.0 + n * 0.001)


def observers() -> dict[str, Call]:
    found = {}
    for size in SIZES:
        index = watching(size, lambda n: f"metric_{n}")
        index.add("cpu", parse("cpu > 80 for 5m clear 70"))
        found[f"{size:,} on other metrics"] = observing(index)
    found["1,000 on the metric, half firing"] = observing(watching(1_000, lambda n: "cpu"))
    found["10,000 on the metric, half firing"] = observing(watching(10_000, lambda n: "cpu"))
    index = watching(1_000, lambda n: "cpu")
    index.observe("cpu", 60.05, "web", 1450.0)
    index.tick(1460.0)
    found["1,000 on the metric, one crossed"] = crossing(index)
    return found


def evaluators() -> dict[str, Call]:
    ours = compile_condition(parse(TEXT))
    lookup = VALUES.get
    simple = simpleeval.SimpleEval(names=VALUES)
    parsed = simple.parse(TEXT)
    rule = rule_engine.Rule(TEXT)
    environment = celpy.Environment()
    program = environment.program(environment.compile(CEL))
    values = {name: celpy.celtypes.DoubleType(value) for name, value in VALUES.items()}
    return {
        "selfheal": lambda: ours(lookup, {}),
        "simpleeval": lambda: simple.eval(TEXT, parsed),
        "rule-engine": lambda: rule.matches(VALUES),
        "cel-python": lambda: program.evaluate(values),
    }


def readers() -> dict[str, Call]:
    environment = celpy.Environment()
    return {
        "selfheal": lambda: compile_condition(parse(TEXT)),
        "simpleeval": lambda: simpleeval.SimpleEval().parse(TEXT),
        "rule-engine": lambda: rule_engine.Rule(TEXT),
        "cel-python": lambda: environment.program(environment.compile(CEL)),
    }


def race(contenders: dict[str, Call], calls: int) -> dict[str, float]:
    """Median microseconds of the processor a call, taking turns; one round before to warm up."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(ROUNDS + 1):
        for name, fn in contenders.items():
            start = time.process_time_ns()
            for _ in range(calls):
                fn()
            if index:
                took[name].append((time.process_time_ns() - start) / calls / 1000)
    return {name: statistics.median(times) for name, times in took.items()}


def show(title: str, medians: dict[str, float], beside: str) -> dict[str, float]:
    rows = [[name, f"{us:,.2f}", f"{us / medians[beside]:,.2f}"] for name, us in medians.items()]
    print_table(title, ["contender", "µs a call", f"of {beside}"], rows)
    return medians


def main() -> int:
    """Run all races and say which gate holds."""
    for name, answer in evaluators().items():
        if not answer():
            raise SystemExit(f"{name} says that {TEXT} does not hold for {VALUES}")
    print(f"Conditions: processor time, medians of {ROUNDS} rounds, contenders taking turns.")
    others = [f"{size:,} on other metrics" for size in SIZES]
    observed = show("observe()", race(observers(), CALLS), others[0])
    evaluated = show(f"evaluate {TEXT}", race(evaluators(), 2_000), "selfheal")
    show(f"read and compile {TEXT}", race(readers(), 20), "selfheal")
    slowest = max(observed[name] for name in others)
    return print_gates(
        [
            Gate("observe, others' metrics, µs", slowest, "≤", 5.0),
            Gate("observe, 10,000 of 10 others", observed[others[2]] / observed[others[0]], "≤", 1.5),
            Gate("observe, 1,000 on it, µs", observed["1,000 on the metric, half firing"], "≤", 15.0),
            Gate("evaluate, of simpleeval", evaluated["selfheal"] / evaluated["simpleeval"], "≤", 0.5),
            Gate("evaluate, of rule-engine", evaluated["selfheal"] / evaluated["rule-engine"], "≤", 0.5),
            Gate("evaluate, of cel-python", evaluated["selfheal"] / evaluated["cel-python"], "≤", 0.1),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
