"""When scores become an alarm, and when it is over: few false ones, one for an incident, none for ever."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, TypedDict, Unpack

import attrs

from selfheal.detection.saved import Saved
from selfheal.validators import between

KIND, VERSION = "alert_gate", 2
DAY = 86_400.0
USUAL_STEP, USUAL_BUDGET = 300.0, 0.2
AT_USUAL = 0.9
"""The threshold for one false alarm in five days from samples every five minutes.

This one and the one below are measured: on normal, log-normal, binomial and daily noise, of which the log-normal,
with its heavy tail, keeps to the budget only nearly.
"""
PER_DECADE = 2.6
"""By how much it is higher for ten times as many samples a day, or for a tenth of the false alarms."""
LOWEST_THRESHOLD = 0.6


@attrs.frozen(kw_only=True)
class GateConfig:
    """When an alarm is raised and cleared.

    Args:
        budget_per_day: false alarms a day that are put up with at most on a metric that does nothing unusual; the
            threshold follows from it and from the step. 0.001 to 1000.
        threshold: the score that alarms, in place of the one that follows from the budget; 0.1 to 300.
        hold: samples in which what was scored is forgotten to 1/e: a new alarm has to be that much above what the
            metric scored before; 0.1, which is no memory at all, to 100000.
        raise_by: by how much each alarm raises the threshold for those to come, at most by 3 in all: a metric that
            alarms often has to be further off; 0 to 3.
        raise_days: days after which that is forgotten to 1/e; 1 to 365.
        clear_at: part of the threshold below which an alarm may end; 0 to 1.
        clear_after: samples in a row below it that end the alarm; 1 to 1000.
        weight: how much samples count for learning during an alarm; 0 to 1.
        longest: seconds of an alarm after which samples count in full: what lasts that long is the new normal;
            0 to 604800.

    Raises:
        ConfigError: if a value is out of range.
    """

    budget_per_day: float = attrs.field(default=0.2, validator=between(0.001, 1000.0))
    threshold: float | None = attrs.field(default=None, validator=between(0.1, 300.0, optional=True))
    hold: float = attrs.field(default=200.0, validator=between(0.1, 100_000.0, "samples"))
    raise_by: float = attrs.field(default=0.15, validator=between(0.0, 3.0))
    raise_days: float = attrs.field(default=60.0, validator=between(1.0, 365.0, "days"))
    clear_at: float = attrs.field(default=0.5, validator=between(0.0, 1.0))
    clear_after: int = attrs.field(default=6, validator=between(1, 1000))
    weight: float = attrs.field(default=0.5, validator=between(0.0, 1.0))
    longest: float = attrs.field(default=21_600.0, validator=between(0.0, 604_800.0, "s"))


class GateOptions(TypedDict, total=False):
    """The fields of :class:`GateConfig` as keyword arguments."""

    budget_per_day: float
    threshold: float | None
    hold: float
    raise_by: float
    raise_days: float
    clear_at: float
    clear_after: int
    weight: float
    longest: float


MULTIVARIATE_GATE = GateConfig(threshold=2.4, hold=0.1)
"""For detectors of several metrics, whose scores are taken over the latest samples.

Such a score rises over several samples, so there is no memory of what was scored lately: the level of a gate with one
would rise along with it. The threshold is measured: on normal, log-normal, binomial, daily and autoregressive noise of
four metrics, in samples of every minute as of every five, there are at most 0.3 false alarms a day, and mostly none.
"""
HIGHEST_LEVEL = 6.0
MOST_RAISED = 3.0
"""What earlier alarms add to the threshold at most, so that no metric goes deaf."""
UNALARMED = 0.8
"""Part of a score that becomes level without an alarm; less than all of it, so that no slow rise goes unnoticed."""


class AlertGate:
    """Turns the scores of one metric into alarms. Pure: times and scores are given.

    The gate keeps a *level*: what was scored lately, up to 6, forgotten over ``hold`` samples. An alarm is raised when
    a score is above the level by the threshold, so that what goes on or comes back at once raises no second one. Each
    alarm raises the threshold a little, for weeks, so that a metric that is restless by nature does not use up more
    than its budget. An alarm is cleared after ``clear_after`` samples in a row below ``clear_at`` of the threshold.

    Args:
        config: its settings; the fields may be given as keyword arguments instead.

    Attributes:
        active: whether there is an alarm.
        since: when it was raised, in the time given; ``nan`` without one.
        peak: the highest score during it.
        level: what was scored lately.
        raised_by: what earlier alarms added to the threshold, at the latest sample.

    >>> gate = AlertGate(threshold=3.0, clear_after=2)
    >>> [gate.update(60.0 * n, score, 60.0) for n, score in enumerate([0.0, 5.0, 6.0, 1.0, 0.0])]
    ['', 'raised', '', '', 'cleared']
    """

    def __init__(self, config: GateConfig | None = None, **options: Unpack[GateOptions]) -> None:
        self.config = GateConfig(**options) if config is None else attrs.evolve(config, **options)
        self._threshold = math.nan, 0.0  # of the step asked about last, which is hardly ever another one
        self.reset()

    def reset(self) -> None:
        """No alarm, nothing scored."""
        self.active = False
        self.since = math.nan
        self.peak = 0.0
        self.level = 0.0
        self.raised_by = 0.0
        self._last = math.nan
        self._quiet = 0

    def threshold(self, step: float) -> float:
        """The score that alarms, with samples every ``step`` seconds (0: not known yet, taken as five minutes)."""
        if self.config.threshold is not None:
            return self.config.threshold
        if self._threshold[0] != step:
            stricter = USUAL_BUDGET / self.config.budget_per_day * (USUAL_STEP / step if step else 1.0)
            self._threshold = step, max(LOWEST_THRESHOLD, AT_USUAL + PER_DECADE * math.log10(stricter))
        return self._threshold[1]

    def excess(self, t: float, score: float, step: float) -> float:
        """By how much a score is above the level and what earlier alarms ask for at ``t``.

        The alarm is raised where that reaches the threshold.
        """
        return score - self._level_at(t, step) - self._raised_at(t)

    def update(self, t: float, score: float, step: float, *, ready: bool = True) -> str:
        """Take a score.

        Args:
            t: wall seconds, not before the latest.
            score: of a verdict.
            step: usual seconds between samples.
            ready: whether the score can be trusted; if not, no alarm is raised.

        Returns:
            ``"raised"``, ``"cleared"`` or ``""``.
        """
        level = self._level_at(t, step)
        threshold = self.threshold(step)
        if self.raised_by:
            self.raised_by = self._raised_at(t)
        self._last = t
        raised = not self.active and ready and score - level - self.raised_by >= threshold
        share = 1.0 if self.active or raised else UNALARMED
        self.level = max(level, share * min(score, HIGHEST_LEVEL))
        if raised:
            self.active, self.since, self.peak, self._quiet = True, t, score, 0
            self.raised_by = min(self.raised_by + self.config.raise_by, MOST_RAISED)
        return "raised" if raised else self._go_on(score, threshold) if self.active else ""

    def learning_weight(self, t: float) -> float:
        """How much a sample at ``t`` counts for learning: less during an alarm, until that has lasted too long."""
        return self.config.weight if self.active and t - self.since < self.config.longest else 1.0

    def _go_on(self, score: float, threshold: float) -> str:
        self.peak = max(self.peak, score)
        self._quiet = self._quiet + 1 if score < self.config.clear_at * threshold else 0
        if self._quiet < self.config.clear_after:
            return ""
        self.active, self.since = False, math.nan
        return "cleared"

    def _level_at(self, t: float, step: float) -> float:
        if not self.level:
            return 0.0
        return self.level * math.exp((self._last - t) / ((step or USUAL_STEP) * self.config.hold))

    def _raised_at(self, t: float) -> float:
        if not self.raised_by:
            return 0.0
        return self.raised_by * math.exp((self._last - t) / (self.config.raise_days * DAY))

    def to_dict(self) -> dict[str, Any]:
        """Settings and state, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "config": attrs.asdict(self.config),
            "active": self.active,
            "since": None if math.isnan(self.since) else self.since,
            "last": None if math.isnan(self._last) else self._last,
            "peak": self.peak,
            "level": self.level,
            "raised_by": self.raised_by,
            "quiet": self._quiet,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls(saved.settings("config", GateConfig))
        since, last = saved.optional("since"), saved.optional("last")
        made.active = since is not None
        made.since = math.nan if since is None else since
        made._last = math.nan if last is None else last
        made.peak, made.level = saved.number("peak", 0.0), saved.number("level", 0.0, HIGHEST_LEVEL)
        made.raised_by = saved.number("raised_by", 0.0, MOST_RAISED)
        made._quiet = saved.count("quiet")
        return made
