"""What a sample of several metrics costs: scored, learnt, and with the reasons for a high score.

    python -m benchmarks.detect_costs

The median of 500 calls on one core, after ten days of noise every five minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import print_table
from selfheal.detection import CompositeDetector

STEP, PAST, CALLS = 300.0, 2_880, 500
Sample = Mapping[str, float]


def cost(call: Callable[[float, Sample], object], rows: NDArray[np.float64], t: float) -> str:
    """Median microseconds of one call."""
    took = []
    for n, row in enumerate(rows.tolist()):
        sample = {f"m{place}": value for place, value in enumerate(row)}
        began = time.perf_counter()
        call(t + n * STEP, sample)
        took.append(time.perf_counter() - began)
    return f"{1e6 * float(np.median(took)):.0f}"


def run(calls: int = CALLS) -> None:
    """Print what is measured, for detectors with an anchor and without."""
    rows = []
    for count in (4, 19, 38):
        for anchor in (28 * 86_400.0, 0.0):
            draw = np.random.default_rng(count)
            detector = CompositeDetector([f"m{place}" for place in range(count)], anchor=anchor)

            def both(t: float, sample: Sample, detector: CompositeDetector = detector) -> None:
                detector.score(t, sample)
                detector.learn(t, sample)

            for n, row in enumerate(draw.normal(50.0, 1.0, (PAST, count)).tolist()):
                detector.learn(n * STEP, {f"m{place}": value for place, value in enumerate(row)})
            detector.anchor()
            usual = draw.normal(50.0, 1.0, (2, calls, count))
            unusual = usual[0] + 20.0
            t = PAST * STEP
            costs = [
                cost(detector.update, usual[0], t),
                cost(both, usual[1], t + calls * STEP),
                cost(detector.score, unusual, t + 2 * calls * STEP),
            ]
            rows.append([f"{count}, {'with' if anchor else 'without'} an anchor", *costs])
    headers = ["metrics", "update", "score, then learn", "score, with reasons"]
    print_table("CompositeDetector, a sample of several metrics, µs", headers, rows)


if __name__ == "__main__":
    run()
