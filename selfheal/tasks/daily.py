"""When a daily task runs: the machine of :mod:`selfheal.tasks.schedule` with dates instead of a grid. Pure too.

A slot is a date in a zone. When it is due in monotonic time follows from how far the two clocks are apart, and
is worked out anew whenever that changed. What a date means does not change with it: a date that had its run has
none again, wherever the clock is set; one that had none has it when its time comes, or comes again.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from selfheal.tasks.days import Days
from selfheal.tasks.daytime import DAY, DailyTime
from selfheal.tasks.schedule import NEVER, Phase, Schedule

_WAITING, _QUEUED = Phase.WAITING, Phase.QUEUED
_BLINK = 1e-6
"""Seconds by which sums of clock readings are rounded apart, at the most."""


class DailySchedule(Schedule):
    """The slots of one daily task and the one run it may have at a time.

    Args:
        time: when it runs.
        now: monotonic seconds.
        apart: wall-clock seconds minus monotonic seconds.
        rules: as for :class:`~selfheal.tasks.schedule.Schedule`.

    Attributes:
        apart: as told last.
        slot: when it is due next, in seconds since 1970 UTC.
    """

    __slots__ = ("_day", "_done_until", "_last_day", "_ran", "_taken", "_time", "apart", "slot")

    def __init__(self, time: DailyTime, now: float, apart: float, **rules: Any) -> None:
        super().__init__(now, DAY, **rules)
        self.apart = apart
        self._time = time
        self._ran = Days()
        self._taken = self._last_day = 0
        self._done_until = time.passed(self._wall(now))
        if time.last_run is not None:
            last = time.last_run.toordinal()
            self._ran.add(last)
            if time.catch_up:
                self._done_until = min(self._done_until, last)
        self._plan()

    @property
    def last_day(self) -> date | None:
        """The date its last run was for; ``None`` before the first."""
        return date.fromordinal(self._last_day) if self._last_day else None

    def look(self, now: float, apart: float) -> None:
        """The clocks moved apart: work out anew what is due."""
        self.apart = apart
        if self.due < NEVER:
            self._follow(self._wall(now))
            self._plan()

    def fire(self, now: float) -> bool:
        """Take every slot up to ``now`` as one. Call when ``due <= now``.

        Returns:
            Whether a run is to be queued (the phase is then QUEUED).
        """
        wall, slot = self._wall(now), self.slot
        if wall < slot:  # the clocks drifted since this was worked out
            self.due = slot - self.apart
            return False
        newest, behind = self._take_up_to(wall)
        if self.phase is not _WAITING:
            kept = self._buffered
            self._overrun(behind)
            if self._buffered and not kept:
                self._take(newest)
            return False
        self._slot = slot - self.apart
        if now - self._slot > self.grace:
            self.misfires += 1
            if self.skip_late:
                self.missed += behind + 1
                return False
            self._slot = NEVER  # counted: the run that makes up for it is not late a second time
        self.missed += behind
        self.phase = _QUEUED
        self._take(newest)
        return True

    def begin(self, now: float) -> int:
        """Start the queued run; see :meth:`Schedule.begin`."""
        number = super().begin(now)
        if number:
            self._last_day = self._taken
        return number

    def _wall(self, now: float) -> float:
        return now + self.apart + _BLINK

    def _take(self, day: int) -> None:
        self._ran.add(day)
        self._taken = day

    def _take_up_to(self, wall: float) -> tuple[int, int]:
        """Go past every day whose time has come; tell the newest that had no run, and how many such were before."""
        first = newest = self._done_until = self._day
        self._plan()
        if self.slot > wall:
            return newest, 0
        self._done_until = self._time.passed(wall)
        newest = self._ran.free_until(self._done_until)
        while self._time.instant(newest) is None:
            newest = self._ran.free_until(newest - 1)
        self._plan()
        return newest, self._time.count(first, newest) - self._ran.count(first, newest) - 1

    def _follow(self, wall: float) -> None:
        """Go back with a clock that was set back, and do not make up for what was before the last run told of."""
        passed, last = self._time.passed(wall), self._time.last_run
        known = 0 if last is None else last.toordinal()
        if self._done_until > passed:
            self._done_until = passed
        elif self._done_until < known <= passed:
            self._done_until = known

    def _realign(self, now: float) -> None:
        """Go to the first slot not yet taken and not yet past."""
        wall = self._wall(now)
        self._follow(wall)
        self._done_until = max(self._done_until, self._time.passed(wall - 2 * _BLINK))
        self._plan()

    def _plan(self) -> None:
        """Find the first day that is not done and had no run."""
        day = self._ran.free_from(self._done_until + 1)
        while (slot := self._time.instant(day)) is None:
            day = self._ran.free_from(day + 1)
        self._day, self.slot = day, slot
        self.due = slot - self.apart
