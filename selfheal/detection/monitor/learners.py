"""What learns the past of series, and says which of them are unusual now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

import attrs

from selfheal.detection.gate import AlertGate, GateConfig
from selfheal.detection.monitor.signals import Ended, Series, Signal
from selfheal.detection.saved import Saved
from selfheal.detection.verdict import NOTHING_SAID, Verdict

News = list[Signal | Ended]
Past = Callable[[Series], Iterable[tuple[float, float]]]
"""Time (wall seconds) and mean of each step of a series that was before the one being judged, oldest first."""

DEFAULT_GATE = GateConfig(budget_per_day=0.2)
"""For a ``MetricDetector``: at most one false alarm in five days, on a series that does nothing unusual."""
PLAIN_GATE = GateConfig(threshold=3.2, hold=0.1)
"""For scores of other detectors, taken as they are: a chance of 1 in 1600, or 0.2 a day of steps of five minutes.

There is no memory of what was scored lately: a score that is taken over several steps rises over several, the level of
a gate with a memory would rise along with it, and nothing would ever be far above that.
"""

GONE = 21_600.0
"""Seconds without a value after which nobody knows any more whether an alarm holds: it is over."""
NOT_MEASURED = "it is not measured any more"


@attrs.frozen(kw_only=True)
class Learning:
    """How far a learner has come with one series, or one group of them.

    Args:
        learner: its name.
        metric: of the series; the name of the learner for a group.
        target: of the series.
        ready: whether its verdicts are trusted.
        since: wall seconds of the first step that was learnt from; ``nan`` before it.
        steps: how many were learnt from since the process began.
        score: of the latest step.
        threshold: of the score.
        alarm: whether it says that something is the matter.
    """

    learner: str
    metric: str
    target: str
    ready: bool
    since: float
    steps: int
    score: float
    threshold: float
    alarm: bool

    @property
    def unusual(self) -> float:
        """The score from 0, ordinary, to 1: 0.8 where it comes to its threshold."""
        return 1.0 - 0.2 ** (self.score / self.threshold) if self.score > 0.0 else 0.0


@runtime_checkable
class Learner(Protocol):
    """Looks at one step after the other, of all series that it wants. The monitor calls it from one thread at a time.

    One that has an attribute ``problem`` tells by it, in words, what stands in its way; empty where nothing does.

    Attributes:
        name: what it is called in alerts and reports; no two of a monitor are the same.
    """

    name: str

    def step(self, t: float, values: Mapping[Series, float], past: Past) -> News:
        """Judge and learn the means of one step that began at ``t`` (wall seconds); what is or was the matter.

        A signal that goes on is told anew at every step, with what it is judged by now.
        """

    def states(self) -> tuple[Learning, ...]:
        """How far it has come with each series."""

    def usual(self, series: Series, t: float) -> tuple[float, float] | None:
        """Mean and spread that are usual for a series at ``t``; ``None`` where that is not known."""

    def to_dict(self) -> dict[str, Any]:
        """What it learnt, as JSON data."""

    def load(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what :meth:`to_dict` gave; what of it is left out because settings differ now, in words.

        Raises:
            StateError: if it is damaged. It is to be as if it had not been called then.
        """


@attrs.define
class Gated:
    """The state of one alarm over any detector: its gate, and what was seen last.

    Args:
        gate: decides.
    """

    gate: AlertGate
    verdict: Verdict = NOTHING_SAID
    since: float = math.nan
    steps: int = 0
    step: float = 0.0
    last: float = math.nan
    alarm_since: float = math.nan

    def take(self, t: float, verdict: Verdict, change: str | None = None) -> str:
        """Note a verdict; what it did to the alarm: ``raised``, ``cleared`` or nothing."""
        if t > self.last:
            gap = t - self.last
            self.step = min(gap, self.step) if self.step else gap
        if change is None:
            late = t <= self.last
            change = "" if late else self.gate.update(t, verdict.score, self.step, ready=verdict.ready)
        self.last = t
        self.verdict = verdict
        self.since = t if math.isnan(self.since) else self.since
        self.steps += 1
        if change == "raised":
            self.alarm_since = t
        return change

    def end_if_gone(self, t: float) -> bool:
        """End an alarm about what was not measured for long before ``t``; tell whether there was one."""
        if not self.gate.active or t - self.last < GONE:
            return False
        self.gate.active, self.gate.since = False, math.nan
        return True

    def to_dict(self) -> dict[str, Any]:
        """The alarm, and what was seen last, as JSON data."""
        return {
            "gate": self.gate.to_dict(),
            "since": None if math.isnan(self.since) else self.since,
            "alarm_since": None if math.isnan(self.alarm_since) else self.alarm_since,
            "last": None if math.isnan(self.last) else self.last,
            "steps": self.steps,
            "step": self.step,
            "score": self.verdict.score,
            "ready": self.verdict.ready,
        }

    @classmethod
    def from_dict(cls, saved: Saved) -> Self:
        """Make it anew from a record that holds what :meth:`to_dict` gave; StateError if that is damaged."""

        def moment(key: str) -> float:
            found = saved.optional(key)
            return math.nan if found is None else found

        return cls(
            AlertGate.from_dict(saved.part("gate")),
            verdict=Verdict.of(saved.number("score", 0.0), ready=saved.flag("ready")),
            since=moment("since"),
            steps=saved.count("steps"),
            step=saved.number("step", 0.0),
            last=moment("last"),
            alarm_since=moment("alarm_since"),
        )

    def learning(self, learner: str, series: Series) -> Learning:
        """How far it has come."""
        return Learning(
            learner=learner,
            metric=series[0],
            target=series[1],
            ready=self.verdict.ready,
            since=self.since,
            steps=self.steps,
            score=self.verdict.score,
            threshold=self.gate.threshold(self.step),
            alarm=self.gate.active,
        )
