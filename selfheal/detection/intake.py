"""What comes in, before anything is learnt from it: order, gaps, missing and infinite values, single glitches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from selfheal.detection.saved import Saved
from selfheal.errors import ConfigError

KIND, VERSION = "intake", 1
EARLIEST, LATEST = -60_000_000_000.0, 250_000_000_000.0
LARGEST = 1e140
"""Values are cut to this, so that sums of their squares are finite."""
GLITCH = 1000.0
"""A value further off than so many spreads is learnt only if the one before it was too."""
DAY = 86_400.0
GAP = 5.0
"""Usual steps without a sample after which what went before says nothing about now."""


def timed(t: float) -> float:
    """The time itself, if it is one.

    Raises:
        ConfigError: if it is not a number of seconds that a calendar has.
    """
    if not EARLIEST <= t <= LATEST:
        raise ConfigError("time of a sample", t, f"wall seconds between {EARLIEST:.0f} and {LATEST:.0f}")
    return t


def cut(x: float) -> float:
    """A value, not larger than what can be squared; infinite ones become the largest."""
    return LARGEST if x > LARGEST else -LARGEST if x < -LARGEST else x


class Intake:
    """Decides which samples are learnt, measures their usual step, and counts those left out.

    Attributes:
        last: time of the latest sample; ``nan`` before the first.
        step: seconds between samples as usual; 0 before the second.
        missing: how many were ``nan``.
        infinite: how many were infinite.
        late: how many were older than the latest.
        repeated: how many came at the moment of the latest.
        gaps: how many times nothing came for five usual steps.
        glitches: how many were so far off, and alone, that they were not learnt.
        new_days: how many days (of UTC) began with the latest sample.
    """

    __slots__ = ("_far", "gaps", "glitches", "infinite", "last", "late", "missing", "new_days", "repeated", "step")

    def __init__(self) -> None:
        self.last = math.nan
        self.step = 0.0
        self.missing = self.infinite = self.late = self.repeated = self.gaps = self.glitches = 0
        self.new_days = 0
        self._far = 0.0

    def after_gap(self, t: float) -> bool:
        """Whether nothing came for so long that what went before says nothing about ``t``."""
        return self.step > 0.0 and t - self.last > GAP * self.step

    def takes(self, t: float, x: float, deviation: float) -> bool:
        """Whether a sample is learnt; it is counted, and the step is measured.

        Args:
            t: wall seconds.
            x: the value.
            deviation: by how many spreads it is off, with its sign.
        """
        if x != x:
            self.missing += 1
            return False
        since = t - self.last
        if since <= 0.0:
            if since:
                self.late += 1
            else:
                self.repeated += 1
            return False
        last, self.last = self.last, t
        self.new_days = 0
        if since == since:
            self.new_days = int(t // DAY - last // DAY)
            step = self.step
            if step and since > 2.0 * step:
                self.gaps += since > GAP * step
                since = 2.0 * step
            self.step = step + 0.05 * (since - step) if step else since
        if x - x != 0.0:
            self.infinite += 1
            return False
        return not (self._far or deviation > GLITCH or deviation < -GLITCH) or self._steady(deviation)

    def _steady(self, deviation: float) -> bool:
        before, self._far = self._far, deviation if deviation > GLITCH or deviation < -GLITCH else 0.0
        if self._far and self._far * before <= 0.0:
            self.glitches += 1
            return False
        return True

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "last": None if math.isnan(self.last) else self.last,
            "step": self.step,
            "far": self._far,
            **{name: getattr(self, name) for name in _COUNTS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Intake:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls()
        last = saved.optional("last")
        made.last = math.nan if last is None else last
        made.step = saved.number("step", 0.0)
        made._far = saved.number("far")
        for name in _COUNTS:
            setattr(made, name, saved.count(name))
        return made


_COUNTS = ("missing", "infinite", "late", "repeated", "gaps", "glitches")
