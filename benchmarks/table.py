"""Plain tables and gates for the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Gate(NamedTuple):
    """A figure to reach."""

    what: str
    reached: float
    sign: str
    limit: float

    @property
    def holds(self) -> bool:
        return self.reached <= self.limit if self.sign == "≤" else self.reached >= self.limit


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a title, the first column left, the others right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for line in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  " + "  ".join([line[0].ljust(widths[0]), *cells]))


def print_gates(gates: Sequence[Gate]) -> int:
    """Print which gate holds; 0 if all do, else 1."""
    rows = [[g.what, f"{g.reached:.2f}", f"{g.sign} {g.limit:g}", "holds" if g.holds else "MISSED"] for g in gates]
    print_table("gates", ["what", "reached", "gate", ""], rows)
    return 0 if all(gate.holds for gate in gates) else 1
