"""What a command tells, as lines for people and as one document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from selfheal.cli.columns import Columns, printable

SHOWN = 100
"""Names of a kind that are printed; all of them are in the document."""


class Page:
    """Gathers what a command tells; nothing of it is written before it is asked for.

    Whatever is told becomes printable: a name in a backup cannot steer a terminal, nor begin a line.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        """The document."""
        self.errors: list[str] = []
        """What could not be done although other things could, for stderr."""
        self._lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Add lines."""
        self._lines += map(printable, lines)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add rows, aligned under their titles."""
        columns = Columns(head)
        cells = [tuple(map(printable, row)) for row in rows]
        for row in cells:
            columns.see(row)
        self._lines += [columns.line(columns.head), *map(columns.line, cells)]

    def names(self, names: Sequence[str], elsewhere: str) -> None:
        """Add a list of names, the first hundred of it, and where the others are."""
        self.say(*names[:SHOWN])
        if len(names) > SHOWN:
            self.say(f"  and {len(names) - SHOWN:,} more: {elsewhere}")

    def text(self) -> str:
        """All lines."""
        return "".join(f"{line}\n" for line in self._lines)

    def document(self) -> str:
        """The document, in ASCII."""
        return json.dumps(self.data, indent=2, ensure_ascii=True, default=str) + "\n"
