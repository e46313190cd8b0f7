"""One healing, from its first action to its verdict. Written once, as steps; whoever drives it decides how it waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from selfheal.clock import Clock
from selfheal.conditions import describe
from selfheal.errors import HealingFailedError, HealingInterruptedError
from selfheal.events import Alert
from selfheal.healing.driving import Steps, Wait
from selfheal.healing.engine.acting import Actor, StepOutcome
from selfheal.healing.engine.chronicle import Chronicle, RunFacts
from selfheal.healing.engine.guards import PlanGuards
from selfheal.healing.engine.measuring import Measurements
from selfheal.healing.engine.reading import Trace
from selfheal.healing.engine.saga import Saga, Step, StepState
from selfheal.healing.engine.verdicts import Judgement, Verdict, judge_effects
from selfheal.healing.records import GuardName, HealingResult, Outcome
from selfheal.healing.strategies.specs import Level, LevelSpec, OnFailure, StrategySpec, VerifyBy
from selfheal.healing.strategy import HealingContext
from selfheal.policies.approvals import Approval, ApprovalState


@attrs.frozen(kw_only=True)
class Told:
    """Something that people are told, and the engine acts on.

    Args:
        title: in a few words.
        body: what happened, and what to do.
        dormant: whether all healing has to stop.
        labels: further facts.
    """

    title: str
    body: str
    dormant: bool = False
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Desk:
    """Everything that a healing works with.

    Args:
        chronicle: writes it down.
        guards: what it has to pass.
        actor: runs actions.
        measurements: tell whether the problem goes on.
        clock: for all times.
        tell: tells people.
        acted: told after each action on a target, how long it settles.
        approval_asked: told when a person has to approve a level.
        ended: told what is to be undone later.
        left_open: told of a healing that was broken off, and is to be ended when that can be written down.
        dry_run: nothing is touched.
        auto_critical: critical levels need nobody's approval.
    """

    chronicle: Chronicle
    guards: PlanGuards
    actor: Actor
    measurements: Measurements
    clock: Clock
    tell: Callable[[Told], None]
    acted: Callable[[str, float], None]
    approval_asked: Callable[[Approval], None]
    ended: Callable[[RunFacts, Saga], None]
    left_open: Callable[[Trace], None]
    dry_run: bool = False
    auto_critical: bool = False


class HealingRun:
    """One healing of one alert by one strategy.

    Args:
        desk: what it works with.
        spec: the strategy.
        alert: what is answered.
        context: tells when to stop.
        run: its id, which holds the locks.
        trigger: what set it off.
    """

    def __init__(
        self, desk: Desk, spec: StrategySpec, alert: Alert, context: HealingContext, run: str, trigger: str = "alert"
    ) -> None:
        self.spec = spec
        self.saga = Saga()
        self.facts = RunFacts(run=run, strategy=spec.name, target=alert.target, alert=alert, dry_run=desk.dry_run)
        self._desk = desk
        self._context = context
        self._trigger = trigger
        self._began = desk.clock.monotonic()
        self._trace = Trace(
            facts=self.facts,
            saga=self.saga,
            began=desk.clock.wall(),
            rollback=spec.rollback,
            cut_off="it was broken off",
        )
        self._written = False
        self._total = 0
        self._judgement: Judgement | None = None

    def steps(self) -> Steps[HealingResult]:
        """Do it; the result says whether the problem is gone."""
        levels, approval = self._from_approved()
        self._total = sum(len(level.actions) for level in levels)
        try:
            self._desk.chronicle.started(
                self.facts, levels[0].level.value, self._total, self._trigger, rollback=self.spec.rollback
            )
            self._written = True
            if approval is not None and not self._use(approval):
                approval = None
            result = yield from self._levels(levels, approval)
        except HealingInterruptedError as stop:
            self._finish(Outcome.INTERRUPTED, stop.reason, guard=stop.guard)
            raise
        except Exception as error:  # above all: the journal cannot be written, so that nothing may be done
            return self._broken(error)
        self._finish(_outcome(result), result.reason, guard=result.interrupted_by or "")
        if not (result.success or result.planned or result.interrupted_by):
            self._desk.tell(self._gave_up(result))
        return attrs.evolve(result, details=self._details())

    def _from_approved(self) -> tuple[tuple[LevelSpec, ...], Approval | None]:
        """The levels to go through: from one that a person approved, else from the first."""
        approval = self._desk.guards.approved(self.spec.name, self.facts.target)
        if approval is not None:
            for index, level in enumerate(self.spec.levels):
                if level.level.value == approval.level:
                    return self.spec.levels[index:], approval
        return self.spec.levels, None

    def _levels(self, levels: tuple[LevelSpec, ...], approval: Approval | None) -> Steps[HealingResult]:
        last = "no level could be entered"
        for index, level in enumerate(levels):
            self._context.checkpoint()
            why_not = self._not_entered(level)
            if why_not is not None:
                last = f"level {level.level} was not entered: {why_not}"
                continue
            approved = approval is not None and index == 0
            ended = None if approved else self._unapproved(level)
            if ended is None:
                ended, last = yield from self._level(level)
            if ended is not None:
                return ended
        if self._desk.dry_run:
            return HealingResult(success=False, planned=True, reason=f"dry run: {len(self.saga)} actions planned")
        return _failed(f"not fixed: {last}")

    def _level(self, level: LevelSpec) -> Steps[tuple[HealingResult | None, str]]:
        """Act, let things settle, measure. A result if the healing ends with this level, and what it brought."""
        self._desk.chronicle.level(self.facts, level.level.value, len(self.saga))
        before = self._desk.measurements.before(self.spec, self.facts.alert)
        failed = yield from self._act(level)
        if failed is not None or self._desk.dry_run:
            return failed, ""
        judgement = yield from self._judge(level, before)
        said = f"{judgement.verdict} after level {level.level}: {_said(judgement)}"
        if judgement.verdict is Verdict.FIXED:
            return HealingResult(success=True, reason=f"verified after level {level.level}: {_said(judgement)}"), said
        if judgement.verdict is Verdict.WORSE:
            return (yield from self._undo_all(f"things got worse: {_said(judgement)}")), said
        if judgement.verdict is Verdict.UNKNOWN:  # nobody can see what a stronger measure would do
            return _failed(f"not verified: {said}"), said
        return None, said

    def _not_entered(self, level: LevelSpec) -> str | None:
        alert = self.facts.alert
        if level.when is not None and self._desk.measurements.holds(level.when, alert) is not True:
            return f"{describe(level.when)} does not hold"
        return self._desk.guards.protects(level, alert)

    def _asks(self, level: LevelSpec) -> bool:
        if self._desk.dry_run:
            return False
        if self._desk.guards.asks(level):
            return True
        if level.approval is not None:
            return level.approval
        return level.level is Level.CRITICAL and not self._desk.auto_critical

    def _unapproved(self, level: LevelSpec) -> HealingResult | None:
        """A result if a person has to approve this level, and has not."""
        if not self._asks(level):
            return None
        asked, new = self._desk.guards.approval(self.spec, self.facts.alert, level, self.facts.run)
        if asked.state is ApprovalState.APPROVED and self._use(asked):
            return None
        if new:
            self._desk.approval_asked(asked)
        why = f"level {asked.level} waits for a person: approve({asked.id!r}, by=…, reason=…)"
        return HealingResult(success=False, reason=why, interrupted_by=GuardName.APPROVAL)

    def _use(self, approval: Approval) -> bool:
        """Spend an approval. It is written down before anything is done: good for one healing, also after a crash."""
        if not self._desk.guards.use(approval):
            return False
        used = attrs.evolve(approval, state=ApprovalState.USED)
        self._desk.chronicle.note("approval", sync=True, approval=used.as_data())
        return True

    def _act(self, level: LevelSpec) -> Steps[HealingResult | None]:
        """Run the actions of a level; a result if the healing ends with one of them."""
        for step_spec in level.actions:
            self._context.checkpoint()
            outcome: StepOutcome = yield from self._desk.actor.run(
                self.saga, step_spec, self.facts, cancelled=lambda: self._context.stopped
            )
            if outcome.acted:
                self._desk.acted(outcome.step.target, self._settle_of(level))
            self._context.checkpoint()
            if outcome.error is None or step_spec.on_failure is OnFailure.CONTINUE:
                continue
            why = f"{outcome.step.action} failed: {outcome.step.error}"
            if step_spec.on_failure is OnFailure.ROLLBACK and self.spec.rollback:
                return (yield from self._undo_all(why, outcome.error))
            return _failed(why, outcome.error)
        return None

    def _settle_of(self, level: LevelSpec) -> float:
        return self.spec.settle if level.settle is None else level.settle

    def _judge(self, level: LevelSpec, before: float | None) -> Steps[Judgement]:
        """Let things settle, then see whether the problem is gone, until it is or the time for that is over."""
        since = self._desk.clock.monotonic()
        settle = self._settle_of(level)
        if settle > 0:
            yield Wait(settle)
            self._context.checkpoint()

        def look() -> Judgement:
            return self._desk.measurements.judge(self.spec, self.facts.alert, since, before)

        by = self.spec.verify.by
        if by is VerifyBy.ACTIONS:
            judgement = judge_effects((yield from self._desk.actor.effects(self.saga, self.facts)))
        else:
            yield Wait(self.spec.verify.within, until=lambda: look().verdict is Verdict.FIXED)
            self._context.checkpoint()
            judgement = look()
        self._judgement = judgement
        facts = attrs.asdict(judgement, filter=lambda field, _: field.name != "verdict")
        self._desk.chronicle.verified(self.facts.run, level.level.value, judgement.verdict.value, facts)
        return judgement

    def _undo_all(self, why: str, error: BaseException | None = None) -> Steps[HealingResult]:
        """Put back what can be, the latest first. What cannot stops all healing; the first error stays the reason."""
        if not self.spec.rollback:
            return _failed(why, error)
        stuck: list[Step] = yield from self._desk.actor.undo(self.saga, self.facts, why)
        undone = sum(step.state is StepState.UNDONE for step in self.saga)
        if not stuck:
            return _failed(f"{why}; {undone} actions were undone", error)
        named = ", ".join(f"{step.action} on {step.target!r}: {step.error}" for step in stuck)
        told = f"{why}; and what was done could not be undone: {named}"
        self._hold([step.target for step in stuck], stuck[0].number, f"not undone: {named}")
        self._desk.tell(Told(title=f"{self.spec.name}: rollback failed", body=told, dormant=True))
        return _failed(told, error)

    def _hold(self, targets: Iterable[str], step: int, why: str) -> None:
        for target in targets:
            self._desk.guards.hold(target, why, self._desk.clock.wall(), run=self.facts.run, step=step)
            self._desk.chronicle.held(target, self.facts.run, step, why)

    def _broken(self, error: Exception) -> HealingResult:
        """Something of ours failed in the middle. Nothing more is done; a target that was touched is left alone.

        Once it can be written down and a person has resumed, it is ended like one whose process died.
        """
        reason = f"broken off: {error}"
        touched = {step.target for step in self.saga if step.state is not StepState.SKIPPED}
        for target in touched:
            wall = self._desk.clock.wall()
            self._desk.guards.hold(target, reason, wall, run=self.facts.run, step=len(self.saga) - 1)
        self._desk.tell(Told(title=f"{self.spec.name}: healing broken off", body=reason, dormant=bool(touched)))
        if self._written and not self.facts.dry_run:
            self._desk.left_open(attrs.evolve(self._trace, total=self._total))
        return _failed(reason, error)

    def _finish(self, outcome: Outcome, reason: str, *, guard: str) -> None:
        duration = self._desk.clock.monotonic() - self._began
        try:
            self._desk.chronicle.finished(
                self.facts,
                self.saga,
                self._total,
                outcome=outcome.value,
                guard=guard,
                reason=reason,
                duration=duration,
            )
        finally:  # what is in force is undone in its time, whether the last word could be written or not
            self._desk.ended(self.facts, self.saga)

    def _gave_up(self, result: HealingResult) -> Told:
        alert = self.facts.alert
        shown = f" ({alert.metric} is {alert.value:g})" if alert.metric and math.isfinite(alert.value) else ""
        return Told(
            title=f"{self.spec.name}: {alert.target or 'the host'} is not healed",
            body=f"{alert.message or alert.kind}{shown}. {result.reason}. A person has to look at it.",
            labels={"strategy": self.spec.name, "target": alert.target, "run": self.facts.run},
        )

    def _details(self) -> dict[str, Any]:
        judged = self._judgement
        return {
            "run": self.facts.run,
            "actions_executed": 0 if self.facts.dry_run else self.saga.executed,
            "actions_total": self._total,
            "actions": self.saga.told(),
            "verdict": Verdict.UNKNOWN.value if judged is None else judged.verdict.value,
            "before": None if judged is None else judged.before,
            "after": None if judged is None else judged.after,
        }


def _outcome(result: HealingResult) -> Outcome:
    if result.success:
        return Outcome.HEALED
    if result.planned:
        return Outcome.PLANNED
    return Outcome.INTERRUPTED if result.interrupted_by else Outcome.FAILED


def _failed(why: str, error: BaseException | None = None) -> HealingResult:
    return HealingResult(success=False, reason=why, error=error or HealingFailedError(why))


def _said(judgement: Judgement) -> str:
    if judgement.by != "condition":
        return f"told by the {judgement.by}"
    if judgement.after is None:
        return f"{judgement.samples} new samples of {judgement.metric or 'its metrics'} are too few"
    before = "unknown" if judgement.before is None else f"{judgement.before:g}"
    return f"{judgement.metric} went from {before} to {judgement.after:g} ({judgement.samples} new samples)"
