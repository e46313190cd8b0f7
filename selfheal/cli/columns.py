"""Rows aligned for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

GAP = "  "


class Columns:
    """Widths of columns, which grow with the rows they have seen and never shrink.

    Args:
        head: the titles. The last column is as wide as it is.
    """

    def __init__(self, head: Sequence[str]) -> None:
        self.head = tuple(head)
        self._widths = [len(title) for title in head]

    def see(self, row: Sequence[str]) -> None:
        """Make room for a row."""
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]

    def line(self, row: Sequence[str]) -> str:
        """The row as a line, without its end."""
        self.see(row)
        cells = [cell.ljust(width) for cell, width in zip(row, self._widths, strict=True)]
        return GAP.join(cells).rstrip()


def shown(value: object) -> str:
    """A value as a cell: short numbers, ``yes`` and ``no``, ``-`` for nothing, and no control characters."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return printable(str(value))


def printable(text: str) -> str:
    """The text without what a terminal would obey: each such character as its escape in Python."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
