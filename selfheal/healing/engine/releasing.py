"""Measures that are undone by themselves some time after their healing: a limit is not left on for ever."""

from __future__ import annotations

import heapq
import itertools
import threading

import attrs

from selfheal.clock import Clock
from selfheal.errors import JournalError
from selfheal.forking import track
from selfheal.healing.driving import Steps
from selfheal.healing.engine.acting import Actor
from selfheal.healing.engine.chronicle import Chronicle, RunFacts
from selfheal.healing.engine.guards import PlanGuards
from selfheal.healing.engine.saga import Saga, Step

_RETRY = 5.0
"""Seconds until a measure whose target is being healed is looked at again."""


@attrs.frozen(kw_only=True)
class Measure:
    """An action that is in force, and will be undone.

    Args:
        strategy: name.
        target: what it is in force on.
        action: its name.
        run: the healing it is of.
        undo_in: seconds until it is undone.
    """

    strategy: str
    target: str
    action: str
    run: str
    undo_in: float


class Releases:
    """The measures in force, and when each is to end.

    Args:
        actor: undoes them.
        guards: no measure is undone on a target that is being healed, or that is held.
        chronicle: what is held is written down.
        clock: for when they are due.
    """

    def __init__(self, actor: Actor, guards: PlanGuards, chronicle: Chronicle, clock: Clock) -> None:
        self._actor = actor
        self._guards = guards
        self._chronicle = chronicle
        self._clock = clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._due: list[tuple[float, int, RunFacts, Step]] = []
        track(self, Releases._in_child)

    def add(self, facts: RunFacts, saga: Saga, ended_ago: float = 0.0) -> None:
        """Take in what a healing that ended so many seconds ago left in force. Not in a dry run: it left nothing."""
        now = self._clock.monotonic()
        for step in reversed(saga.steps):  # what was done last is undone first
            if step.to_release and not facts.dry_run:
                due = now - max(0.0, ended_ago) + (step.undo_after or 0.0)
                with self._lock:
                    heapq.heappush(self._due, (due, next(self._order), facts, step))

    def undo_due(self) -> Steps[list[str]]:
        """Undo what is due; tell what could not be undone, in words.

        What could not be undone holds its target, and is tried again once a person has released that.
        """
        stuck: list[str] = []
        while (due := self._take()) is not None:
            facts, step = due
            owner = f"release {facts.run}:{step.number}"
            if self._guards.take_more(owner, [step.target], destructive=False) is not None:
                self._put(facts, step, self._clock.monotonic() + _RETRY)
                continue
            try:
                why = f"{step.undo_after:g} s have passed since the healing ended"
                if not (yield from self._actor.undo_step(step, facts, why)):
                    stuck.append(self._hold(facts, step))
                    self._put(facts, step, self._clock.monotonic() + _RETRY)
            except JournalError:
                self._put(facts, step, self._clock.monotonic() + _RETRY)
                raise
            finally:
                self._guards.let_go(owner)
        return stuck

    def measures(self) -> tuple[Measure, ...]:
        """What is in force, the first to end first."""
        now = self._clock.monotonic()
        with self._lock:
            due = sorted(self._due, key=lambda one: one[:2])
        return tuple(
            Measure(
                strategy=facts.strategy,
                target=step.target,
                action=step.action,
                run=facts.run,
                undo_in=max(0.0, at - now),
            )
            for at, _, facts, step in due
        )

    def _hold(self, facts: RunFacts, step: Step) -> str:
        """Leave the target to a person; say why."""
        why = f"{step.action} of {facts.strategy} could not be undone: {step.error}"
        self._guards.hold(step.target, why, self._clock.wall(), run=facts.run, step=step.number)
        self._chronicle.held(step.target, facts.run, step.number, why)
        return why

    def _take(self) -> tuple[RunFacts, Step] | None:
        """The next that is due; it is the caller's then."""
        with self._lock:
            if not self._due or self._due[0][0] > self._clock.monotonic():
                return None
            _, _, facts, step = heapq.heappop(self._due)
            return facts, step

    def _put(self, facts: RunFacts, step: Step, due: float) -> None:
        with self._lock:
            heapq.heappush(self._due, (due, next(self._order), facts, step))

    def _in_child(self) -> None:
        """They are the parent's to undo."""
        self._lock = threading.Lock()
        self._due = []
