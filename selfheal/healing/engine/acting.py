"""Running, probing and undoing one action: journal first, then the lever, then the journal again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from selfheal.clock import Clock
from selfheal.configuring import structure
from selfheal.errors import ActionTimeoutError, HealingFailedError, JournalError
from selfheal.healing.actions import Action, ActionCall, ActionRegistry, Effect, Probed, Skip
from selfheal.healing.driving import Call, Steps
from selfheal.healing.engine.chronicle import Chronicle, RunFacts
from selfheal.healing.engine.executing import ActionRunner
from selfheal.healing.engine.saga import Saga, Step, StepState
from selfheal.healing.strategies.specs import StepSpec
from selfheal.plain import plain
from selfheal.policies.refusal import Refusal

logger = logging.getLogger("selfheal.healing")

_LONGEST_PLAN = 32_768


class Leave(Protocol):
    """What an action has to pass right before it runs."""

    def take_more(self, run: str, targets: list[str], /, *, destructive: bool) -> str | None:
        """Why these targets may not be touched; ``None``: they may, and are the healing's own now."""

    def spend(self) -> Refusal | None:
        """Debit one action, or refuse."""


@attrs.frozen(kw_only=True)
class StepOutcome:
    """What came of one step.

    Args:
        step: the step.
        error: why it failed; ``None`` if it did not.
        acted: whether its lever was or may have been moved.
    """

    step: Step
    error: BaseException | None = None
    acted: bool = False


class Actor:
    """Runs actions.

    Args:
        actions: by name.
        levers: of the host, by name.
        chronicle: writes each intent before it is acted on, and each outcome.
        leave: asked right before.
        runner: calls the actions' methods, each within its time.
        clock: for deadlines.
    """

    def __init__(
        self,
        *,
        actions: ActionRegistry,
        levers: Mapping[str, object],
        chronicle: Chronicle,
        leave: Leave,
        runner: ActionRunner,
        clock: Clock,
    ) -> None:
        self.actions = actions
        self.levers = levers
        self.runner = runner
        self._chronicle = chronicle
        self._leave = leave
        self._clock = clock

    def run(self, saga: Saga, spec: StepSpec, facts: RunFacts, *, cancelled: Callable[[], bool]) -> Steps[StepOutcome]:
        """Plan an action, and run it if it may.

        Raises:
            JournalError: if its intent cannot be written. It is not run then.
        """
        action = self.actions.get(spec.do)
        step = saga.add(
            Step(
                number=len(saga),
                action=spec.do,
                target=spec.target or facts.target,
                state=StepState.SKIPPED,
                effect=action.effect,
                destructive=action.destructive,
                params=dict(spec.params),
                levers=dict(spec.levers),
                undo_after=spec.undo_after,
            )
        )
        timeout = action.timeout if spec.timeout is None else spec.timeout
        try:
            call = self._call(action, step, facts, timeout, cancelled)
            plan = yield self._timed(lambda: action.plan(call), f"{spec.do}.plan", timeout)
        except Exception as error:
            return self._refuse(step, facts, f"it could not be planned: {_told(error)}", error)
        if isinstance(plan, Skip):
            self._chronicle.skipped(facts.run, step, plan.reason)
            return StepOutcome(step=step)
        try:
            step.plan = _as_data(plan)
            _check_plan(step)
        except (TypeError, ValueError) as error:
            return self._refuse(step, facts, f"its plan is not plain data: {error}", error)
        refused = self._refused(action, step, facts)
        if refused is not None:
            return self._refuse(step, facts, refused)
        if facts.dry_run:
            self._chronicle.intends(facts, step, destructive=action.destructive)
            return StepOutcome(step=step)
        step.state = StepState.INTENDED
        try:
            self._chronicle.intends(facts, step, destructive=action.destructive)
        except JournalError:
            step.state = StepState.SKIPPED  # what is not written down is not done
            raise
        call = attrs.evolve(call, deadline=self._clock.monotonic() + timeout)
        return (yield from self._do(action, call, step, facts, timeout))

    def effects(self, saga: Saga, facts: RunFacts) -> Steps[list[bool | None]]:
        """What the actions that were done say of their effects now; ``None`` where one cannot tell."""
        told: list[bool | None] = []
        for step in saga:
            if step.state is StepState.DONE:
                told += [(yield from self._effect(step, facts))]
        return told

    def _effect(self, step: Step, facts: RunFacts) -> Steps[bool | None]:
        action = self.actions.get(step.action)
        try:
            call = self._call(action, step, facts, action.timeout)
            said = yield self._timed(
                lambda: action.verify(call, step.plan, step.receipt or {}), f"{step.action}.verify", action.timeout
            )
        except Exception as error:
            logger.warning("action %s cannot tell its effect on %r: %s", step.action, step.target, _told(error))
            return None
        return None if said is None else bool(said)

    def probe(self, step: Step, facts: RunFacts) -> Steps[Probed]:
        """Whether an action that was cut off took effect."""
        try:
            action = self.actions.get(step.action)
            call = self._call(action, step, facts, action.timeout)
            said = yield self._timed(lambda: action.probe(call, step.plan), f"{step.action}.probe", action.timeout)
            return Probed(str(said))
        except Exception as error:
            logger.warning("action %s on %r cannot be probed: %s", step.action, step.target, _told(error))
            return Probed.UNKNOWN

    def undo(
        self, saga: Saga, facts: RunFacts, why: str, *, but: Callable[[Step], bool] = lambda step: False
    ) -> Steps[list[Step]]:
        """Undo what was or may have been done, the latest first, ``but`` some. Returns what could not be undone."""
        stuck = []
        for step in saga.undo_order():
            if but(step):
                continue
            undone = yield from self.undo_step(step, facts, why)
            if not undone:
                stuck.append(step)
        return stuck

    def undo_step(self, step: Step, facts: RunFacts, why: str) -> Steps[bool]:
        """Undo one action; tell whether it is undone. Undoing twice, or what never was, is harmless.

        Raises:
            JournalError: if that cannot be written. It is not undone then.
        """
        self._chronicle.undoing(facts.run, step, why)
        step.move(StepState.UNDOING)
        try:
            action = self.actions.get(step.action)
            call = self._call(action, step, facts, action.timeout)
            left = yield self._timed(
                lambda: action.rollback(call, step.plan, step.receipt), f"{step.action}.rollback", action.timeout
            )
        except Exception as error:
            step.error = _told(error)
            step.move(StepState.STUCK)
            logger.error("action %s on %r could not be undone: %s", step.action, step.target, step.error)
            self._chronicle.stuck(facts.run, step, step.error)
            return False
        self._chronicle.undone(
            facts.run, step, left if isinstance(left, str) else ""
        )  # if that fails it is undone once more: that is harmless
        step.move(StepState.UNDONE)
        return True

    def _do(self, action: Action, call: ActionCall, step: Step, facts: RunFacts, timeout: float) -> Steps[StepOutcome]:
        try:
            receipt = yield self._timed(lambda: action.run(call, step.plan), f"{step.action}.run", timeout)
        except Exception as error:
            return (yield from self._cut_off(error, step, facts))
        step.receipt = _receipt(receipt)
        step.move(StepState.DONE)
        self._chronicle.done(facts.run, step)
        return StepOutcome(step=step, acted=True)

    def _cut_off(self, error: Exception, step: Step, facts: RunFacts) -> Steps[StepOutcome]:
        """It raised, or took too long. It may have taken effect all the same: that is found out, or stays in doubt."""
        step.error = _told(error)
        probed = yield from self.probe(step, facts)
        if probed is Probed.DONE and isinstance(error, ActionTimeoutError):
            step.receipt, step.error = {"late": True}, ""
            step.move(StepState.DONE)
            self._chronicle.done(facts.run, step, recovered=True)
            return StepOutcome(step=step, acted=True)
        in_doubt = probed is not Probed.NOT_DONE
        step.move(StepState.IN_DOUBT if in_doubt else StepState.FAILED)
        self._chronicle.failed(facts.run, step, in_doubt=in_doubt)
        return StepOutcome(step=step, error=error, acted=in_doubt)

    def _refused(self, action: Action, step: Step, facts: RunFacts) -> str | None:
        """What stands against it at the last moment: a protected or taken target, or a spent budget."""
        more = step.plan.get("targets", ())
        targets = [step.target, *(str(target) for target in (more if isinstance(more, list) else ()))]
        why = self._leave.take_more(facts.run, targets, destructive=action.destructive)
        if why is not None:
            return why
        refusal = self._leave.spend()
        return None if refusal is None else refusal.reason

    def _refuse(self, step: Step, facts: RunFacts, why: str, error: BaseException | None = None) -> StepOutcome:
        """It fails without having been begun."""
        step.error = why
        step.state = StepState.FAILED
        self._chronicle.not_begun(facts.run, step)
        return StepOutcome(step=step, error=error or HealingFailedError(why))

    def _call(
        self,
        action: Action,
        step: Step,
        facts: RunFacts,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> ActionCall:
        found = {need.role: self.levers.get(step.levers.get(need.role, need.role)) for need in action.needs}
        return ActionCall(
            key=f"{facts.run}:{step.number}",
            strategy=facts.strategy,
            target=step.target,
            alert=facts.alert,
            params=structure(step.params, action.params, f"{step.action}.params"),
            levers={role: lever for role, lever in found.items() if lever is not None},
            clock=self._clock,
            deadline=self._clock.monotonic() + timeout,
            cancelled=cancelled,
        )

    def _timed(self, fn: Callable[[], object], what: str, timeout: float) -> Call:
        return Call(lambda: self.runner.run(fn, what=what, timeout=timeout), slow=True)


def _receipt(said: object) -> Mapping[str, Any]:
    """What an action says it did. One that cannot be written down was done none the less."""
    try:
        return {} if said is None else _as_data(said)
    except (TypeError, ValueError) as error:
        return {"unreadable": f"{type(said).__name__}: {error}"}


def _check_plan(step: Step) -> None:
    """A plan by which an action is undone has to be the same when another process reads it.

    Raises:
        ValueError: if the journal would cut it, or hide something in it.
    """
    if step.effect is Effect.REVERSIBLE and plain(step.plan, "plan") != step.plan:
        raise ValueError("the journal would hide or cut what it is undone by: leave secrets and long text out")
    if len(json.dumps(step.plan)) > _LONGEST_PLAN:
        raise ValueError(f"it is longer than {_LONGEST_PLAN} characters, which the journal would cut")


def _as_data(said: object) -> Mapping[str, Any]:
    """A copy, exactly as another process would read it: a plan is what it is undone by."""
    if not isinstance(said, Mapping):
        raise TypeError(f"a mapping is wanted, not {type(said).__name__}")
    data: dict[str, Any] = json.loads(json.dumps(dict(said), allow_nan=False))
    return data


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
