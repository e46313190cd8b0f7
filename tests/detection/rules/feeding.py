"""Samples and events given to rules, second by second."""

from __future__ import annotations

from collections.abc import Iterable

from selfheal.detection.rules import Finding, RuleSpec, RuleWatch
from selfheal.detection.sampler import Sample
from selfheal.events import Event

WALL = 1_700_000_000.0
START = 1000.0


class Fed:
    """Rules, and a time that moves with what they are given."""

    def __init__(self, *rules: RuleSpec) -> None:
        self.rules = RuleWatch(rules)
        self.now = START
        self.found: list[Finding] = []

    @property
    def t(self) -> float:
        return WALL + self.now - START

    def see(self, metric: str, value: float, target: str = "web", after: float = 0.0) -> list[Finding]:
        """Let ``after`` seconds pass, then give a value."""
        self.now += after
        return self._kept(self.rules.observe(Sample(metric, value, target, self.t, self.now)))

    def hear(self, event: Event, after: float = 0.0) -> list[Finding]:
        self.now += after
        return self._kept(self.rules.event(event, self.t, self.now))

    def wait(self, seconds: float) -> list[Finding]:
        self.now += seconds
        return self._kept(self.rules.tick(self.t, self.now))

    def hold(self, metric: str, value: float, seconds: float, step: float = 10.0, target: str = "web") -> list[Finding]:
        """The same value every step, for so long."""
        found: list[Finding] = []
        for _ in range(round(seconds / step)):
            found += self.see(metric, value, target, after=step)
        return found

    def _kept(self, found: Iterable[Finding]) -> list[Finding]:
        self.found += (told := list(found))
        return told


def words(found: Iterable[Finding]) -> list[str]:
    return [f"{'+' if finding.raised else '-'}{finding.kind} {finding.target}" for finding in found]
