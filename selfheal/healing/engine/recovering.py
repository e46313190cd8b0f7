"""Healings that the end of a process interrupted: found out about, put back, or left to a person."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from selfheal.clock import Clock
from selfheal.healing.actions import Effect, Probed
from selfheal.healing.driving import Steps
from selfheal.healing.engine.acting import Actor
from selfheal.healing.engine.chronicle import Chronicle
from selfheal.healing.engine.guards import PlanGuards
from selfheal.healing.engine.reading import Trace
from selfheal.healing.engine.run import Told
from selfheal.healing.engine.saga import Step, StepState


@attrs.frozen(kw_only=True)
class RecoveredRun:
    """What became of one interrupted healing.

    Args:
        run: its id.
        strategy: name.
        target: what was healed.
        done: actions in doubt that had taken effect.
        not_done: actions in doubt that had not.
        undone: actions that were put back.
        held: targets that a person has to look at.
        reason: in words.
    """

    run: str
    strategy: str
    target: str
    done: int = 0
    not_done: int = 0
    undone: int = 0
    held: tuple[str, ...] = ()
    reason: str = ""


@attrs.frozen(kw_only=True)
class RecoveryReport:
    """What was found of the time before this process.

    Args:
        entries: of the journal, that were read.
        begun: healings of the last hour, that count for the budgets.
        acted: actions of the last hour.
        failures: failed healings in a row.
        held: targets that are held.
        runs: the healings that were interrupted.
    """

    entries: int = 0
    begun: int = 0
    acted: int = 0
    failures: int = 0
    held: tuple[str, ...] = ()
    runs: tuple[RecoveredRun, ...] = ()


class Recovery:
    """Ends what was never ended: by probing what is in doubt, and by undoing what can be undone.

    Nothing is done that a healing would have gone on to do: the problem is measured anew by those that come.

    Args:
        actor: probes and undoes.
        guards: hold targets.
        chronicle: writes it down.
        clock: for the time of it.
        tell: tells people what they have to look at.
    """

    def __init__(
        self, actor: Actor, guards: PlanGuards, chronicle: Chronicle, clock: Clock, tell: Callable[[Told], None]
    ) -> None:
        self._actor = actor
        self._guards = guards
        self._chronicle = chronicle
        self._clock = clock
        self._tell = tell

    def end(self, trace: Trace) -> Steps[RecoveredRun]:
        """End one healing.

        Raises:
            JournalError: if it cannot be written down; then it is ended at a later start.
        """
        facts, saga = trace.facts, trace.saga
        held: tuple[str, ...] = ()
        if trace.damaged:
            held = self._hold(trace, None, f"its journal is damaged: {trace.damaged}")
            return self._finish(
                trace, RecoveredRun(run=facts.run, strategy=facts.strategy, target=facts.target, held=held)
            )
        done = not_done = 0
        for step in saga.in_doubt():
            probed = yield from self._actor.probe(step, facts)
            if probed is Probed.DONE:
                done += 1
                step.receipt = {}
                step.move(StepState.DONE)
                self._chronicle.done(facts.run, step, recovered=True)
            elif probed is Probed.NOT_DONE:
                not_done += 1
                step.error = f"{trace.cut_off} before it took effect"
                step.move(StepState.FAILED)
                self._chronicle.failed(facts.run, step, in_doubt=False)
            else:
                if step.state is StepState.INTENDED:
                    step.move(StepState.IN_DOUBT)
                if step.effect is not Effect.REVERSIBLE and step.destructive:
                    held += self._hold(trace, step, f"nobody knows whether {step.action} took effect")
        if trace.rollback:
            held += yield from self._undo(trace)
        undone = sum(step.state is StepState.UNDONE for step in saga)
        return self._finish(
            trace,
            RecoveredRun(
                run=facts.run,
                strategy=facts.strategy,
                target=facts.target,
                done=done,
                not_done=not_done,
                undone=undone,
                held=held,
            ),
        )

    def _undo(self, trace: Trace) -> Steps[tuple[str, ...]]:
        """Undo what can be; tell which targets are held, because something could not, or may not any more."""
        held: tuple[str, ...] = ()
        saga, why = trace.saga, f"{trace.cut_off} in the middle of the healing"
        denied = [step for step in saga.undo_order() if self._guards.protection.check(step.target, False)]
        stuck: list[Step] = yield from self._actor.undo(saga, trace.facts, why, but=lambda step: step in denied)
        for step in denied:
            held += self._hold(trace, step, f"{step.action} is not undone: the target is protected now")
        for step in stuck:
            held += self._hold(trace, step, f"{step.action} could not be undone: {step.error}", dormant=True)
        return held

    def _hold(self, trace: Trace, step: Step | None, why: str, *, dormant: bool = False) -> tuple[str, ...]:
        """Leave a target to a person, and tell them. A failed undo stops all healing, as it would have in time."""
        target = trace.facts.target if step is None else step.target
        number = -1 if step is None else step.number
        wall = self._clock.wall()
        self._guards.hold(target, f"{trace.facts.strategy}: {why}", wall, run=trace.facts.run, step=number)
        self._chronicle.held(target, trace.facts.run, number, why)
        title = f"{trace.facts.strategy}: {target or 'the host'} is held: its healing was cut off"
        body = f"{why}. Look at it, then release({target!r}, by=…, reason=…)."
        self._tell(Told(title=title, body=body, dormant=dormant))
        return (target,)

    def _finish(self, trace: Trace, found: RecoveredRun) -> RecoveredRun:
        parts = [
            f"{found.done} actions in doubt had taken effect" if found.done else "",
            f"{found.not_done} had not" if found.not_done else "",
            f"{found.undone} were undone" if found.undone else "",
            f"held for a person: {', '.join(map(repr, found.held))}" if found.held else "",
        ]
        reason = "; ".join([f"{trace.cut_off} in the middle", *filter(None, parts)])
        self._chronicle.finished(
            trace.facts,
            trace.saga,
            trace.total,
            outcome="interrupted",
            guard="",
            reason=reason,
            duration=max(0.0, self._clock.wall() - trace.began),
        )
        return attrs.evolve(found, reason=reason)
