"""Plain tables and gates for the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Gate(NamedTuple):
    """A figure to reach.

    Args:
        what: it is.
        reached: what was measured.
        sign: ``"≤"`` or ``"≥"``.
        limit: what it must be.
        ambitious: what it should be, where more than what it must be is aimed at.
        beside: what others reach, in words.
    """

    what: str
    reached: float
    sign: str
    limit: float
    ambitious: float | None = None
    beside: str = ""

    @property
    def holds(self) -> bool:
        return self._keeps(self.limit)

    @property
    def standing(self) -> str:
        """Which of the two it reaches, and what is missing to the ambitious one."""
        if self.ambitious is None:
            return "holds" if self.holds else "MISSED"
        if self._keeps(self.ambitious):
            return "ambitious"
        kept = "must" if self.holds else "MISSED"
        return f"{kept}, {abs(self.reached - self.ambitious):.3g} from ambitious"

    def _keeps(self, limit: float) -> bool:
        return self.reached <= limit if self.sign == "≤" else self.reached >= limit


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a title, the first column left, the others right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for line in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  " + "  ".join([line[0].ljust(widths[0]), *cells]).rstrip())


def print_gates(gates: Sequence[Gate]) -> int:
    """Print which gate holds; 0 if all do, else 1."""
    if any(gate.ambitious is not None for gate in gates):
        rows = [[g.what, f"{g.reached:.2f}", *_limits(g), g.standing, g.beside] for g in gates]
        print_table("gates", ["what", "reached", "must", "ambitious", "stands at", "beside"], rows)
    else:
        rows = [[g.what, f"{g.reached:.2f}", f"{g.sign} {g.limit:g}", g.standing] for g in gates]
        print_table("gates", ["what", "reached", "gate", ""], rows)
    return 0 if all(gate.holds for gate in gates) else 1


def _limits(gate: Gate) -> tuple[str, str]:
    aim = "" if gate.ambitious is None else f"{gate.sign} {gate.ambitious:g}"
    return f"{gate.sign} {gate.limit:g}", aim
