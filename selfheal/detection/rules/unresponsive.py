"""Processes that do not answer: silent, stopped, or zombies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from selfheal.detection.rules.findings import Finding, OpenFindings
from selfheal.detection.rules.watch import Pace, Quiet

if TYPE_CHECKING:
    from selfheal.detection.rules.specs import ProcessRule
    from selfheal.detection.sampler import Sample

_MOST_TARGETS = 1000
_STATES = {"process_stopped": "stopped", "process_zombie": "a zombie"}


class ProcessWatch(Quiet):
    """Watches signs of life, and the states that the sampler sees.

    Silence is heard only by who listens: of the time between two calls two steps count at most, so that a watcher that
    was stopped itself, with its container or by a debugger, does not take everybody for dead.
    """

    def __init__(self, rule: ProcessRule) -> None:
        self._rule = rule
        self._open = OpenFindings(rule.name, rule.TYPE)
        self._alive: dict[str, float] = {}
        self._looked_at = -math.inf
        self._pace = Pace(rule.name, rule.step)
        self._since: dict[tuple[str, str], tuple[float, float]] = {}  # state → since when, and when last seen
        self._patience = {"process_stopped": rule.stopped_for, "process_zombie": rule.zombie_for}

    def observe(self, sample: Sample) -> list[Finding]:
        """Take a sign of life, or a state."""
        self._look(sample.at)
        if sample.metric == self._rule.heartbeat:
            if sample.target in self._alive or len(self._alive) < _MOST_TARGETS:
                self._alive[sample.target] = max(sample.at, self._alive.get(sample.target, -math.inf))
        elif sample.metric in _STATES and not math.isnan(sample.value):
            self._pace.look(sample.metric, sample.at)
            self._note((sample.target, sample.metric), sample.value >= 1.0, sample.at)
        else:
            return []
        return self._judge(sample.target, sample.t, sample.at)

    def tick(self, t: float, at: float) -> list[Finding]:
        """Let time pass: who was silent for too long is found; a state that is seen no more is over."""
        self._look(at)
        for key, (_, seen) in tuple(self._since.items()):
            if at - seen > max(6.0 * self._rule.step, 60.0):
                del self._since[key]  # the process is gone: nobody measures it any more
        targets = {target for target, _ in self._since} | set(self._alive) | {one.target for one in self._open.all}
        return [finding for target in sorted(targets) for finding in self._judge(target, t, at)]

    def forget(self, target: str, t: float) -> list[Finding]:
        """It was ended on purpose: its silence means nothing."""
        self._alive.pop(target, None)
        for state in _STATES:
            self._since.pop((target, state), None)
        return self._open.end(target, t, f"{target} is gone")

    def _look(self, at: float) -> None:
        unheard = at - self._looked_at - 2.0 * self._rule.step
        if unheard > 0.0:
            self._alive = {target: heard + unheard for target, heard in self._alive.items()}
        self._looked_at = max(self._looked_at, at)

    def _note(self, key: tuple[str, str], holds: bool, at: float) -> None:
        if not holds:
            self._since.pop(key, None)
            return
        since, seen = self._since.get(key, (at, at))
        # What was not looked at for longer than two steps may have been over in between.
        if at - seen > 2.0 * self._rule.step:
            since = at
        if key in self._since or len(self._since) < 2 * _MOST_TARGETS:
            self._since[key] = (since, at)

    def _judge(self, target: str, t: float, at: float) -> list[Finding]:
        why, metric, seconds = self._matter(target, at)
        if not why:
            return self._open.end(target, t, f"{target} answers again")
        return self._open.begin(
            target,
            t,
            self._rule.severity,
            target=target,
            value=seconds,
            message=f"{target} {why}",
            evidence={"shown_by": metric, "seconds": f"{seconds:.0f}"},
        )

    def _matter(self, target: str, at: float) -> tuple[str, str, float]:
        """What is the matter, which metric shows it, and for how many seconds; empty if nothing is."""
        for state, words in _STATES.items():
            since, seen = self._since.get((target, state), (math.inf, math.inf))
            if seen - since >= self._patience[state]:
                return f"has been {words} for {seen - since:.0f} s", state, seen - since
        silent = at - self._alive.get(target, math.inf)
        if silent > self._rule.silent_for:
            return f"has given no sign of life for {silent:.0f} s", self._rule.heartbeat, silent
        return "", "", 0.0
