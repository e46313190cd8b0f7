"""The order in which a restore goes, and what a process that finds one half done has to do: decided, not done.

::

    forward   STAGING, STAGED, SWAPPING(0), SWAPPED(0), SWAPPING(1), ... SWAPPED(last), PROBING, then COMMITTED or KEPT
    back      from wherever it is: ROLLING_BACK(i), ROLLING_BACK(i - 1), ... ROLLING_BACK(0), ROLLED_BACK
              from STAGING and STAGED, where nothing was moved yet: ROLLED_BACK at once

A phase is written down before the work it names begins. So whoever reads ``SWAPPING(i)`` knows that the sections
before ``i`` are exchanged, those after it are not, and ``i`` itself is in doubt; looking at the names tells.
"""

from __future__ import annotations

import enum

import attrs


class Phase(enum.StrEnum):
    """How far a restore is."""

    STAGING = "staging"
    STAGED = "staged"
    SWAPPING = "swapping"
    SWAPPED = "swapped"
    PROBING = "probing"
    COMMITTED = "committed"
    KEPT = "kept"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class Direction(enum.StrEnum):
    """Where a restore is to go from here."""

    FORWARD = "forward"
    BACK = "back"


class Work(enum.StrEnum):
    """What there is to be done in a phase."""

    SWAP = "swap"
    """Exchange the section, if that was not done."""
    PROBE = "probe"
    """Ask the host whether it works."""
    UNSWAP = "unswap"
    """Put the previous tree of the section back, if that was not done."""
    CLEAN = "clean"
    """Remove all that lies beside the targets, and the record of the restore."""


_COUNTED = frozenset({Phase.SWAPPING, Phase.SWAPPED, Phase.ROLLING_BACK})
_WORK = {
    Phase.SWAPPING: Work.SWAP,
    Phase.PROBING: Work.PROBE,
    Phase.ROLLING_BACK: Work.UNSWAP,
    Phase.COMMITTED: Work.CLEAN,
    Phase.ROLLED_BACK: Work.CLEAN,
}
_SETTLED = frozenset({Phase.COMMITTED, Phase.ROLLED_BACK})
"""Decided: only the clean-up is left, in whichever direction one would go."""


@attrs.frozen
class Standing:
    """How far a restore of ``total`` sections is.

    Args:
        phase: the phase.
        section: the section it is about, from 0; 0 where the phase is about none.
        total: how many sections there are.

    Raises:
        ValueError: if there is no such section.
    """

    phase: Phase
    section: int
    total: int

    def __attrs_post_init__(self) -> None:
        if self.total < 1 or not 0 <= self.section < self.total:
            raise ValueError(f"section {self.section} of {self.total}")
        if self.section and self.phase not in _COUNTED:
            raise ValueError(f"{self.phase} is about no section, got {self.section}")

    def __str__(self) -> str:
        return f"{self.phase.value}({self.section})" if self.phase in _COUNTED else self.phase.value

    @property
    def moved(self) -> int:
        """How many sections may have been exchanged: those before this number."""
        if self.phase in (Phase.STAGING, Phase.STAGED, Phase.ROLLED_BACK):
            return 0
        return self.section + 1 if self.phase in _COUNTED else self.total

    @property
    def work(self) -> Work | None:
        """What has to be done here; ``None`` where one can go on at once, or stay."""
        return _WORK.get(self.phase)

    def after_work(self, direction: Direction, *, keep: bool = False) -> Standing | None:
        """Where it goes once the work of this phase was done; ``None`` where it ends or stays.

        Args:
            direction: where to. What was decided stays so: a commit is not taken back, a rollback comes to its end.
            keep: after the probe, whether the previous trees are kept.
        """
        if self.phase in _SETTLED:
            return None
        if self.phase is Phase.ROLLING_BACK:
            return self._back(self.section - 1)
        if direction is Direction.BACK:
            return self._back(self.moved - 1)
        return self._forward(keep)

    def _forward(self, keep: bool) -> Standing | None:
        match self.phase:
            case Phase.STAGING:
                return self._at(Phase.STAGED)
            case Phase.STAGED:
                return self._at(Phase.SWAPPING)
            case Phase.SWAPPING:
                return self._at(Phase.SWAPPED, self.section)
            case Phase.SWAPPED if self.section + 1 < self.total:
                return self._at(Phase.SWAPPING, self.section + 1)
            case Phase.SWAPPED:
                return self._at(Phase.PROBING)
            case Phase.PROBING:
                return self._at(Phase.KEPT if keep else Phase.COMMITTED)
            case _:  # KEPT
                return self._at(Phase.COMMITTED)

    def _back(self, section: int) -> Standing:
        return self._at(Phase.ROLLED_BACK) if section < 0 else self._at(Phase.ROLLING_BACK, section)

    def _at(self, phase: Phase, section: int = 0) -> Standing:
        return Standing(phase, section, self.total)


def found(standing: Standing, *, rollback: bool) -> Direction:
    """Where a restore goes that a process finds which did not begin it.

    What was being staged is discarded: half a copy is worth nothing. What was being exchanged goes back in reverse
    order, or on where that was asked for. What was decided is brought to its end.
    """
    if standing.phase is Phase.STAGING or rollback:
        return Direction.BACK
    return Direction.FORWARD
