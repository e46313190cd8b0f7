"""What comes into a monitor, under one lock: samples, events, time. It decides, and posts what is to be told."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from selfheal.detection.history import History
from selfheal.detection.monitor.incidents import Change, Incident, Incidents
from selfheal.detection.monitor.learners import News
from selfheal.detection.monitor.signals import RuleSignals, Series
from selfheal.detection.rules.findings import Finding
from selfheal.detection.rules.watching import RuleWatch
from selfheal.detection.sampler import Sample
from selfheal.errors import ConfigError
from selfheal.events import Alert, AlertCleared, Event

Post = Callable[[Iterable[Change], float], None]


class Desk:
    """Rules, history and incidents, kept consistent. Safe from several threads; no foreign code runs under its lock.

    Args:
        rules: the rules at work.
        history: the past of all series.
        incidents: what signals become.
        post: takes what became of incidents, in order.
        max_series: series whose labels are known.
    """

    def __init__(self, rules: RuleWatch, history: History, incidents: Incidents, post: Post, max_series: int) -> None:
        self.rules = rules
        self.history = history
        self.incidents = incidents
        self.samples = 0
        self._post = post
        self._max_series = max_series
        self._signals = RuleSignals(rules.rules)
        self._labels: OrderedDict[Series, Mapping[str, str]] = OrderedDict()
        self.in_child()

    def in_child(self) -> None:
        """Make a new lock."""
        self.lock = threading.Lock()

    def take(self, samples: Iterable[Sample], labels: Mapping[str, str] | None = None) -> None:
        """Take samples into the history and to the rules."""
        with self.lock:
            for sample in samples:
                self.samples += 1
                self.history.add(sample.metric, sample.value, sample.target, sample.t)
                if labels is not None:
                    self._label((sample.metric, sample.target), labels)
                self._found(self.rules.observe(sample), sample.t, sample.at)

    def pass_time(self, t: float, at: float) -> None:
        """Let time pass for rules and incidents."""
        with self.lock:
            self._found(self.rules.tick(t, at), t, at)
            self._changed(self.incidents.tick(at), t, at)

    def hear(self, event: Event, t: float, at: float) -> None:
        """Take an event of somebody else."""
        with self.lock:
            self._found(self.rules.event(event, t, at), t, at)

    def learnt(self, news: News, t: float, at: float) -> None:
        """Take what learners say."""
        with self.lock:
            self._changed(self.incidents.apply(news, at), t, at)

    def forget(self, target: str, t: float, at: float) -> None:
        """A target is gone on purpose."""
        with self.lock:
            self._found(self.rules.forget(target, t, at), t, at)
            self._changed(self.incidents.forget(target, at), t, at)
            for series in [series for series in self._labels if series[1] == target]:
                del self._labels[series]

    def labels(self, incident: Incident) -> Mapping[str, str]:
        """What was given as labels with the latest value of the series of an incident."""
        with self.lock:
            found: dict[str, str] = {}
            for series in sorted(incident.signal.covers):
                found.update(self._labels.get(series, {}))
            return found

    def _found(self, findings: list[Finding], t: float, at: float) -> None:
        if findings:
            self._changed(self.incidents.apply([self._signals.of(one) for one in findings], at), t, at)

    def _changed(self, changes: list[Change], t: float, at: float) -> None:
        """Post changes; rules on cascades look at what was learnt too."""
        self._post(changes, t)
        for change in changes:
            signal = change.incident.signal
            if not signal.learnt or change.what not in ("raised", "cleared"):
                continue
            event: Event = AlertCleared(at=t, fingerprint=signal.fingerprint)
            if change.what == "raised":
                event = Alert(at=t, kind=signal.kind, target=signal.target, metric=signal.metric)
            self._found(self.rules.event(event, t, at), t, at)

    def _label(self, series: Series, labels: Mapping[str, str]) -> None:
        self._labels[series] = dict(labels)
        self._labels.move_to_end(series)
        if len(self._labels) > self._max_series:
            self._labels.popitem(last=False)


def texts_of(what: str, values: Iterable[object]) -> None:
    """Refuse what is no text before it gets anywhere.

    Raises:
        ConfigError: if one is none.
    """
    for value in values:
        if not isinstance(value, str):
            raise ConfigError(f"Monitor.observe: {what}", value, "text")
