"""Alarms of the detector of several metrics on four metrics of noise, which do nothing unusual."""

from __future__ import annotations

import numpy as np

from benchmarks.detect_univariate import LEARNT_DAYS, NOISES, STEPS, noise
from benchmarks.table import Gate, print_table
from selfheal.detection import MULTIVARIATE_GATE, AlertGate, CompositeDetector

METRICS = ("a", "b", "c", "d")
FIRST_SEED = 1
WANDERING = "wandering"
"""Autoregressive: each value leans on the one before, and forgets it within an hour."""


def metric(kind: str, step: float, days: int, seed: int) -> tuple[list[float], list[float]]:
    """Times and values of one metric."""
    if kind != WANDERING:
        return noise(kind, step, days, seed)
    times, steps = noise("normal", step, days, seed)
    kept, value, values = float(np.exp(-step / 3_600.0)), 0.0, []
    for each in steps:
        value = kept * value + each
        values.append(value)
    return times, values


def alarms(kind: str, step: float, days: int) -> float:
    """Alarms a day after the first week, with the gate as shipped."""
    made = [metric(kind, step, days, FIRST_SEED + n) for n in range(len(METRICS))]
    samples = [
        (t, dict(zip(METRICS, row, strict=True)))
        for t, row in zip(made[0][0], zip(*(values for _, values in made), strict=True), strict=True)
    ]
    week = int(LEARNT_DAYS * 86_400.0 / step)
    detector, gate, count = CompositeDetector(METRICS), AlertGate(MULTIVARIATE_GATE), 0
    detector.warm_start(samples[:week])
    for t, x in samples[week:]:
        verdict = detector.score(t, x)
        count += gate.update(t, verdict.score, step, ready=verdict.ready) == "raised"
        detector.learn(t, x, gate.learning_weight(t))
    return count / (days - LEARNT_DAYS)


def run(quick: bool = False) -> list[Gate]:
    """Print alarms a day, and give the most for each step."""
    steps, kinds = (dict.fromkeys(STEPS, 8), NOISES[:1]) if quick else (STEPS, (*NOISES, WANDERING))
    rows, gates = [], []
    for step, days in steps.items():
        rates = [alarms(kind, step, days) for kind in kinds]
        rows.append([f"every {step / 60:.0f} min", *(f"{rate:.2f}" for rate in rates)])
        what = f"alarms a day on noise of four metrics, every {step / 60:.0f} min"
        gates.append(Gate(what, max(rates), "≤", 1.0, 0.2))
    print_table(
        "CompositeDetector: alarms a day on four metrics of noise, after a week of learning", ["", *kinds], rows
    )
    return gates
