"""The monitor: measurements and events in, alerts out. A thin shell over what decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Unpack

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.detection.history import History
from selfheal.detection.monitor.config import MonitorConfig, MonitorOptions, checked
from selfheal.detection.monitor.curves import Plot
from selfheal.detection.monitor.desk import Desk, texts_of
from selfheal.detection.monitor.hooks import Hooks
from selfheal.detection.monitor.incidents import Incident, Incidents
from selfheal.detection.monitor.keeping import Keeper
from selfheal.detection.monitor.learners import Learner
from selfheal.detection.monitor.lessons import Lessons
from selfheal.detection.monitor.reporting import Report
from selfheal.detection.monitor.rounds import TOO_LONG, Rounds
from selfheal.detection.monitor.series import SeriesLearner
from selfheal.detection.monitor.snapshots import MonitorSnapshot, as_section
from selfheal.detection.monitor.telling import Logbook, Silencing, Teller
from selfheal.detection.rules.loading import shipped_rules
from selfheal.detection.rules.specs import RuleSpec
from selfheal.detection.rules.watching import RuleWatch
from selfheal.detection.sampler import Sample, Sampler, name_of, number_of
from selfheal.events import (
    DEFAULT_BUS,
    Alert,
    AlertCleared,
    BreakerStateChanged,
    Event,
    EventBus,
    Subscription,
    TaskFailed,
)
from selfheal.forking import track
from selfheal.journal import Journal

_OF_PROCESSES = ("process_", "heartbeat")


class Registers(Protocol):
    """What :meth:`Monitor.register` asks of a task registry."""

    def register_interval(self, id: str, fn: Callable[[], object], every: float) -> object:
        """Call ``fn`` every so many seconds."""


def _always() -> bool:
    return True


def _nothing(_: Alert) -> None:
    return None


class Monitor:
    """Tells what is the matter: by rules at once, by what was learnt every few minutes. One incident is one alert.

    It raises :class:`~selfheal.events.Alert` and :class:`~selfheal.events.AlertCleared` on a bus, and heals nothing:
    whoever heals subscribes there. What learnt detectors say of a series on which an alert is open becomes evidence of
    that alert. An incident that comes and goes is flapping: it stays raised until it has been quiet.

    Safe from several threads. Subscribers, silences, switches and callables of the host are called without a lock held.

    Args:
        sampler: measures at each :meth:`tick`; ``None``: only what is observed is known.
        rules: what a person wrote down; those that ship where none are given.
        learners: what learns the past; a :class:`SeriesLearner` where none are given, ``()`` for none.
        history: the past of all series.
        deliver: called with the samples that were taken, after rules judged them: for triggers elsewhere.
        silencing: asked with an alert before it is told: why nobody is to be told, or ``None``.
        maintenance: asked for a reason why nothing is told and nothing is learnt now, or ``None``.
        enabled: asked at each call; while it answers ``False``, or raises, nothing is looked at.
        processes: likewise for what is measured of processes, and their signs of life.
        directory: where what was learnt is kept, and where reports, the open alerts and the log are left; ``None``:
            nowhere. One monitor uses it at a time.
        journal: takes every change of every incident, in place of the log in ``directory``; who gives it closes it.
        plot: draws plots for reports: a :class:`~selfheal.integrations.plots.Plots`.
        config: durations and bounds; the fields may be given as keyword arguments instead.
        events: where alerts are told, and events of circuits, tasks and others are heard.
        clock: the time it goes by.

    Raises:
        ConfigError: if a setting is not accepted.

    >>> from selfheal.testing import FakeClock
    >>> clock, bus = FakeClock(), EventBus()
    >>> monitor = Monitor(events=bus, clock=clock)
    >>> for second in range(0, 301, 10):
    ...     monitor.observe("cpu_percent", 95.0, "web-1")
    ...     clock.advance(10.0)
    >>> [(alert.kind, alert.target) for alert in monitor.open]
    [('cpu_spike', 'web-1')]
    """

    def __init__(
        self,
        *,
        sampler: Sampler | None = None,
        rules: RuleWatch | Iterable[RuleSpec] | None = None,
        learners: Iterable[Learner] | None = None,
        history: History | None = None,
        deliver: Callable[[Sequence[Sample]], object] | None = None,
        silencing: Silencing = _nothing,
        maintenance: Callable[[], str | None] | None = None,
        enabled: Callable[[], bool] = _always,
        processes: Callable[[], bool] = _always,
        directory: str | Path | None = None,
        journal: Journal | None = None,
        plot: Plot | None = None,
        config: MonitorConfig | None = None,
        events: EventBus = DEFAULT_BUS,
        clock: Clock = SYSTEM_CLOCK,
        **options: Unpack[MonitorOptions],
    ) -> None:
        self.config = checked(config, options)
        self.sampler = sampler
        self._hooks = Hooks(enabled, processes, maintenance, silencing, deliver)
        self._events, self._clock = events, clock
        self._keeper = Keeper(directory, clock, plot)
        self._book = Logbook(journal, None if directory is None else self._keeper.journal)
        self._teller = Teller(events, self._book.write, self._hooks.silence, self._labels, self.config.remembered)
        self._teller.after = lambda: self._keeper.changed(self._teller.told, self._teller.alerts)
        specs = shipped_rules(self.config.zone) if rules is None else rules
        watch = specs if isinstance(specs, RuleWatch) else RuleWatch(specs)
        kept, post = self._keeper.history(history), self._teller.post
        self._desk = Desk(watch, kept, Incidents(self.config), post, self.config.max_series)
        lessons = Lessons([SeriesLearner(zone=self.config.zone)] if learners is None else learners)
        self._lessons = lessons
        self._rounds = Rounds(self._desk, lessons, self._teller, self._keeper, self.config, clock)
        self._rounds.resume(*self._keeper.earlier())
        self._ticks, self._ticked_at = 0, math.nan
        self._ticking: float | None = None
        self._subscription: Subscription | None = None
        track(self, Monitor._in_child, lock=lambda monitor: monitor._desk.lock)

    def observe(self, metric: str, value: float, target: str = "", labels: Mapping[str, str] | None = None) -> None:
        """Take a value that the host measured; rules judge it before this returns.

        Args:
            metric: its name.
            value: a number; ``nan`` if it is missing.
            target: what it was measured on.
            labels: for the alerts about it, until others are given.

        Raises:
            ConfigError: if the value is no number, or a name or label is no text.
        """
        name_of(metric)
        texts_of("target", (target,))
        texts_of("labels", () if labels is None else (*labels, *labels.values()))
        sample = Sample(metric, number_of(value, metric), target, self._clock.wall(), self._clock.monotonic())
        if self._wanted(metric):
            self._desk.take((sample,), labels)
            self._teller.flush()
            self._hooks.deliver((sample,))

    def tick(self) -> None:
        """Measure what the sampler measures, and have rules judge it. To be called every ten seconds or so."""
        if not self.enabled:
            return
        self._ticking = self._clock.monotonic()
        try:
            self._tick()
        finally:
            self._ticking = None

    def _tick(self) -> None:
        samples: Sequence[Sample] = self.sampler.sample() if self.sampler is not None else ()
        if not self._hooks.processes():
            samples = [one for one in samples if not _of_processes(one.metric)]
        self._desk.take(samples)
        t = self._clock.wall()
        self._desk.pass_time(t, self._clock.monotonic())
        self._ticks, self._ticked_at = self._ticks + 1, t
        self._teller.flush()
        self._teller.recheck(t)
        self._keeper.keep_telling(self._teller.told, self._teller.alerts)
        self._hooks.deliver(samples)

    def detect(self) -> int:
        """Have the learners judge the steps that are complete. To be called every five minutes or so.

        Returns:
            How many steps there were. None if detection is off, or another thread is at it.
        """
        if not self.enabled:
            return 0
        steps = self._rounds.learn(self._hooks.maintenance)
        if steps is None:
            return 0
        self._teller.flush()
        self._rounds.save_if_due()
        if self._keeper.directory is not None:
            self._rounds.report(self.snapshot(), write=True)
        return steps

    def report(self) -> Report:
        """What there is to say now, for a person (:func:`as_markdown`) and as data (:meth:`Report.as_dict`)."""
        return self._rounds.report(self.snapshot(), write=False)

    def save(self) -> bool:
        """Keep what was learnt in ``directory``; tell whether that could be done."""
        return self._rounds.save()

    def close(self) -> None:
        """Listen no more, keep what was learnt, and close the log that was opened here. Alerts stay open."""
        self.stop()
        self._teller.flush()
        if self._keeper.directory is not None:
            self._rounds.save()
        self._keeper.close()

    def start(self) -> Subscription:
        """Listen to the bus from now on: to circuits, failed tasks, and the alerts of others, for rules on them."""
        if self._subscription is None:
            kinds = (Alert, AlertCleared, BreakerStateChanged, TaskFailed)
            self._subscription = self._events.subscribe(self._hear, *kinds)
        return self._subscription

    def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None

    def register(
        self, tasks: Registers, every: float = 10.0, detect_every: float = 300.0, prefix: str = "detection"
    ) -> None:
        """Run as two tasks of a registry, ``detection.rules`` and ``detection.learnt``, and listen to the bus.

        Args:
            tasks: a task registry.
            every: seconds between two runs of the rules.
            detect_every: seconds between two runs of the learners.
            prefix: of the names of the tasks.
        """
        self.start()
        tasks.register_interval(f"{prefix}.rules", self.tick, every)
        tasks.register_interval(f"{prefix}.learnt", self.detect, detect_every)

    def forget(self, target: str) -> None:
        """A target is gone on purpose: what was open on it ends."""
        self._desk.forget(target, self._clock.wall(), self._clock.monotonic())
        self._teller.flush()

    @property
    def enabled(self) -> bool:
        """Whether it looks at anything."""
        return self._hooks.enabled()

    @property
    def open(self) -> tuple[Alert, ...]:
        """The alerts that were told and hold, oldest first."""
        return self._teller.alerts

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All that is the matter, silenced or not, oldest first."""
        with self._desk.lock:
            return self._desk.incidents.open

    def anomaly_score(self, target: str = "") -> float:
        """How unusual the worst of a target was in the latest step: 0 (as always) to 1; 0.8 is where alarms begin."""
        return max((state.unusual for state in self._rounds.learning if state.target == target), default=0.0)

    def snapshot(self) -> MonitorSnapshot:
        """What there is to see now."""
        desk = self._desk
        with desk.lock:
            seen = {"series": len(desk.history), "samples": desk.samples, "waiting": desk.incidents.waiting}
            dropped = desk.incidents.dropped
        return MonitorSnapshot(
            enabled=self.enabled,
            open=self._teller.told,
            past=self._teller.past,
            learning=self._rounds.learning,
            dropped=dropped + (0 if self.sampler is None else self.sampler.dropped),
            max_open=self.config.max_open,
            max_series=desk.history.config.max_series,
            ticks=self._ticks,
            ticked_at=self._ticked_at,
            detections=self._rounds.count,
            detected_at=self._rounds.last,
            unwritten=self._book.unwritten,
            problems=tuple(self._problems()),
            **seen,
        )

    def section(self) -> dict[str, Any]:
        """A section for a :class:`~selfheal.status.StatusReport`."""
        return as_section(self.snapshot())

    def _problems(self) -> Iterable[str]:
        began = self._ticking
        if began is not None and (took := self._clock.monotonic() - began) >= TOO_LONG:
            yield f"the rules wait for {took:.0f} s: a measurement, or somebody who is told or asked, hangs"
        yield from self._rounds.problems()
        if self.sampler is not None:
            yield from self.sampler.problems
        yield from self._lessons.told()
        yield from filter(None, (self._book.problem, self._desk.history.refused))
        yield from tuple(self._keeper.problems.values())

    def _hear(self, event: Event) -> None:
        if not self._teller.is_mine(event) and self.enabled:
            self._desk.hear(event, self._clock.wall(), self._clock.monotonic())
            self._teller.flush()

    def _wanted(self, metric: str) -> bool:
        return self.enabled and (not _of_processes(metric) or self._hooks.processes())

    def _labels(self, incident: Incident) -> Mapping[str, str]:
        return self._desk.labels(incident)

    def _in_child(self) -> None:
        """Start over: other threads, and the locks they held, are not in this process; files are the parent's."""
        self._keeper.in_child()
        self._desk.in_child()
        self._rounds.in_child()
        self._teller.in_child()


def _of_processes(metric: str) -> bool:
    return metric.startswith(_OF_PROCESSES)
