"""What came of a run, and whether there was a fault to be found at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from benchmarks.drill_detect.cases import Case
from selfheal.events import Alert


@attrs.frozen(kw_only=True)
class Heard:
    """An alert, with the moment at which it came: seconds of the monitor, and real ones, after it was done."""

    alert: Alert
    after: float
    real: float


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of a run.

    Args:
        case: which.
        seed: from which it was drawn.
        target: the process that it was done to.
        heard: every alert.
        short: seconds of the monitor that were missing until a hog had used the CPU for as long as the rule asks; where
            it is more than 0 and there was no alert, the machine was busy, and there was nothing to be found.
        tries: how often it was begun.
    """

    case: Case
    seed: int
    target: str
    heard: Sequence[Heard]
    short: float = 0.0
    tries: int = 1

    @property
    def found(self) -> Heard | None:
        """The alert that had to come: of the right kind, about the right process, and not before it was done."""
        return next((one for one in self.heard if self._is_right(one)), None)

    @property
    def wrong(self) -> tuple[Heard, ...]:
        """All other alerts."""
        return tuple(one for one in self.heard if not self._is_right(one))

    @property
    def starved(self) -> bool:
        """Whether the fault was not there, because the machine was busy with other things."""
        return self.short > 0.0 and self.found is None

    @property
    def good(self) -> bool:
        """Whether what had to come came, and nothing else."""
        return not self.wrong and (self.found is not None or not self.case.kind)

    def _is_right(self, one: Heard) -> bool:
        return (one.alert.kind, one.alert.target) == (self.case.kind, self.target) and one.after >= 0.0


class Spent:
    """For how long at most a process had more than a share of a CPU, by what it says itself.

    Args:
        share: of one CPU.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._since: float | None = None
        self.longest = 0.0

    def take(self, least: float, at: float) -> None:
        """Take the least share that it had since the time before, ``inf`` where it is not known, at a time."""
        if math.isinf(least):
            return
        if least <= self._share:
            self._since = None
            return
        self._since = at if self._since is None else self._since
        self.longest = max(self.longest, at - self._since)
