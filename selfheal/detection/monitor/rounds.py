"""What is done every few minutes: learnt detection, saving, reports. One thread at a time."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator

from selfheal.clock import Clock
from selfheal.detection.history import History
from selfheal.detection.monitor.config import MonitorConfig
from selfheal.detection.monitor.curves import Curve, curve_of
from selfheal.detection.monitor.desk import Desk
from selfheal.detection.monitor.keeping import AHEAD, MOST_PLOTS, Keeper
from selfheal.detection.monitor.lessons import Lessons
from selfheal.detection.monitor.reporting import DAY, Measured, Report, coverage_of, measure, worst_first
from selfheal.detection.monitor.saving import Saved
from selfheal.detection.monitor.signals import Series
from selfheal.detection.monitor.snapshots import MonitorSnapshot
from selfheal.detection.monitor.telling import Teller, Told
from selfheal.detection.monitor.usual import UsualPast

logger = logging.getLogger("selfheal.detection.monitor")

TOO_LONG = 60.0
"""Seconds after which a run of the rules, or of the learners, is taken to hang."""


class Rounds:
    """Has learners judge complete steps, keeps what they learnt, and writes what a person reads.

    Args:
        desk: where samples and incidents are.
        lessons: the learners.
        teller: who knows of what.
        keeper: the files.
        config: how often it is saved, and the zone of reports.
        clock: the time it goes by.

    Attributes:
        count: rounds that were made.
        last: wall seconds of the latest one; ``nan`` before it.
        learning: how far the learners had come then.
    """

    def __init__(
        self, desk: Desk, lessons: Lessons, teller: Teller, keeper: Keeper, config: MonitorConfig, clock: Clock
    ) -> None:
        self._desk, self._lessons, self._teller, self._keeper = desk, lessons, teller, keeper
        self._config, self._clock = config, clock
        self._next = int(clock.wall() // desk.history.config.step)
        self._saved_at = self._began = clock.monotonic()
        self.count = 0
        self.last = math.nan
        self.learning = lessons.states()
        self._usual = UsualPast(most=desk.history.config.max_series)
        self.in_child()

    def in_child(self) -> None:
        """Make a new lock."""
        self._busy = threading.Lock()

    def resume(self, state: Saved | None, opened: Iterable[Told]) -> None:
        """Go on where an earlier life was: what is refused is said, and learnt anew from the history."""
        t, at = self._clock.wall(), self._clock.monotonic()
        opened = tuple(opened)
        self._desk.incidents.restore((told.incident for told in opened), at)
        self._teller.restore(opened)
        with self._desk.lock:
            self._desk.rules.warm_start(self._desk.history, at)
        if state is None:
            return
        self._next = min(state.next, self._next)
        left_out = self._lessons.load(state.learners)
        for why in left_out:
            logger.warning("Monitor: %s", why)
        try:
            self._usual.load(state.usual)
            self._desk.rules.load(state.rules, at, max(t - state.at, 0.0))
        except ValueError as error:
            logger.error("Monitor: what rules had learnt, and what had been usual, is refused: %s", error)
        self.learning = self._lessons.states()

    def problems(self) -> Iterator[str]:
        """What stands in the way of learning, in words."""
        began, at = self._began, self._lessons.at
        if at and (took := self._clock.monotonic() - began) >= TOO_LONG:
            yield f"learner {at} is busy for {took:.0f} s: until it is done nothing is learnt, saved or reported"
        history = self._desk.history
        ahead = self._next * history.config.step - self._clock.wall()
        if ahead > history.config.step:
            more = "; if it is right now, a restart begins anew" if ahead > AHEAD else ""
            yield f"the clock went back: nothing is learnt, or found by what was, for {ahead / 60.0:.0f} min{more}"
        if history.forgotten:
            most = history.config.max_series
            yield f"the history has room for {most} series: {history.forgotten} times one had to go for another"

    def learn(self, skipped: Callable[[], str]) -> int | None:
        """Have the steps that are complete judged, unless ``skipped`` says why not; how many there were.

        ``None`` if another thread is at it.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return self._learn(skipped())
        finally:
            self._busy.release()

    def save(self) -> bool:
        """Keep what was learnt; tell whether that could be done."""
        with self._busy:
            return self._save()

    def save_if_due(self) -> None:
        """The same, if it is time, and no other thread is at it."""
        if self._clock.monotonic() - self._saved_at >= self._config.save_every and self._busy.acquire(blocking=False):
            try:
                self._save()
            finally:
                self._busy.release()

    def report(self, snapshot: MonitorSnapshot, *, write: bool) -> Report:
        """What there is to say now; with plots, and in files, if it is to be written."""
        t = self._clock.wall()
        with self._desk.lock:
            history = self._desk.history.copy()
        with self._busy:
            found = {
                told.incident.fingerprint: measure(told, history, self._was_usual(told.incident.since), t)
                for told in snapshot.open
            }
            measured = {fingerprint: one for fingerprint, one in found.items() if one is not None}
            curves = self._curves(snapshot, measured, history, t) if write and self._keeper.plot is not None else {}
        report = Report(
            made=t,
            zone=self._config.zone,
            snapshot=snapshot,
            measured=measured,
            coverage=coverage_of(history, t),
            plots=self._keeper.plots(curves),
            held_for=self._config.flap_quiet,
        )
        if write:
            self._keeper.report(report)
        return report

    def _learn(self, skipped: str) -> int:
        self._began = self._clock.monotonic()
        t, step = self._clock.wall(), self._desk.history.config.step
        first, self._next = self._next, max(self._next, int(t // step))
        with self._desk.lock:
            steps = self._desk.history.steps(first, self._next)
        for number, values in steps.items() if not skipped else ():
            self._note_usual(number, values)
            news = self._lessons.run(number * step, values, self._past(number))
            self._desk.learnt(news, t, self._clock.monotonic())
        self.learning = self._lessons.states()
        self.count += 1
        self.last = t
        return len(steps)

    def _note_usual(self, number: int, series: Iterable[Series]) -> None:
        for one in series:
            usual = self._lessons.usual(one, number * self._desk.history.config.step)
            if usual is not None:
                self._usual.note(one, number, usual)

    def _was_usual(self, since: float) -> Callable[[Series, int], tuple[float, float] | None]:
        """Mean and spread that were usual in a step, before it was learnt where that is remembered.

        From ``since`` on it is that of the same time the day before: what goes on since then is being learnt.
        """
        step = self._desk.history.config.step
        day = round(DAY / step)

        def of(series: Series, number: int) -> tuple[float, float] | None:
            begun = (number + 1) * step > since
            usual = self._usual.at(series, number - day) if begun else None
            usual = self._usual.at(series, number) if usual is None else usual
            return self._lessons.usual(series, number * step) if usual is None else usual

        return of

    def _past(self, number: int) -> Callable[[Series], list[tuple[float, float]]]:
        """The history of a series before a step."""

        def of(series: Series) -> list[tuple[float, float]]:
            history = self._desk.history
            with self._desk.lock:
                points = history.points(*series)
            return [(point.number * history.config.step, point.mean) for point in points if point.number < number]

        return of

    def _save(self) -> bool:
        self._saved_at = self._clock.monotonic()
        if self._keeper.directory is None:
            return False
        with self._desk.lock:
            history = self._desk.history.copy()
            rules = self._desk.rules.to_dict(self._clock.monotonic())
        state = Saved(
            at=self._clock.wall(),
            next=self._next,
            rules=rules,
            learners=self._lessons.to_dict(),
            usual=self._usual.to_list(),
        )
        return self._keeper.save(state, history)

    def _curves(
        self, snapshot: MonitorSnapshot, measured: dict[str, Measured], history: History, t: float
    ) -> dict[str, Curve]:
        curves: dict[str, Curve] = {}
        for told in worst_first(told for told in snapshot.open if not told.silenced):
            found = measured.get(told.incident.fingerprint)
            if found is None:
                continue
            usual = self._was_usual(told.incident.since)
            curve = curve_of(told.incident, found.series, history, usual, t, self._config.zone)
            if curve is not None:
                curves[told.incident.fingerprint] = curve
            if len(curves) == MOST_PLOTS:
                break
        return curves
