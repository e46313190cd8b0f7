"""All rules at work: samples and events in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from selfheal.detection.history import History
from selfheal.detection.rules.cascade import CascadeWatch
from selfheal.detection.rules.failures import BreakerWatch, TaskFailureWatch
from selfheal.detection.rules.findings import Finding
from selfheal.detection.rules.growth import LeakWatch
from selfheal.detection.rules.loading import DEFAULT_RULES, unique
from selfheal.detection.rules.specs import (
    BreakerRule,
    CascadeRule,
    CpuSpikeRule,
    LatencyRule,
    LeakRule,
    ProcessRule,
    RuleSpec,
    TaskFailureRule,
    ThresholdRule,
)
from selfheal.detection.rules.thresholds import LatencyWatch, ThresholdWatch
from selfheal.detection.rules.unresponsive import ProcessWatch
from selfheal.detection.rules.watch import Watch
from selfheal.detection.sampler import Sample
from selfheal.events import Event

_WATCHES: dict[type, Callable[[Any], Watch]] = {
    BreakerRule: BreakerWatch,
    CascadeRule: CascadeWatch,
    CpuSpikeRule: ThresholdWatch.of,
    LatencyRule: LatencyWatch,
    LeakRule: LeakWatch,
    ProcessRule: ProcessWatch,
    TaskFailureRule: TaskFailureWatch,
    ThresholdRule: ThresholdWatch.of,
}


class RuleWatch:
    """Watches rules. Pure: the caller gives the time, and keeps threads apart.

    What one rule finds is an alert that the cascade rules look at; alerts found elsewhere are given by :meth:`event`.

    Args:
        rules: their settings; the shipped ones where none are given. No name twice.

    Raises:
        ConfigError: if two rules have the same name.

    >>> rules = RuleWatch()
    >>> for second in range(0, 301, 10):
    ...     found = rules.observe(Sample("cpu_percent", 95.0, "web", 1_700_000_000.0 + second, 1000.0 + second))
    >>> [(finding.kind, finding.target) for finding in found]
    [('cpu_spike', 'web')]
    """

    def __init__(self, rules: Iterable[RuleSpec] = DEFAULT_RULES) -> None:
        self.rules = unique(tuple(rules))
        self._watches = [_WATCHES[type(rule)](rule) for rule in self.rules]
        self._cascades = [watch for watch in self._watches if isinstance(watch, CascadeWatch)]
        self._open: dict[str, Finding] = {}

    @property
    def open(self) -> tuple[Finding, ...]:
        """What is the matter now, as it was raised, oldest first."""
        return tuple(self._open.values())

    def warm_start(self, history: History, at: float) -> None:
        """Learn the past that was kept (``at``: monotonic seconds of now); nothing is found by it."""
        for watch in self._watches:
            if isinstance(watch, LeakWatch):
                watch.warm_start(history, at)

    def to_dict(self, at: float) -> dict[str, Any]:
        """What rules learnt by themselves (how often tasks fail), as JSON data; what is open is not in it."""
        return {watch.name: watch.to_dict(at) for watch in self._watches if isinstance(watch, TaskFailureWatch)}

    def load(self, data: Mapping[str, Any], at: float, ago: float) -> None:
        """Take over what :meth:`to_dict` gave ``ago`` seconds before now (``at``: monotonic seconds).

        Raises:
            ValueError: if it is not that.
        """
        for watch in self._watches:
            if isinstance(watch, TaskFailureWatch) and watch.name in data:
                try:
                    watch.load(data[watch.name], at, ago)
                except (TypeError, AttributeError, OverflowError) as error:
                    raise ValueError(f"rule {watch.name}: {error}") from error

    def observe(self, sample: Sample) -> list[Finding]:
        """Take a sample; what began or ended by it."""
        return self._told([f for watch in self._watches for f in watch.observe(sample)], sample.t, sample.at)

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """Take an event (``t`` wall, ``at`` monotonic seconds); what began or ended by it."""
        return self._told([f for watch in self._watches for f in watch.event(event, t, at)], t, at)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass (``t`` wall, ``at`` monotonic seconds); what began or ended by it."""
        return self._told([f for watch in self._watches for f in watch.tick(t, at)], t, at)

    def forget(self, target: str, t: float, at: float) -> list[Finding]:
        """A target is gone on purpose; what was open on it ends."""
        return self._told([f for watch in self._watches for f in watch.forget(target, t)], t, at)

    def _told(self, found: list[Finding], t: float, at: float) -> list[Finding]:
        """Show cascade rules what the others found, and remember what is open."""
        for finding in tuple(found):
            for cascade in self._cascades:
                found += cascade.event(finding.event(), t, at)
        for finding in found:
            key = f"{finding.rule}|{finding.fingerprint}"
            if finding.raised:
                self._open[key] = finding
            else:
                self._open.pop(key, None)
        return found
