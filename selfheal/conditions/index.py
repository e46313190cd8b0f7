"""Many conditions, and which of them an observation concerns."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from heapq import heapify, heappop, heappush
from typing import Literal

import attrs

from selfheal.conditions.compiling import NO_LABELS, Labels
from selfheal.conditions.describing import describe
from selfheal.conditions.lanes import Lane, Rule, Watched
from selfheal.conditions.nodes import Condition
from selfheal.conditions.samples import Samples, Series
from selfheal.conditions.showing import shown
from selfheal.conditions.trigger import Transition, TriggerState
from selfheal.errors import ConfigError

_ANY = -1
"""Generation of a series of which every rule is to be looked at anew."""


@attrs.frozen
class Firing:
    """A condition began to fire for a target, or ended.

    Args:
        key: the key of the condition.
        target: of the observations.
        change: ``"raised"`` or ``"cleared"``.
        metric: the first one that the condition names.
        value: its value then; ``None`` if it was unknown.
        at: when, in the seconds of the caller.
    """

    key: Hashable
    target: str
    change: Literal["raised", "cleared"]
    metric: str
    value: float | None
    at: float


class ConditionIndex:
    """Watches many conditions on many targets. Pure: the caller gives the time, and keeps threads apart.

    A condition is watched for each target that its metrics are observed on. Metrics of the target ``""`` concern all:
    they stand in where a target has no such metric of its own. An observation costs by what it changes: conditions on
    other metrics cost nothing, single comparisons on the same metric next to nothing unless their threshold is crossed;
    conditions of several parts on that metric are each looked at.

    Args:
        stale_after: seconds (or text such as ``"5m"``) after which a value tells nothing about now.
        keep: values kept of each metric and target.
        max_series: pairs of metric and target that are kept; what is observed beyond is refused.
        max_watched: pairs of condition and target that may be pending or firing at once; those beyond are not
            watched, and counted in ``refused``.

    Raises:
        ConfigError: if a value is out of range.

    >>> from selfheal.conditions import parse
    >>> index = ConditionIndex()
    >>> index.add("hot", parse("cpu > 80 for 1m clear 70"))
    >>> index.observe("cpu", 90.0, "web-1", 1000.0), index.due_at
    ([], 1060.0)
    >>> [firing.change for firing in index.tick(1060.0)]
    ['raised']
    """

    def __init__(
        self,
        stale_after: float | str = 300.0,
        keep: int = 64,
        max_series: int = 10_000,
        max_watched: int = 100_000,
    ) -> None:
        self.samples = Samples(stale_after, keep, max_series)
        self.max_watched = max_watched
        self.refused = 0
        self._rules: dict[Hashable, Rule] = {}
        self._lanes: dict[str, Lane] = {}
        self._labels: dict[str, Labels] = {}
        self._open: dict[tuple[Hashable, str], Firing] = {}
        self._settled: dict[str, float] = {}
        self._heap: list[tuple[float, int, str, Rule]] = []
        self._watched = 0
        self._added = 0
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rules

    @property
    def due_at(self) -> float | None:
        """When to call :meth:`tick` at the latest; ``None`` if time alone changes nothing."""
        while self._heap and not _stands(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def add(self, key: Hashable, condition: Condition, keep_firing_for: float | str = 0.0) -> None:
        """Watch a condition.

        Args:
            key: its name here.
            condition: it has to look at one metric at least.
            keep_firing_for: seconds (or text) for which it goes on firing after it ended.

        Raises:
            ConfigError: if the key is taken, the condition has no metric, or the time is no duration.
        """
        if key in self._rules:
            raise ConfigError("ConditionIndex.add: key", shown(key), "one that is not taken")
        rule = Rule(key, self._added, condition, keep_firing_for)
        rule.machine()  # says now what is wrong
        if not rule.metrics:
            raise ConfigError("ConditionIndex.add: condition", describe(condition), "one with a metric in it")
        self._added += 1
        self._rules[key] = rule
        for metric in rule.metrics:
            self._lanes.setdefault(metric, Lane()).add(rule)

    def remove(self, key: Hashable) -> tuple[Firing, ...]:
        """Watch a condition no more; answers where it was firing. A key that is not there is no error."""
        rule = self._rules.pop(key, None)
        if rule is None:
            return ()
        for metric in rule.metrics:
            self._lanes[metric].remove(rule)
            if not self._lanes[metric]:
                del self._lanes[metric]
        self._watched -= len(rule.watched)
        ended = [self._open.pop((key, target), None) for target in rule.watched]
        rule.watched.clear()
        return tuple(firing for firing in ended if firing is not None)

    def observe(
        self, metric: str, value: float | None, target: str, now: float, labels: Labels = NO_LABELS
    ) -> list[Firing]:
        """Take in a value, and answer what began or ended by it, and by the time until now.

        Args:
            metric: its name.
            value: what was measured; ``None`` or not finite: it is unknown from now on.
            target: what it was measured on; ``""`` for what concerns all.
            now: monotonic seconds. A value older than the latest of its series changes nothing.
            labels: of the target, from now on; none: those given last.

        Raises:
            ConfigError: if the value is no number.
        """
        found: list[Firing] = []
        samples, lane = self.samples, self._lanes.get(metric)
        series = samples.series(metric, target)
        if lane is not None and (series is None or now - series.points[-1][0] > samples.stale_after):
            self._lapsed(lane, series, target, now, found)
        series = samples.take(metric, value, target, now)
        if series is None:
            return found
        if labels and self._labels.get(target) is not labels:
            self._keep_labels(target, labels)
        if lane is not None:
            self._observed(lane, series, target, now, found)
        if self._heap and self._heap[0][0] <= now:
            self._run_due(now, found)
        return sorted(found, key=self._order) if len(found) > 1 else found

    def tick(self, now: float) -> list[Firing]:
        """Let time pass; answer what began or ended by it."""
        found: list[Firing] = []
        self._run_due(now, found)
        return sorted(found, key=self._order)

    def firing(self) -> tuple[Firing, ...]:
        """What fires now, each as it was raised, oldest first."""
        return tuple(self._open.values())

    def state(self, key: Hashable, target: str) -> TriggerState:
        """Where the trigger of a condition is for a target."""
        rule = self._rules.get(key)
        watched = None if rule is None else rule.watched.get(target)
        return TriggerState.INACTIVE if watched is None else watched.machine.state

    def reset(self, target: str | None, now: float, settle: float = 0.0) -> None:
        """Count anew what is pending, because something was done; fires go on.

        Args:
            target: on what; ``None``: on all, as after a jump of the clock.
            now: monotonic seconds.
            settle: seconds during which nothing new fires there, and nothing is counted.
        """
        self._settled = {known: until for known, until in self._settled.items() if until > now}
        targets = self.samples.all_targets() if target is None else {target}
        if settle > 0.0:
            self._settled |= {known: max(self._settled.get(known, now), now + settle) for known in targets}
        for rule in self._rules.values():
            for known in [known for known in rule.watched if known in targets]:
                watched = rule.watched[known]
                watched.machine.settle(now, settle)
                self._sort(rule, known, watched)
        for metric in self._lanes:
            for known in targets:
                series = self.samples.series(metric, known)
                if series is not None:
                    series.generation = _ANY

    def forget(self, target: str) -> tuple[Firing, ...]:
        """Drop all that is known of a target, which is gone; answers what was firing for it."""
        ended = [self._open.pop((key, target), None) for key in self._rules]
        for rule in self._rules.values():
            if rule.watched.pop(target, None) is not None:
                self._watched -= 1
            if rule.single is not None:
                self._lanes[rule.metrics[0]].note(rule, target, None)
        self.samples.forget(target)
        self._labels.pop(target, None)
        self._settled.pop(target, None)
        return tuple(firing for firing in ended if firing is not None)

    def _observed(self, lane: Lane, series: Series, target: str, now: float, found: list[Firing]) -> None:
        value = series.points[-1][1]
        if not math.isfinite(value):
            self._lapsed(lane, series, target, now, found)
            return
        for rule in lane.concerned(series, value, target):
            if target in rule.watched or rule.holds(value):
                self._look(rule, target, now, found, series.seen_at)
        series.generation, series.paused = lane.generation, False
        series.seen, series.seen_at = value, now
        if lane.composed:
            self._look_at_composed(lane, target, now, found)

    def _lapsed(self, lane: Lane, series: Series | None, target: str, now: float, found: list[Firing]) -> None:
        """The metric is unknown by now: what is being counted stops."""
        for rule in lane.timed(target):
            self._look(rule, target, now, found, -math.inf if series is None else series.seen_at)
        if series is not None:
            series.paused = True
            self._look_at_composed(lane, target, now, found)

    def _look_at_composed(self, lane: Lane, target: str, now: float, found: list[Firing]) -> None:
        for rule in lane.composed.values():
            targets: Iterable[str] = (target,)
            if target == "":
                targets = {known for metric in rule.metrics for known in self.samples.targets(metric)}
            for known in targets:
                self._look(rule, known, now, found)

    def _run_due(self, now: float, found: list[Firing]) -> None:
        while self._heap and self._heap[0][0] <= now:
            item = heappop(self._heap)
            if not _stands(item):
                continue
            _, _, target, rule = item
            rule.watched[target].scheduled = None
            series = self.samples.series(rule.metrics[0], target) if rule.single is not None else None
            self._look(rule, target, now, found, -math.inf if series is None else series.seen_at)

    def _look(self, rule: Rule, target: str, now: float, found: list[Firing], seen_at: float = -math.inf) -> None:
        """Bring one machine up to date; ``seen_at``: until when nothing had changed that it was not told of."""
        watched = rule.watched.get(target)
        if watched is None:
            watched = self._new(rule, target, now)
        machine, samples = watched.machine, self.samples
        machine.touch(seen_at)
        move = machine.update(
            now, lambda metric: samples.latest(metric, target, now), self._labels.get(target, NO_LABELS)
        )
        if self._sort(rule, target, watched) and move is not None:
            self._tell(rule, target, move, found)

    def _new(self, rule: Rule, target: str, now: float) -> Watched:
        watched = Watched(rule.machine())
        until = self._settled.get(target)
        if until is not None and until > now:
            watched.machine.settle(now, until - now)
        return watched

    def _sort(self, rule: Rule, target: str, watched: Watched) -> bool:
        """Keep a machine where it has a past, drop it where it has none; false if there is no room to keep it."""
        machine = watched.machine
        known = target in rule.watched
        if machine.idle:
            if known:
                del rule.watched[target]
                self._watched -= 1
        elif not known:
            if self._watched >= self.max_watched:
                self.refused += 1
                return False
            rule.watched[target] = watched
            self._watched += 1
        if rule.single is not None:
            self._lanes[rule.metrics[0]].note(rule, target, machine.state)
        due = machine.due_at
        if due is None:
            watched.scheduled = None
        elif due != watched.scheduled:
            self._schedule(due, target, rule, watched)
        return True

    def _schedule(self, due: float, target: str, rule: Rule, watched: Watched) -> None:
        if len(self._heap) > 2 * self._watched + 64:  # most of it has been overtaken
            self._heap = [item for item in self._heap if _stands(item)]
            heapify(self._heap)
        watched.scheduled = due
        self._sequence += 1
        heappush(self._heap, (due, self._sequence, target, rule))

    def _tell(self, rule: Rule, target: str, move: Transition, found: list[Firing]) -> None:
        if not move.raised and not move.cleared:
            return
        metric = rule.metrics[0]
        value = self.samples.latest(metric, target, move.at)
        firing = Firing(rule.key, target, "raised" if move.raised else "cleared", metric, value, move.at)
        if move.raised:
            self._open[rule.key, target] = firing
        else:
            self._open.pop((rule.key, target), None)
        found.append(firing)

    def _keep_labels(self, target: str, labels: Labels) -> None:
        if target not in self._labels and len(self._labels) >= self.samples.max_series:
            known = self.samples.all_targets()
            self._labels = {of: kept for of, kept in self._labels.items() if of in known}
        self._labels[target] = labels

    def _order(self, firing: Firing) -> tuple[int, str]:
        return self._rules[firing.key].number, firing.target


def _stands(item: tuple[float, int, str, Rule]) -> bool:
    """Whether an entry of the heap is the latest word on its machine."""
    due, _, target, rule = item
    watched = rule.watched.get(target)
    return watched is not None and watched.scheduled == due
