"""What every rule at work can do."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Protocol

from selfheal.detection.rules.findings import Finding

if TYPE_CHECKING:
    from selfheal.detection.sampler import Sample
    from selfheal.events import Event

logger = logging.getLogger("selfheal.detection.rules")

_TOO_FAR = 10
"""Samples in a row, each too far from the one before, that are no gap but the pace of whoever samples."""


class Watch(Protocol):
    """A rule at work. Pure: the caller gives the time, and keeps threads apart."""

    def observe(self, sample: Sample) -> list[Finding]:
        """Take a sample; what began or ended by it."""

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """Take an event; what began or ended by it."""

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass (wall and monotonic seconds); what began or ended by it."""

    def forget(self, target: str, t: float) -> list[Finding]:
        """A target is gone on purpose; what of it was open ends."""


class Quiet:
    """Answers nothing to what a rule does not look at."""

    def observe(self, sample: Sample) -> list[Finding]:
        """Nothing follows from samples."""
        return []

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """Nothing follows from events."""
        return []

    def tick(self, t: float, at: float) -> list[Finding]:
        """Nothing follows from time alone."""
        return []

    def forget(self, target: str, t: float) -> list[Finding]:
        """Nothing was open."""
        return []


class Pace:
    """Says once that samples come so far apart that a rule never counts the time between them.

    Args:
        rule: its name.
        step: seconds that its samples should be apart.
    """

    def __init__(self, rule: str, step: float) -> None:
        self._rule = rule
        self._step = step
        self._at = -math.inf
        self._far = 0
        self._said = False

    def look(self, metric: str, at: float) -> None:
        """A value came, of any target."""
        apart = at - self._at
        if apart <= 0.0 or self._said:
            return
        self._at = at
        self._far = self._far + 1 if apart > 2.0 * self._step else 0
        if self._far > _TOO_FAR:
            self._said = True
            logger.warning(
                "rule %s: %s comes every %.3g s. Time between samples further apart than two steps of %.3g s counts"
                " for nothing, so that no duration is ever over: set step to what its samples are apart",
                *(self._rule, metric, apart, self._step),
            )
