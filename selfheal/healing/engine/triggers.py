"""Triggers of strategies: samples in, alerts out. One long problem is one alert."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping

from selfheal.clock import Clock
from selfheal.conditions import ConditionIndex, Firing
from selfheal.events import Alert, AlertCleared
from selfheal.forking import track
from selfheal.healing.strategies.specs import StrategySpec
from selfheal.policies.protection import matches

_NO_LABELS: Mapping[str, str] = {}


class Triggers:
    """Keeps the triggers of all strategies, for every target there are samples of.

    Args:
        clock: for how long a condition holds.
        index: what tells which triggers an observation moves.
    """

    def __init__(self, clock: Clock, index: ConditionIndex) -> None:
        self._clock = clock
        self._index = index
        self._lock = threading.Lock()
        self._specs: dict[str, StrategySpec] = {}
        self._alerts: dict[tuple[str, str], Alert] = {}
        track(self, Triggers._in_child)

    def use(self, specs: Iterable[StrategySpec]) -> list[AlertCleared]:
        """Watch for these strategies from now on; a trigger that is the same as before goes on as it is.

        Returns:
            Clearances of the alerts whose strategy is not watched for any more.
        """
        wanted = {spec.name: spec for spec in specs if spec.enabled}
        with self._lock:
            gone = [name for name, spec in self._specs.items() if not _same(spec, wanted.get(name))]
            for name in gone:
                self._index.remove(name)
            for name, spec in wanted.items():
                if spec.trigger is not None and (name not in self._specs or name in gone):
                    self._index.add(name, spec.trigger, spec.keep_firing_for)
            self._specs = wanted
            dropped = [key for key in self._alerts if key[0] in gone]
            return [self._cleared(self._alerts.pop(key)) for key in dropped]

    def observe(
        self, metric: str, value: float, target: str, labels: Mapping[str, str] = _NO_LABELS
    ) -> list[Alert | AlertCleared]:
        """Take in a sample; return what it raised and cleared."""
        now = self._clock.monotonic()
        with self._lock:
            firings = self._index.observe(metric, value, target, now, labels)
            return self._told(firings, labels) if firings else []

    def tick(self) -> list[Alert | AlertCleared]:
        """What the passing of time alone raised and cleared."""
        with self._lock:
            return self._told(self._index.tick(self._clock.monotonic()), _NO_LABELS)

    def acted(self, target: str, settle: float) -> None:
        """An action was done on a target: what was about to fire there begins anew, after things have settled."""
        with self._lock:
            self._index.reset(target, self._clock.monotonic(), settle)

    def jumped(self) -> None:
        """The clock jumped: nothing is known of how long anything held."""
        with self._lock:
            self._index.reset(None, self._clock.monotonic(), 0.0)

    def latest(self, metric: str, target: str) -> float | None:
        """The value of a metric now; ``None`` if it is not known."""
        with self._lock:
            return self._index.samples.latest(metric, target, self._clock.monotonic())

    def since(self, metric: str, target: str, at: float) -> list[float]:
        """The values newer than ``at`` (monotonic seconds), oldest first."""
        with self._lock:
            return [value for _, value in self._index.samples.since(metric, target, at)]

    def targets(self) -> set[str]:
        """Every target there were samples of."""
        with self._lock:
            return self._index.samples.all_targets() - {""}

    def firing(self) -> list[Alert]:
        """The alerts of all triggers that fire."""
        with self._lock:
            return list(self._alerts.values())

    def _told(self, firings: Iterable[Firing], labels: Mapping[str, str]) -> list[Alert | AlertCleared]:
        told: list[Alert | AlertCleared] = []
        for firing in firings:
            name = str(firing.key)
            key = (name, firing.target)
            spec = self._specs.get(name)
            if firing.change == "raised" and spec is not None and _is_for(spec, firing.target):
                self._alerts[key] = self._alert(spec, firing, labels)
                told.append(self._alerts[key])
            elif firing.change == "cleared" and key in self._alerts:
                told.append(self._cleared(self._alerts.pop(key)))
        return told

    def _alert(self, spec: StrategySpec, firing: Firing, labels: Mapping[str, str]) -> Alert:
        return Alert(
            at=self._clock.wall(),
            kind=spec.name,
            target=firing.target,
            metric=firing.metric,
            value=math.nan if firing.value is None else firing.value,
            severity=spec.severity,
            message=spec.description,
            labels=labels,
        )

    def _cleared(self, alert: Alert) -> AlertCleared:
        return AlertCleared(at=self._clock.wall(), fingerprint=alert.fingerprint)

    def _in_child(self) -> None:
        self._lock = threading.Lock()


def _is_for(spec: StrategySpec, target: str) -> bool:
    return not spec.targets or any(matches(pattern, target) for pattern in spec.targets)


def _same(spec: StrategySpec, other: StrategySpec | None) -> bool:
    return other is not None and (spec.trigger, spec.keep_firing_for) == (other.trigger, other.keep_firing_for)
