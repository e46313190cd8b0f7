"""Detection: recorded incidents, alarms on noise, and cost, beside plain statistics.

``python -m benchmarks.bench_detect --data FOLDER`` also judges recorded series: ``FOLDER/nab`` as in numenta/NAB.
Without it only what is made here by a seed is judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import detect_univariate
from benchmarks.table import print_gates


def main(arguments: Sequence[str] = ()) -> int:
    """Print all tables and say which gate holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_detect", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with recorded series, in nab/")
    data: Path | None = parser.parse_args(arguments).data
    print("Detection: one setting for all series; settings were searched on every third of the recorded ones.")
    gates = detect_univariate.run(data / "nab" if data else None)
    return print_gates(gates)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
