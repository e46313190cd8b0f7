"""Memory leaks told from what only looks like one: ``python -m benchmarks.bench_leak [series]``.

Series of one sample a minute, noise and level drawn with each from a seed. What fires at any moment of a day counts,
not only at its end. A leak grows by 0.8 to 3 % of the limit an hour on top of the same series. A slow leak
cannot be told from a slow day on the first day; there only false alarms have a gate. Exits 1 if a gate is missed.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from benchmarks.table import Gate, print_gates, print_table
from selfheal.detection.leak import LeakDetector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("AR", "diurnal", "warm-up", "GC sawtooth")


def drawn(kind: str, rng: np.random.Generator, hours: int, leaks_from: float | None = None) -> NDArray[np.float64]:
    """Percent of the memory limit, a value a minute; it leaks from some hour on where that is given."""
    import numpy as np

    hour = np.arange(hours * 60) / 60.0
    made = rng.uniform(25.0, 60.0) + np.zeros(len(hour))
    if kind == "AR":
        made += _autoregressive(rng, len(hour), rng.choice([0.0, 0.9, 0.99, 0.995, 0.998]), rng.uniform(0.5, 6.0))
    else:
        made += _autoregressive(rng, len(hour), rng.choice([0.0, 0.9, 0.98]), rng.uniform(0.1, 1.0))
    if kind == "diurnal":
        made += rng.uniform(2.0, 15.0) * np.sin(2.0 * np.pi * (hour / 24.0 + rng.random()))
    elif kind == "warm-up":
        made += rng.uniform(5.0, 30.0) * (1.0 - np.exp(-hour / rng.uniform(0.3, 4.0)))
    elif kind == "GC sawtooth":
        made += rng.uniform(2.0, 25.0) * ((hour / rng.uniform(0.1, 6.0) + rng.random()) % 1.0)
    if leaks_from is not None:
        made += rng.uniform(0.8, 3.0) * np.maximum(hour - leaks_from, 0.0)
    return np.clip(made, 0.0, 100.0)


def _autoregressive(rng: np.random.Generator, n: int, phi: float, sd: float) -> NDArray[np.float64]:
    import numpy as np

    steps = rng.normal(0.0, sd * math.sqrt(1.0 - phi * phi), n).tolist()
    made, value = [], rng.normal(0.0, sd)
    for step in steps:
        value = phi * value + step
        made.append(value)
    return np.array(made)


def first_alarm(values: NDArray[np.float64], looked_at_from: float = 0.0) -> float | None:
    """The hour at which a leak is first told, looked at from some hour on; ``None`` if never."""
    detector = LeakDetector(limit=100.0)
    for minute, value in enumerate(values.tolist()):
        detector.observe(1_700_000_000.0 + 60.0 * minute, value)
        if detector.leak is not None and minute >= 60.0 * looked_at_from:
            return minute / 60.0
    return None


def rates(kind: str, series: int, before: int = 0, seed: int = 7) -> tuple[float, float]:
    """Share of leak-free, and of leaking, series of a day that fire; ``before`` hours of the past are known."""
    import numpy as np

    rng = np.random.default_rng([seed, KINDS.index(kind), before])
    hours = before + 24
    false = sum(first_alarm(drawn(kind, rng, hours), before) is not None for _ in range(series))
    found = sum(first_alarm(drawn(kind, rng, hours, leaks_from=before), before) is not None for _ in range(series))
    return false / series, found / series


def measure(series: int = 200) -> list[Gate]:
    """Print the rates of every kind, on the first day and on the fourth; the gates."""
    rows, gates = [], []
    for before, day in ((0, "first day"), (72, "fourth day")):
        powers = []
        for kind in KINDS:
            false, power = rates(kind, series, before)
            rows.append([f"{kind}, {day}", f"{100 * false:.1f} %", f"{100 * power:.1f} %"])
            gates.append(Gate(f"leak: false alarms, {kind}, {day}, %", 100.0 * false, "≤", 5.0, 1.0))
            if before or kind != "diurnal":
                powers.append(power)
        left = "" if before else ", diurnal left out"
        gates.append(Gate(f"leak: power, {day}{left}", sum(powers) / len(powers), "≥", 0.8, 0.95))
    print_table(f"memory leaks: {series} series of each kind, any alarm within 24 h", ["", "false", "found"], rows)
    return gates


def main(series: int = 200) -> int:
    """Print the rates and say which gate holds."""
    return print_gates(measure(series))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
