"""Made-up servers for the tests of the multivariate detectors: seeded, with a daily rhythm, and free of files."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

METRICS = ("cpu", "memory", "latency")
START = 1_700_006_400.0
"""Midnight of a day in UTC."""
STEP = 300.0
Sample = tuple[float, dict[str, float]]


def server(samples: int, seed: int = 0, step: float = STEP, start: float = START) -> Iterator[Sample]:
    """Times and samples: CPU and latency with the day, memory without."""
    draw = np.random.default_rng(seed)
    for n in range(samples):
        t = start + n * step
        day = math.sin(2.0 * math.pi * t / 86_400.0)
        noise = draw.normal(size=3)
        yield (
            t,
            {
                "cpu": 40.0 + 20.0 * day + 2.0 * float(noise[0]),
                "memory": 60.0 + 1.0 * float(noise[1]),
                "latency": math.exp(4.0 + 0.5 * day + 0.1 * float(noise[2])),
            },
        )
