"""Values of metrics as a person reads them."""

from __future__ import annotations

import math

_UNITS = {"percent": "%", "ms": "ms", "seconds": "s", "bytes": "B"}
_LARGE = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
MILLION = 1e6


def unit_of(metric: str) -> str:
    """The unit that the name of a metric tells, or nothing.

    >>> unit_of("memory_percent"), unit_of("bytes_free"), unit_of("orders")
    ('%', 'B', '')
    """
    words = metric.split("_")
    return _UNITS.get(words[-1], _UNITS.get(words[0], "") if len(words) > 1 else "")


def amount(metric: str, value: float, digits: int = 4) -> str:
    """A value of a metric, with its unit where the name tells it.

    >>> amount("cpu_percent", 97.0), amount("bytes_free", 2.10207e9), amount("orders", 1234567.0)
    ('97 %', '2.102 GB', '1,234,567')
    """
    unit = unit_of(metric)
    if unit == "B":
        for size, name in _LARGE:
            if abs(value) >= size:
                return f"{_rounded(value / size, digits)} {name}"
    plain = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else _rounded(value, digits)
    return f"{plain} {unit}" if unit and math.isfinite(value) else plain


def _rounded(value: float, digits: int) -> str:
    """So many digits that count, and no power of ten where there can be none: 110, not 1.1e+02."""
    return f"{float(f'{value:.{digits}g}'):.10g}"


def chance(score: float) -> str:
    """How rarely there is something as unusual, for a score.

    >>> chance(3.53), chance(9.0)
    ('1 in 3,400', 'less than 1 in a million')
    """
    one_in = 10.0 ** min(score, 7.0)
    return "less than 1 in a million" if one_in > MILLION else f"1 in {float(f'{one_in:.2g}'):,.0f}"
