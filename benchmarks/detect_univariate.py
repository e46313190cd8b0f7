"""Detectors of one metric beside plain statistics and River: alarms on noise, and what a sample costs."""

from __future__ import annotations

import gc
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks import detect_peers
from benchmarks.table import Gate, print_table
from selfheal.detection import AlertGate, BaselineBank, MetricDetector, SeasonalBaseline
from selfheal.detection.seasons import DAY, SeasonalProfile

Array = NDArray[np.float64]
Alarms = NDArray[np.bool_]
Alarming = Callable[[Sequence[float], Sequence[float]], Alarms]
"""Times and values → whether an alarm is raised at each."""

START = 1_709_251_200.0
BUDGETS = tuple(0.03 * 1.03**n for n in range(81))
"""False alarms a day, of which the one that suits the labels best is the oracle."""
SIGMAS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)
LEARNT_DAYS = 7
SEED = 2024


def selfheal_scores(times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float, float]]:
    """Time, score and usual step, of each sample that the detector takes; the score is 0 while it is not ready."""
    detector, found = MetricDetector(), []
    for t, x in zip(times, values, strict=True):
        verdict = detector.update(t, x)
        found.append((t, verdict.score if verdict.ready else 0.0, detector.intake.step))
    return found


def gated(scored: Sequence[tuple[float, float, float]], budget: float) -> Alarms:
    """The alarms of a gate with that budget of false ones a day."""
    gate, latest = AlertGate(budget_per_day=budget), -math.inf
    alarms = np.zeros(len(scored), bool)
    for n, (t, score, step) in enumerate(scored):
        if t > latest:
            latest = t
            alarms[n] = gate.update(t, score, step) == "raised"
    return alarms


def shipped(times: Sequence[float], values: Sequence[float]) -> Alarms:
    """The alarms of the detector as it ships."""
    detector = MetricDetector()
    alarms = np.zeros(len(times), bool)
    for n, (t, x) in enumerate(zip(times, values, strict=True)):
        detector.update(t, x)
        alarms[n] = detector.change == "raised"
    return alarms


def sigma_mode(times: Sequence[float], values: Sequence[float]) -> Alarms:
    """Mean and three spreads by time of day, three of five samples; an alarm where it begins to hold."""
    baseline = SeasonalBaseline(mode="sigma")
    beyond = np.zeros(len(times), bool)
    for n, (t, x) in enumerate(zip(times, values, strict=True)):
        verdict = baseline.update(t, x)
        beyond[n] = verdict.ready and verdict.score > baseline.threshold
    begins: Alarms = beyond & ~np.r_[False, beyond[:-1]]
    return begins


def deviations(values: Sequence[float], window: int) -> Array:
    """By how many standard deviations each value is off the mean of so many before it."""
    x = np.asarray(values, float)
    x = x - x.mean()
    sums, squares = np.r_[0.0, np.cumsum(x)], np.r_[0.0, np.cumsum(x * x)]
    end = np.arange(len(x))
    begin = np.maximum(end - window, 0)
    count = np.maximum(end - begin, 1)
    mean = (sums[end] - sums[begin]) / count
    var = np.maximum((squares[end] - squares[begin]) / count - mean * mean, 0.0)
    off: Array = np.abs(x - mean) / np.sqrt(np.maximum(var, 1e-12 * (1.0 + np.abs(x).max()) ** 2))
    off[end - begin < 10] = 0.0
    return off


def literal(sigma: float, days: float) -> Alarming:
    """Every sample further off than so many standard deviations of the days before: mean ± 3σ as it is written."""

    def alarming(times: Sequence[float], values: Sequence[float]) -> Alarms:
        step = float(np.median(np.diff(times)))
        return np.asarray(deviations(values, max(10, int(days * DAY / step))) > sigma)

    return alarming


def noise(kind: str, step: float, days: int, seed: int = SEED) -> tuple[list[float], list[float]]:
    """A metric that does nothing unusual."""
    draw = np.random.default_rng(seed)
    times = START + np.arange(int(days * DAY / step)) * step
    many = len(times)
    made: dict[str, Callable[[], Array]] = {
        "normal": lambda: draw.normal(50.0, 5.0, many),
        "log-normal": lambda: draw.lognormal(3.0, 1.0, many),
        "success rate": lambda: draw.binomial(200, 0.995, many) / 200.0,
        "daily": lambda: 50.0 + 30.0 * np.sin(2.0 * np.pi * times / DAY) + draw.normal(0.0, 4.0, many),
    }
    return times.tolist(), made[kind]().tolist()


NOISES = ("normal", "log-normal", "success rate", "daily")
STEPS = {60.0: 21, 300.0: 63}
"""Step in seconds → days of noise."""


def noise_rows(steps: Mapping[float, int]) -> tuple[list[list[str]], dict[float, float]]:
    """Alarms a day after a week of learning, and for each step the most that the shipped detector raises."""
    contenders: dict[str, Alarming] = {
        "selfheal as it ships": shipped,
        "selfheal mean ± 3σ mode": sigma_mode,
        "mean ± 3σ of 7 days": literal(3.0, 7.0),
        "mean ± 3σ of an hour": literal(3.0, 1.0 / 24.0),
    }
    rows, most = [], dict.fromkeys(steps, 0.0)
    for name, alarming in contenders.items():
        cells = []
        for step, days in steps.items():
            for kind in NOISES:
                times, values = noise(kind, step, days)
                judged = np.asarray(times) >= START + LEARNT_DAYS * DAY
                rate = float(alarming(times, values)[judged].sum()) / (days - LEARNT_DAYS)
                cells.append(f"{rate:.2f}")
                if alarming is shipped:
                    most[step] = max(most[step], rate)
        rows.append([name, *cells])
    return rows, most


def _profile() -> Callable[[float, float], object]:
    profile = SeasonalProfile("UTC", 48, 8.0 * DAY, 5.0)

    def score_and_learn(t: float, x: float) -> None:
        profile.deviation(t, x)
        profile.learn(t, x)

    return score_and_learn


def _window() -> Callable[[float, float], object]:
    """A numpy window of an hour, as a plain script has it."""
    recent, at = np.full(60, 50.0), 0

    def score_and_learn(t: float, x: float) -> float:
        nonlocal at
        off = abs(x - recent.mean()) / (recent.std() or 1.0)
        recent[at] = x
        at = (at + 1) % 60
        return float(off)

    return score_and_learn


PROFILE = "baseline without verdict (SeasonalProfile)"
UPDATE = "SeasonalBaseline.update, calibrated"
COSTS: dict[str, Callable[[], Callable[[float, float], object]]] = {
    PROFILE: _profile,
    UPDATE: lambda: SeasonalBaseline().update,
    "SeasonalBaseline.update, sigma": lambda: SeasonalBaseline(mode="sigma").update,
    "MetricDetector.update": lambda: MetricDetector().update,
    "numpy window of 60": _window,
}


def cost_rows(rounds: int) -> tuple[list[list[str]], dict[tuple[str, float], float]]:
    """Median microseconds of the processor a sample, contenders taking turns, every minute and every five."""
    data = {step: noise("normal", step, 8) for step in STEPS}
    contenders = {**COSTS, **detect_peers.costs()}
    took: dict[tuple[str, float], list[float]] = {}
    for _ in range(rounds):
        for name, made in contenders.items():
            for step, (times, values) in data.items():
                call = made()
                start = time.process_time_ns()
                for t, x in zip(times, values, strict=True):
                    call(t, x)
                spent = (time.process_time_ns() - start) / len(times) / 1000
                took.setdefault((name, step), []).append(spent)
    medians = {key: statistics.median(values) for key, values in took.items()}
    rows = [[name, *(f"{medians[name, step]:.2f}" for step in STEPS)] for name in contenders]
    return rows, medians


def bank_cost(rounds: int, many: int = 1000) -> float:
    """Median microseconds of the processor for a tick of so many metrics, every minute for three days."""
    values = np.random.default_rng(SEED).normal(50.0, 5.0, (64, many))
    took = []
    for _ in range(rounds):
        bank, ticks = BaselineBank([f"metric {n}" for n in range(many)]), 3 * 1440
        start = time.process_time_ns()
        for n in range(ticks):
            bank.update(START + 60.0 * n, values[n % 64])
        took.append((time.process_time_ns() - start) / ticks / 1000)
    return statistics.median(took)


def size() -> float:
    """Bytes of one detector that knows two weeks, a fifth of what five take."""
    times, values = noise("daily", 300.0, 14)
    MetricDetector().update(times[0], values[0])  # what all share is there before
    gc.collect()
    tracemalloc.start()
    detectors = [MetricDetector() for _ in range(5)]
    for detector in detectors:
        detector.warm_start(zip(times, values, strict=True))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / len(detectors)


def run(quick: bool = False) -> list[Gate]:
    """Print all tables; quick: of less noise, once, only to see that it runs."""
    steps, rounds = (dict.fromkeys(STEPS, LEARNT_DAYS + 1), 1) if quick else (STEPS, 5)
    rows, most = noise_rows(steps)
    kinds = [f"{kind} {step / 60:.0f} min" for step in STEPS for kind in NOISES]
    print_table("alarms a day on a metric that does nothing unusual", ["contender", *kinds], rows)
    rows, costs = cost_rows(rounds)
    head = ["contender", *(f"every {step / 60:.0f} min" for step in STEPS)]
    print_table("score and learn one sample, µs", head, rows)
    bank, taken = bank_cost(rounds), size()
    print(f"\n  a tick of a BaselineBank of 1,000 metrics takes {bank:.1f} µs")
    print(f"  a MetricDetector that knows two weeks takes {taken / 1000:.1f} KB")
    window = f"numpy window {costs['numpy window of 60', 60.0]:.1f}"
    trees = costs.get(("River HalfSpaceTrees, 10 trees", 60.0))
    beside = window if trees is None else f"{window}, River half-space trees {trees:.1f}"
    whole = f"with calibration and verdict {costs[UPDATE, 60.0]:.1f}; {beside}"
    return [
        *(Gate(f"alarms a day on noise, every {s / 60:.0f} min", most[s], "≤", 1.0, 0.2) for s in STEPS),
        Gate("baseline, score and learn, every 1 min, µs", costs[PROFILE, 60.0], "≤", 1.0, 0.5, whole),
        Gate("baseline, score and learn, every 5 min, µs", costs[PROFILE, 300.0], "≤", 1.0, 0.5),
        Gate("baseline of 1,000 metrics at once, µs a metric", bank / 1000.0, "≤", 1.0, 0.5),
        Gate("MetricDetector, µs", costs["MetricDetector.update", 60.0], "≤", 15.0, 8.0, beside),
        Gate("MetricDetector, KB", taken / 1000, "≤", 100.0, 20.0),
        Gate("tick of 1,000 metrics, µs", bank, "≤", 100.0, 50.0),
    ]
