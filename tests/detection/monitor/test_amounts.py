"""Values as a person reads them: with units that names tell, and not in powers of ten."""

from __future__ import annotations

import math

import pytest

from selfheal.detection.monitor.amounts import amount, chance


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("cpu_percent", 97.04, "97.04 %"),
        ("latency_ms", 900.0, "900 ms"),
        ("p95_seconds", 0.25, "0.25 s"),
        ("memory_bytes", 0.0, "0 B"),
        ("memory_bytes", 999.0, "999 B"),
        ("memory_bytes", -2.5e6, "-2.5 MB"),
        ("process_memory_bytes", 3.2e12, "3.2 TB"),
        ("bytes", 1e9, "1 GB"),
        ("orders", 12345.6, "12,346"),
        ("orders", 1e300, "1e+300"),
        ("cpu_percent", math.nan, "nan"),
        ("", math.inf, "inf"),
    ],
)
def test_amounts(metric: str, value: float, shown: str) -> None:
    """Large, small, negative, missing and infinite ones."""
    assert amount(metric, value) == shown


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (0.0, "1 in 1"),
        (3.21, "1 in 1,600"),
        (6.0, "1 in 1,000,000"),
        (6.1, "less than 1 in a million"),
        (1e9, "less than 1 in a million"),
    ],
)
def test_chances(score: float, told: str) -> None:
    """A score is the power of ten of how rare it is."""
    assert chance(score) == told


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [("memory_bytes", 1.131e8, "110 MB"), ("latency_ms", 4321.0, "4300 ms"), ("orders", 0.01234, "0.012")],
)
def test_fewer_digits(metric: str, value: float, shown: str) -> None:
    """For spreads, which nobody knows that well."""
    assert amount(metric, value, 2) == shown
