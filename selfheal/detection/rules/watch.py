"""What every rule at work can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from selfheal.detection.rules.findings import Finding

if TYPE_CHECKING:
    from selfheal.detection.sampler import Sample
    from selfheal.events import Event


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
