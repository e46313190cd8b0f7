"""The level of a resource budget, as a pure machine: no clock, no lock, no callback, no I/O.

=======  ====================================================================  =======
from     when                                                                  to
=======  ====================================================================  =======
NORMAL   smoothed use of a resource reaches its ``enter``                      SLOW
NORMAL   smoothed use of a resource reaches its ``shed_enter``                 SHED
SLOW     smoothed use of a resource reaches its ``shed_enter``                 SHED
SHED     all were at or below ``shed_leave`` for ``hold``, one not ``leave``   SLOW
SHED     all were at or below ``leave`` for ``hold``                           NORMAL
SLOW     all were at or below ``leave`` for ``hold``                           NORMAL
any      nothing was known for ``stale_after``                                 NORMAL
=======  ====================================================================  =======
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

import attrs

from selfheal.resources.budget_config import BudgetConfig
from selfheal.usage import Usage


class BudgetLevel(enum.StrEnum):
    """How much is done. Comparable by :attr:`rank`."""

    NORMAL = "NORMAL"
    """All work is done at once."""
    SLOW = "SLOW"
    """Ordinary work is delayed."""
    SHED = "SHED"
    """Sheddable work is refused, ordinary work delayed more."""

    @property
    def rank(self) -> int:
        """0 for NORMAL, 1 for SLOW, 2 for SHED."""
        return _RANKS[self]


_RANKS = {BudgetLevel.NORMAL: 0, BudgetLevel.SLOW: 1, BudgetLevel.SHED: 2}


class BudgetTransition(NamedTuple):
    """One step from level to level, when (monotonic seconds) and why."""

    old: BudgetLevel
    new: BudgetLevel
    at: float
    reason: str


@attrs.define
class Latch:
    """On from ``enter`` until the value was at or below ``leave`` for ``hold`` seconds without a break."""

    enter: float
    leave: float
    hold: float
    on: bool = False
    low_since: float | None = None

    def observe(self, value: float, now: float) -> bool:
        """Take a value; tell whether the latch is on."""
        if not self.on:
            self.on, self.low_since = value >= self.enter, None
        elif value > self.leave:
            self.low_since = None
        else:
            self.low_since = now if self.low_since is None else self.low_since
            self.on = now - self.low_since < self.hold
        return self.on

    def clear(self) -> None:
        """Forget everything."""
        self.on, self.low_since = False, None


@attrs.define
class Gauge:
    """One resource: its smoothed use and its two latches.

    Attributes:
        name: ``CPU`` or ``memory``.
        hard: last readings from here on admit nothing; ``None`` for no such limit.
        value: smoothed percent, or ``None`` while nothing is known.
        last: the last reading, or ``None``.
        at: monotonic seconds of the last reading.
        first_at: monotonic seconds of the first one since nothing was known.
        peak: the highest reading so far.
    """

    name: str
    slow: Latch
    shed: Latch
    hard: float | None
    smoothing: float
    value: float | None = None
    last: float | None = None
    at: float = -math.inf
    first_at: float = math.inf
    peak: float | None = None

    def observe(self, reading: float | None, now: float) -> bool:
        """Take a reading; tell whether it said anything."""
        if reading is None or not 0.0 <= reading < math.inf:
            return False
        passed = max(now - self.at, 0.0)
        if self.value is None or self.smoothing == 0.0:
            self.first_at = now if self.value is None else self.first_at
            self.value = float(reading)
        else:  # by time, not by reading, so that the pace of readings does not matter
            self.value += (reading - self.value) * -math.expm1(-passed / self.smoothing)
        self.last, self.at = float(reading), now
        self.peak = self.last if self.peak is None else max(self.peak, self.last)
        if now - self.first_at >= self.smoothing:
            self.slow.observe(self.value, now)
            self.shed.observe(self.value, now)
        return True

    @property
    def level(self) -> BudgetLevel:
        """The level this resource asks for."""
        if self.shed.on:
            return BudgetLevel.SHED
        return BudgetLevel.SLOW if self.slow.on else BudgetLevel.NORMAL

    def forget(self) -> None:
        """Begin anew, the peak apart."""
        self.value = self.last = None
        self.slow.clear()
        self.shed.clear()


class BudgetMachine:
    """Decides the level. Whoever owns it keeps calls to it one at a time and hands in the time.

    Args:
        config: the limits.
        now: monotonic seconds of its birth.

    Attributes:
        level: where it stands.
        since: monotonic seconds when it came there.
        reason: why it is there.
        gauges: CPU and memory.
    """

    def __init__(self, config: BudgetConfig, now: float) -> None:
        self.config = config
        self.level = BudgetLevel.NORMAL
        self.since = now
        self.reason = "new"
        self.started = now
        self.changes = 0
        self._spent = dict.fromkeys(BudgetLevel, 0.0)
        self.cpu = self._gauge("CPU", "cpu")
        self.memory = self._gauge("memory", "memory")
        self.gauges = (self.cpu, self.memory)

    def _gauge(self, name: str, prefix: str) -> Gauge:
        config = self.config

        def latch(which: str) -> Latch:
            enter, leave = (getattr(config, f"{prefix}_{which}{end}") for end in ("enter", "leave"))
            return Latch(enter, leave, config.hold)

        return Gauge(name, latch(""), latch("shed_"), getattr(config, f"{prefix}_hard"), config.smoothing)

    def observe(self, usage: Usage, now: float) -> tuple[BudgetTransition, ...]:
        """Take a reading; what is ``None``, not finite or negative in it is not known and changes nothing.

        Returns:
            The transition that followed, if one did.
        """
        said = [self.cpu.observe(usage.cpu, now), self.memory.observe(usage.memory, now)]
        stale = self._drop_stale(now)
        if not any(said) and not stale:
            return ()
        level = max((gauge.level for gauge in self.gauges), key=lambda one: one.rank)
        if level is self.level:
            return ()
        return (self._enter(level, now, self._why(level, stale)),)

    def level_at(self, now: float) -> BudgetLevel:
        """The level that holds at ``now``: NORMAL where nothing was known for too long, whoever noticed."""
        fresh = (gauge.level for gauge in self.gauges if not self._is_stale(gauge, now))
        return max(fresh, key=lambda level: level.rank, default=BudgetLevel.NORMAL)

    def over_hard(self, now: float) -> str | None:
        """The resource whose last reading reached its hard limit, in words; else ``None``."""
        for gauge in self.gauges:
            if gauge.hard is None or gauge.last is None or self._is_stale(gauge, now):
                continue
            if gauge.last >= gauge.hard:
                return f"{gauge.name} is at {gauge.last:.0f} %, the hard limit is {gauge.hard:g} %"
        return None

    def known(self, now: float) -> list[float]:
        """The smoothed percentages that are not stale."""
        return [gauge.value for gauge in self.gauges if gauge.value is not None and not self._is_stale(gauge, now)]

    def spent(self, now: float) -> dict[str, float]:
        """Seconds spent in each level so far."""
        so_far = {level.value: seconds for level, seconds in self._spent.items()}
        so_far[self.level.value] += max(now - self.since, 0.0)
        return so_far

    def _is_stale(self, gauge: Gauge, now: float) -> bool:
        return now - gauge.at >= self.config.stale_after

    def _drop_stale(self, now: float) -> list[str]:
        stale = [gauge for gauge in self.gauges if gauge.value is not None and self._is_stale(gauge, now)]
        for gauge in stale:
            gauge.forget()
        return [gauge.name for gauge in stale]

    def _enter(self, level: BudgetLevel, now: float, reason: str) -> BudgetTransition:
        moved = BudgetTransition(self.level, level, now, reason)
        self._spent[self.level] += max(now - self.since, 0.0)
        self.level, self.since, self.reason = level, now, reason
        self.changes += 1
        return moved

    def _why(self, level: BudgetLevel, stale: list[str]) -> str:
        if level.rank > self.level.rank:
            up = [gauge for gauge in self.gauges if gauge.level is level]
            shed = level is BudgetLevel.SHED
            told = (f"{g.name} {g.value:.0f} % reached {(g.shed if shed else g.slow).enter:g} %" for g in up)
            return ", ".join(told)
        if stale:
            return f"no reading of {' and '.join(stale)} for {self.config.stale_after:g} s"
        known = (f"{gauge.name} {gauge.value:.0f} %" for gauge in self.gauges if gauge.value is not None)
        return f"{', '.join(known)}: low for {self.config.hold:g} s"
