"""What an observer of engines remembers: when something happened, and how far each healing is."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from selfheal.testing import FakeClock
from tests.healing.engine.world import EFFECTS

HOUR = 3600.0


@attrs.define
class Moment:
    """When something happened, by both clocks and in which process."""

    mono: float
    wall: float
    process: int


@attrs.define
class Run:
    """A healing, as the journal tells it."""

    run: str
    strategy: str
    target: str
    process: int
    touched: set[str]
    steps: dict[int, str] = attrs.field(factory=dict)
    actions: dict[int, str] = attrs.field(factory=dict)
    undoing: list[int] = attrs.field(factory=list)
    undone: set[int] = attrs.field(factory=set)
    order: list[int] = attrs.field(factory=list)
    to_undo: list[int] = attrs.field(factory=list)
    verdict: str = ""
    acted_at: float = 0.0
    ended: bool = False
    broken: bool = False
    kind: str = ""

    @property
    def in_force(self) -> set[int]:
        """Steps that took effect, or may have, and can be put back."""
        return {
            number
            for number, state in self.steps.items()
            if state in ("done", "in_doubt") and EFFECTS[self.actions[number]] == "reversible"
        }


class Time:
    """How long ago something is, as far as a process can know.

    Args:
        clock: of the simulation.
        slack: seconds by which an entry may be later than what it tells of.
    """

    def __init__(self, clock: FakeClock, slack: float) -> None:
        self.slack = slack
        self.process = 0
        self._clock = clock
        self._booted = Moment(0.0, 0.0, 0)

    def now(self) -> Moment:
        """This moment."""
        return Moment(self._clock.monotonic(), self._clock.wall(), self.process)

    def boots(self) -> None:
        """A process begins."""
        self.process += 1
        self._booted = self.now()

    def recent(self, moments: Iterable[Moment]) -> list[Moment]:
        """Those of the last hour."""
        return [moment for moment in moments if self.age(moment) + self.slack < HOUR]

    def age(self, moment: Moment) -> float:
        """Seconds since a moment: what was before this process is known by the wall clock alone."""
        now = self._clock.monotonic()
        if moment.process == self.process:
            return now - moment.mono
        return max(0.0, self._booted.wall - moment.wall) + now - self._booted.mono
