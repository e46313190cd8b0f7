"""Tasks that fail more often than they used to, and circuits that opened."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selfheal.detection.rules.findings import Finding, OpenFindings
from selfheal.detection.rules.watch import Quiet
from selfheal.events import BreakerStateChanged, Event, Severity, TaskFailed

if TYPE_CHECKING:
    from selfheal.detection.rules.specs import BreakerRule, TaskFailureRule
    from selfheal.detection.sampler import Sample

_MOST_TASKS = 1000
_MOST_ATTEMPTS = 500
_BELIEVED = 50.0
"""Attempts that the share of failures taken to be usual is worth, against those that were seen."""
_MEMORY = 7 * 86_400.0
_NEW_NORMAL = 6 * 3600.0
"""Seconds after which failures that go on become what is usual."""
_WELL_AGAIN = 0.05


@attrs.define
class _Task:
    """What is known of one task: attempts that are judged, and how often it failed before them.

    ``failed``: how many of the attempts did; ``pace``: seconds between the last two failures; ``failing_at``: when it
    was found to be failing.
    """

    attempts: deque[tuple[float, bool]] = attrs.field(factory=deque)
    failed: int = 0
    before: float = 0.0
    before_failed: float = 0.0
    learnt_at: float = -math.inf
    in_a_row: int = 0
    failed_at: float = -math.inf
    failing_at: float = -math.inf
    pace: float = 0.0

    def fails(self, in_a_row: int, at: float) -> None:
        """One more failure."""
        self.in_a_row = in_a_row
        self.pace = max(at - self.failed_at, 0.0) if self.failed_at > -math.inf else 0.0
        self.failed_at = at


class TaskFailureWatch(Quiet):
    """Watches attempts (a metric of 1 and 0), and :class:`~selfheal.events.TaskFailed` events."""

    def __init__(self, rule: TaskFailureRule) -> None:
        self._rule = rule
        self._open = OpenFindings(rule.name, rule.TYPE)
        self._tasks: OrderedDict[str, _Task] = OrderedDict()

    @property
    def name(self) -> str:
        """Of the rule."""
        return self._rule.name

    def observe(self, sample: Sample) -> list[Finding]:
        """Take one attempt."""
        if sample.metric != self._rule.metric or math.isnan(sample.value):
            return []
        task, failed = self._task(sample.target), sample.value < 0.5
        if task is None:
            return []
        if failed:
            task.fails(task.in_a_row + 1, sample.at)
        else:
            task.in_a_row = 0
        task.attempts.append((sample.at, failed))
        task.failed += failed
        self._age(sample.target, task, sample.at)
        if not failed and sample.target not in self._open:  # nothing begins with a success
            return []
        return self._judge(sample.target, task, sample.t, sample.at)

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """Take a failed run of a registered task; only how many failed in a row is known then."""
        task = self._task(event.task_id) if isinstance(event, TaskFailed) else None
        if task is None or not isinstance(event, TaskFailed):
            return []
        task.fails(event.consecutive, at)
        self._age(event.task_id, task, at)
        return self._judge(event.task_id, task, t, at)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass: what did not fail again for long enough is over."""
        found: list[Finding] = []
        for name in [finding.target for finding in self._open.all]:
            self._age(name, self._tasks[name], at)
            found += self._judge(name, self._tasks[name], t, at)
        return found

    def forget(self, target: str, t: float) -> list[Finding]:
        """The task is gone."""
        self._tasks.pop(target, None)
        return self._open.end(target, t, f"task {target} is gone")

    def to_dict(self, at: float) -> dict[str, Any]:
        """How often each task has failed, as JSON data; times as seconds before ``at``."""
        return {
            name: [task.before, task.before_failed, max(at - task.learnt_at, 0.0)]
            for name, task in self._tasks.items()
            if task.before > 0.0
        }

    def load(self, data: Mapping[str, Any], at: float, ago: float) -> None:
        """Take over what :meth:`to_dict` gave ``ago`` seconds before ``at``.

        Raises:
            ValueError: if it is not that; nothing is taken over then.
        """
        known: dict[str, _Task] = {}
        for name, row in tuple(data.items())[-_MOST_TASKS:]:
            before, failed, since = (float(number) for number in row)
            if not (math.isfinite(before) and math.isfinite(since) and 0.0 <= failed <= before and since >= 0.0):
                raise ValueError(f"{name!r} has no such past: {row!r}")
            known[name] = _Task(before=before, before_failed=failed, learnt_at=at - ago - since)
        self._tasks.update(known)

    def _task(self, name: str) -> _Task | None:
        """What is known of a task; ``None`` if there are too many, and all of them are failing."""
        task = self._tasks.get(name)
        if task is None:
            if len(self._tasks) >= _MOST_TASKS:
                idle = next((one for one in self._tasks if one not in self._open), None)
                if idle is None:
                    return None
                del self._tasks[idle]
            task = self._tasks[name] = _Task()
        self._tasks.move_to_end(name)
        return task

    def _judge(self, name: str, task: _Task, t: float, at: float) -> list[Finding]:
        n, failed, silent = len(task.attempts), task.failed, at - task.failed_at
        if silent > max(self._rule.window, min(2.0 * task.pace, _MEMORY)):
            return self._open.end(name, t, f"task {name} has not failed for {silent:.0f} s")
        usual = (task.before_failed + _BELIEVED * self._rule.usual) / (task.before + _BELIEVED)
        chance = binomial_tail(failed, n, usual) if n >= self._rule.least else 1.0
        many, again = chance <= self._rule.significance, task.in_a_row >= self._rule.consecutive
        if not many and not again:
            well = task.in_a_row == 0 and n and chance > _WELL_AGAIN
            return self._open.end(name, t, f"task {name}: {failed} of {n} attempts failed") if well else []
        if name not in self._open:
            task.failing_at = at
        told = f"{failed} of {n} attempts failed; usual is {100 * usual:.1f} %" if many else ""
        row = f"{task.in_a_row} failures in a row" if again else ""
        return self._open.begin(
            name,
            t,
            self._rule.severity,
            target=name,
            metric=self._rule.metric,
            value=failed / n if n else 1.0,
            message=f"task {name}: {'; '.join(filter(None, (told, row)))}",
            evidence={"failed": str(failed), "attempts": str(n), "in_a_row": str(task.in_a_row), "p": f"{chance:.2g}"},
        )

    def _age(self, name: str, task: _Task, at: float) -> None:
        """What left the window becomes the past, unless the task is failing and has not been for long."""
        learns = name not in self._open or at - task.failing_at > _NEW_NORMAL
        while task.attempts and (task.attempts[0][0] <= at - self._rule.window or len(task.attempts) > _MOST_ATTEMPTS):
            then, failed = task.attempts.popleft()
            task.failed -= failed
            if learns:
                kept = math.exp(-max(then - task.learnt_at, 0.0) / _MEMORY)
                task.before = task.before * kept + 1.0
                task.before_failed = task.before_failed * kept + failed
                task.learnt_at = then


class BreakerWatch(Quiet):
    """Watches :class:`~selfheal.events.BreakerStateChanged` events."""

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        self._open = OpenFindings(rule.name, rule.TYPE)

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """A circuit that opened begins, one that closed ends; probing in between is neither."""
        if not isinstance(event, BreakerStateChanged):
            return []
        if self._rule.breakers and event.breaker not in self._rule.breakers:
            return []
        if event.new not in ("OPEN", "PERMANENT_OPEN", "FORCED_OPEN"):
            over = event.new != "HALF_OPEN"
            return self._open.end(event.breaker, t, f"circuit {event.breaker} is {event.new}") if over else []
        ends: list[Finding] = []
        permanent = event.new == "PERMANENT_OPEN"
        was = self._open.get(event.breaker)
        if permanent and was is not None and was.severity is not Severity.CRITICAL:
            ends = self._open.end(event.breaker, t, f"circuit {event.breaker} is now open for good")
        return ends + self._open.begin(
            event.breaker,
            t,
            Severity.CRITICAL if permanent else self._rule.severity,
            target=event.breaker,
            message=f"circuit {event.breaker} is {event.new}: {event.reason}",
            evidence={"state": event.new, "reason": event.reason},
        )

    def forget(self, target: str, t: float) -> list[Finding]:
        """The circuit is gone."""
        return self._open.end(target, t, f"circuit {target} is gone")


def binomial_tail(k: int, n: int, p: float) -> float:
    """Probability of at least ``k`` of ``n`` when each happens with probability ``p``, between 0 and 1.

    >>> round(binomial_tail(2, 3, 0.5), 3), binomial_tail(0, 5, 0.1)
    (0.5, 1.0)
    """
    if k <= 0:
        return 1.0
    if p <= 0.0 or k > n:
        return 0.0
    if p >= 1.0:
        return 1.0
    if k > n * p:
        return min(_sum_from(k, n, p), 1.0)
    return 1.0 - min(_sum_from(n - k + 1, n, 1.0 - p), 1.0)  # the others: fewer than k are more than n - k of the rest


def _sum_from(k: int, n: int, p: float) -> float:
    """The same by adding up, from where each probability is smaller than the one before; stops where nothing counts."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    one = whole = math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))
    for i in range(k, n):
        one *= (n - i) / (i + 1) * p / (1.0 - p)
        whole += one
        if one < 1e-17 * whole:
            break
    return whole
