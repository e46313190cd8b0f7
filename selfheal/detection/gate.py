"""When scores become an alarm, and when it is over: few false ones, one for an incident, none for ever."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, TypedDict, Unpack

import attrs

from selfheal.detection.saved import Saved
from selfheal.validators import between

KIND, VERSION = "alert_gate", 1
DAY = 86_400.0
AT_FIVE_MINUTES = 1.4
"""The threshold for one false alarm a day from samples every five minutes.

This one and the two below are measured: on normal, log-normal, binomial and daily noise, of which the log-normal,
with its heavy tail, needs the highest.
"""
PER_DECADE_OF_STEP = 2.6
"""By how much it is higher for ten times as many samples a day."""
PER_DECADE_OF_BUDGET = 2.2
"""By how much it is higher for a tenth of the false alarms."""
LOWEST_THRESHOLD = 0.6
USUAL_STEP = 300.0


@attrs.frozen(kw_only=True)
class GateConfig:
    """When an alarm is raised and cleared.

    Args:
        budget_per_day: false alarms a day that are put up with at most on a metric that does nothing unusual; the
            threshold follows from it and from the step. 0.001 to 1000.
        threshold: the score that alarms, in place of the one that follows from the budget; 0.1 to 300.
        hold: samples in which what was scored is forgotten to 1/e: a new alarm has to be that much above what the
            metric scored before; 1 to 100000.
        clear_at: part of the threshold below which an alarm may end; 0 to 1.
        clear_after: samples in a row below it that end the alarm; 1 to 1000.
        weight: how much samples count for learning during an alarm; 0 to 1.
        longest: seconds of an alarm after which samples count in full: what lasts that long is the new normal;
            0 to 604800.

    Raises:
        ConfigError: if a value is out of range.
    """

    budget_per_day: float = attrs.field(default=1.0, validator=between(0.001, 1000.0))
    threshold: float | None = attrs.field(default=None, validator=between(0.1, 300.0, optional=True))
    hold: float = attrs.field(default=200.0, validator=between(1.0, 100_000.0, "samples"))
    clear_at: float = attrs.field(default=0.5, validator=between(0.0, 1.0))
    clear_after: int = attrs.field(default=6, validator=between(1, 1000))
    weight: float = attrs.field(default=0.5, validator=between(0.0, 1.0))
    longest: float = attrs.field(default=21_600.0, validator=between(0.0, 604_800.0, "s"))


class GateOptions(TypedDict, total=False):
    """The fields of :class:`GateConfig` as keyword arguments."""

    budget_per_day: float
    threshold: float | None
    hold: float
    clear_at: float
    clear_after: int
    weight: float
    longest: float


HIGHEST_LEVEL = 6.0
UNALARMED = 0.8
"""Part of a score that becomes level without an alarm; less than all of it, so that no slow rise goes unnoticed."""


class AlertGate:
    """Turns the scores of one metric into alarms. Pure: times and scores are given.

    The gate keeps a *level*: what was scored lately, up to 6, forgotten over ``hold`` samples. An alarm is raised when
    a score is above the level by the threshold, so that what goes on or comes back at once raises no second one. It
    is cleared after ``clear_after`` samples in a row below ``clear_at`` of the threshold.

    Args:
        config: its settings; the fields may be given as keyword arguments instead.

    Attributes:
        active: whether there is an alarm.
        since: when it was raised, in the time given; ``nan`` without one.
        peak: the highest score during it.
        level: what was scored lately.

    >>> gate = AlertGate(threshold=3.0, clear_after=2)
    >>> [gate.update(60.0 * n, score, 60.0) for n, score in enumerate([0.0, 5.0, 6.0, 1.0, 0.0])]
    ['', 'raised', '', '', 'cleared']
    """

    def __init__(self, config: GateConfig | None = None, **options: Unpack[GateOptions]) -> None:
        self.config = GateConfig(**options) if config is None else attrs.evolve(config, **options)
        self.reset()

    def reset(self) -> None:
        """No alarm, nothing scored."""
        self.active = False
        self.since = math.nan
        self.peak = 0.0
        self.level = 0.0
        self._last = math.nan
        self._quiet = 0

    def threshold(self, step: float) -> float:
        """The score that alarms, with samples every ``step`` seconds (0: not known yet, taken as five minutes)."""
        if self.config.threshold is not None:
            return self.config.threshold
        denser = math.log10(USUAL_STEP / step) if step else 0.0
        stricter = -math.log10(self.config.budget_per_day)
        return max(LOWEST_THRESHOLD, AT_FIVE_MINUTES + PER_DECADE_OF_STEP * denser + PER_DECADE_OF_BUDGET * stricter)

    def excess(self, t: float, score: float, step: float) -> float:
        """By how much a score is above the level at ``t``; the alarm is raised where that reaches the threshold."""
        return score - self._level_at(t, step)

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
        self._last = t
        raised = not self.active and ready and score - level >= threshold
        share = 1.0 if self.active or raised else UNALARMED
        self.level = max(level, share * min(score, HIGHEST_LEVEL))
        if raised:
            self.active, self.since, self.peak, self._quiet = True, t, score, 0
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
        made._quiet = saved.count("quiet")
        return made
