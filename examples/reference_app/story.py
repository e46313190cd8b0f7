"""How the demo tells what happens: a timeline, what an operator types and sees, and a verdict at the end."""

from __future__ import annotations

import json
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock

_INDENT = " " * 8
_WIDTH = 90


@attrs.frozen(kw_only=True)
class Expectation:
    """One thing that has to hold.

    Args:
        what: in words.
        held: whether it did.
        seen: what was seen, for the verdict.
    """

    what: str
    held: bool
    seen: str


class Story:
    """Prints as it goes, and remembers what was expected.

    Args:
        clock: for the seconds in front of each line.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._chapter = 0
        self._expected: list[Expectation] = []

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return self._clock.monotonic() - self._began

    @property
    def failed(self) -> list[Expectation]:
        """The expectations that did not hold."""
        return [one for one in self._expected if not one.held]

    def chapter(self, title: str) -> None:
        """Begin the next step."""
        self._chapter += 1
        print(f"\n{self.seconds:6.1f} s  {self._chapter} · {title}", flush=True)

    def tell(self, text: str) -> None:
        """One line of what happens."""
        print(f"{self.seconds:6.1f} s  {text}", flush=True)

    def typed(self, command: str) -> None:
        """What the operator types."""
        print(f"{_INDENT}$ {command}", flush=True)

    def shown(self, content: Any) -> None:
        """What the operator sees: text as it is, anything else as ``jq`` would print it."""
        text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
        for line in text.splitlines():
            print(f"{_INDENT}| {line}", flush=True)

    def expect(self, what: str, held: object, seen: object) -> None:
        """Note whether something held, and say so at once."""
        made = Expectation(what=what, held=bool(held), seen=str(seen))
        self._expected.append(made)
        print(f"{_INDENT}{_mark(made)} {what}: {made.seen}", flush=True)

    def verdict(self) -> bool:
        """Print the table of all expectations; returns whether all held."""
        width = max((len(one.what) for one in self._expected), default=0)
        print(f"\nVerdict after {self.seconds:.1f} s")
        for one in self._expected:
            seen = one.seen if len(one.seen) <= _WIDTH else one.seen[: _WIDTH - 1] + "…"
            print(f"  {_mark(one):6}  {one.what:{width}}  {seen}")
        good = len(self._expected) - len(self.failed)
        print(
            f"\n{good} of {len(self._expected)} expectations held: {'ok' if not self.failed else 'FAILED'}", flush=True
        )
        return not self.failed


def _mark(one: Expectation) -> str:
    return "ok" if one.held else "FAILED"
