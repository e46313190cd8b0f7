"""The engine's own guards of a healing, beside those of its healer: one lock around pure policies."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from selfheal.clock import Clock
from selfheal.events import Alert
from selfheal.forking import track
from selfheal.healing.actions import ActionRegistry
from selfheal.healing.actions.protocol import asks
from selfheal.healing.engine.adapting import spec_of, targets_of
from selfheal.healing.engine.chronicle import Journalling
from selfheal.healing.engine.reading import Past
from selfheal.healing.gate import Reserved
from selfheal.healing.machine import Refused
from selfheal.healing.records import GuardName, Lane
from selfheal.healing.strategies.specs import LevelSpec, StrategySpec
from selfheal.healing.strategy import Strategy
from selfheal.policies.action_budget import ActionBudget
from selfheal.policies.approvals import Approval, Approvals, ApprovalState
from selfheal.policies.blast_radius import BlastRadius
from selfheal.policies.grace import GracePeriodTracker
from selfheal.policies.inhibition import Inhibition
from selfheal.policies.protection import Protection
from selfheal.policies.refusal import Refusal
from selfheal.policies.silences import EndedSilence, Silence, Silences
from selfheal.policies.target_holds import TargetHolds
from selfheal.policies.target_locks import TargetLocks

_PACED = {"grace": GuardName.GRACE, "hourly": GuardName.STRATEGY_BUDGET, "full": GuardName.GRACE}


class PlanGuards:
    """What a healing has to pass, and has for itself while it goes on.

    Args:
        actions: tell what is destructive.
        journal: healing belongs to the process that writes it.
        clock: for all times.
        protection: what is never touched, and what may be harmed.
        silences: what is not to be answered for a while.
        inhibition: what is not to be answered while something else is open.
        blast_radius: how much may be unhealthy at once; ``None``: any number.
        approvals: what people were asked, and said.
        grace: which strategy was used where, and when.
        budget: of actions.
        open_alerts: all that are open.
        known_targets: all there are.
    """

    def __init__(
        self,
        *,
        actions: ActionRegistry,
        journal: Journalling,
        clock: Clock,
        protection: Protection,
        silences: Silences,
        inhibition: Inhibition,
        blast_radius: BlastRadius | None,
        approvals: Approvals,
        grace: GracePeriodTracker,
        budget: ActionBudget,
        open_alerts: Callable[[], Collection[Alert]],
        known_targets: Callable[[], Collection[str]],
    ) -> None:
        self.protection = protection
        self.silences = silences
        self.inhibition = inhibition
        self.blast_radius = blast_radius
        self.approvals = approvals
        self.grace = grace
        self.budget = budget
        self.holds = TargetHolds()
        self.locks = TargetLocks()
        self._actions = actions
        self._journal = journal
        self._clock = clock
        self._open_alerts = open_alerts
        self._known_targets = known_targets
        self._lock = threading.RLock()
        self._runs: dict[str, str] = {}
        self.loaded = True
        track(self, PlanGuards._in_child)

    def standing(self) -> Refused | None:
        """Another process heals, as long as it writes the journal."""
        if self._journal.writing:
            return None if self.loaded else Refused(GuardName.OBSERVING, "the journal has not been read yet")
        return Refused(GuardName.OBSERVING, "another process writes the journal, and heals; this one observes")

    def before_breaker(self, lane: Lane, alert: Alert, strategy: Strategy) -> Iterator[Refused]:
        """Protection, silences, inhibition and approval, in this order."""
        if lane is Lane.HEALING:
            yield from filter(None, (self._protected(alert, spec_of(strategy)),))
            yield from filter(None, (self._silenced(alert, strategy),))
            yield from filter(None, (self._inhibited(alert),))
            yield from filter(None, (self._unapproved(alert, strategy),))

    def reserve(self, lane: Lane, alert: Alert, strategy: Strategy, *, take: bool = True) -> Reserved:
        """Take the target locks; tell what grace period, budgets, blast radius, held targets and locks say."""
        if lane is not Lane.HEALING:
            return Reserved()
        spec = spec_of(strategy)
        targets = targets_of(spec, alert)
        run = uuid.uuid4().hex
        with self._lock:
            paced = None if spec is None else self._paced(spec, alert)
            asked = (self._spent(spec), self._spread(alert), self._held(targets), self._locked(targets, run))
            placed = [refused for refused in asked if refused is not None]
            taken = take and not placed
            if taken:
                self.locks.acquire(targets, run)
        return Reserved(
            paced=() if paced is None else (paced,),
            placed=placed,
            release=lambda: self._release(run, alert) if taken else None,
            begun=lambda: self._begun(run, alert, spec),
        )

    def run_of(self, alert: Alert) -> str:
        """Id of the healing of this alert that is under way."""
        with self._lock:
            return self._runs[alert.fingerprint]

    def spend(self) -> Refusal | None:
        """Debit one action."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            if self.budget.spend(wall, now=now):
                return None
            return self.budget.check(wall, now=now)

    def take_more(self, run: str, targets: Iterable[str], *, destructive: bool) -> str | None:
        """Just before an action: what stands against it touching these targets; else they are the healing's own."""
        wanted = sorted(set(targets))
        for target in wanted:
            refused = self.protection.check(target, destructive)
            if refused is not None:
                return refused
        with self._lock:
            held = self._held(wanted)
            if held is not None:
                return held.reason
            if self.locks.acquire(wanted, run):
                return None
            return f"another healing has {', '.join(map(repr, self.locks.blockers(wanted, run)))}"

    def protects(self, level: LevelSpec, alert: Alert) -> str | None:
        """Why an action of a level may not touch its target; ``None`` if all may."""
        for step in level.actions:
            destructive = self._actions.get(step.do).destructive
            refused = self.protection.check(step.target or alert.target, destructive)
            if refused is not None:
                return f"{step.do}: {refused}"
        return None

    def asks(self, level: LevelSpec) -> bool:
        """Whether an action of a level may never run without a person's approval."""
        return any(asks(self._actions.get(step.do)) for step in level.actions)

    def approval(self, spec: StrategySpec, alert: Alert, level: LevelSpec, run: str) -> tuple[Approval, bool]:
        """The approval of a level, and whether it was asked for just now: nobody was asked before.

        Raises:
            GuardFullError: if too many are open.
        """
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            about = (spec.name, alert.target, level.level.value)
            new = self.approvals.find(*about, wall, now=now) is None
            why = f"{spec.name} on {alert.target!r}: {', '.join(step.do for step in level.actions)}"
            return self.approvals.request(*about, wall, run=run, why=why, now=now), new

    def use(self, approval: Approval) -> bool:
        """Spend an approval."""
        with self._lock:
            return self.approvals.use(approval.id, self._clock.wall(), now=self._clock.monotonic())

    def approved(self, strategy: str, target: str) -> Approval | None:
        """What a person approved and no healing has used yet."""
        with self._lock:
            return next(self._approvals(strategy, target, ApprovalState.APPROVED), None)

    def hold(self, target: str, reason: str, at: float, *, run: str = "", step: int = 0) -> None:
        """Leave a target alone until a person has looked at it."""
        with self._lock:
            self.holds.hold(target, reason, at, run=run, step=step)

    def unhold(self, target: str, *, by: str, reason: str) -> list[str]:
        """A person has looked at a target, or with ``*`` at all: they may be touched again. Tell which."""
        with self._lock:
            if target == "*":
                return [held.target for held in self.holds.release_all(by=by, reason=reason)]
            return [self.holds.release(target, by=by, reason=reason).target]

    def decide(self, id: str, state: ApprovalState, *, by: str, reason: str) -> Approval:
        """A person approved or denied a level."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            decide = self.approvals.approve if state is ApprovalState.APPROVED else self.approvals.deny
            return decide(id, wall, by=by, reason=reason, now=now)

    def silence(self, match: Mapping[str, Any], *, duration: float, by: str, reason: str) -> Silence:
        """Have alerts not answered for a while."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            return self.silences.add(match, wall, duration=duration, by=by, reason=reason, now=now)

    def unsilence(self, id: str, *, by: str, reason: str) -> Silence:
        """End a silence before its time."""
        with self._lock:
            return self.silences.end(id, self._clock.wall(), by=by, reason=reason, now=self._clock.monotonic())

    def expire(self) -> tuple[tuple[EndedSilence, ...], tuple[Approval, ...]]:
        """Silences and approvals whose time is over since the last call."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            return self.silences.expire(wall, now=now), self.approvals.expire(wall, now=now)

    def restore(self, past: Past) -> None:
        """Take over what a process before this one had counted, held and been told."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            self.grace.restore(past.begun, wall, now=now)
            self.budget.restore(past.acted, wall, now=now)
            self.holds.restore(past.held.values())
            self.approvals.restore(past.approvals.values(), wall, now=now)
            self.silences.restore(past.silences.values(), wall, now=now)
            for trace in past.runs.values():
                if trace.ended is None:
                    self.locks.acquire(trace.targets, trace.facts.run)

    def seen(self) -> dict[str, Any]:
        """What there is to see of it, by the names of :class:`~selfheal.healing.engine.config.EngineSnapshot`."""
        with self._lock:
            wall, now = self._clock.wall(), self._clock.monotonic()
            return {
                "under_way": self.locks.holders,
                "actions_last_hour": self.budget.snapshot(wall, now=now).spent,
                "held": self.holds.snapshot(),
                "approvals": self.approvals.snapshot(wall, now=now).open,
                "silences": self.silences.snapshot(wall, now=now).active,
            }

    def let_go(self, run: str) -> None:
        """Give back what was taken beside a healing."""
        with self._lock:
            self.locks.release(run)

    def _protected(self, alert: Alert, spec: StrategySpec | None) -> Refused | None:
        why = self.protection.check(alert.target, False)
        if why is None and spec is not None:
            why = self.protects(spec.levels[0], alert)
        return None if why is None else Refused(GuardName.PROTECTED, why)

    def _silenced(self, alert: Alert, strategy: Strategy) -> Refused | None:
        with self._lock:
            wall = self._clock.wall()
            silence = self.silences.matches(alert, strategy.name, wall, now=self._clock.monotonic())
        if silence is None:
            return None
        return Refused(
            GuardName.SILENCED, f"silenced by {silence.by}: {silence.reason}", max(0.0, silence.ends_at - wall)
        )

    def _inhibited(self, alert: Alert) -> Refused | None:
        why = self.inhibition.check(alert, self._open_alerts()) if self.inhibition.rules else None
        return None if why is None else Refused(GuardName.INHIBITED, why)

    def _unapproved(self, alert: Alert, strategy: Strategy) -> Refused | None:
        with self._lock:
            wall = self._clock.wall()
            asked = next(
                self._approvals(strategy.name, alert.target, ApprovalState.PENDING, ApprovalState.DENIED), None
            )
        if asked is None:
            return None
        if asked.state is ApprovalState.DENIED:
            why = f"level {asked.level} was denied by {asked.by}: {asked.reason}"
        else:
            why = f"level {asked.level} waits for a person: approve({asked.id!r}, by=…, reason=…)"
        return Refused(GuardName.APPROVAL, why, max(0.0, asked.expires_at - wall))

    def _approvals(self, strategy: str, target: str, *states: ApprovalState) -> Iterator[Approval]:
        found = self.approvals.snapshot(self._clock.wall(), now=self._clock.monotonic()).open
        return (one for one in found if (one.strategy, one.target) == (strategy, target) and one.state in states)

    def _paced(self, spec: StrategySpec, alert: Alert) -> Refused | None:
        """Grace period and hourly budget. A level that a person approved waits for the second alone."""
        approved = self.approved(spec.name, alert.target) is not None
        refusal = self.grace.check(
            spec.name,
            alert.target,
            self._clock.wall(),
            grace_period=0.0 if approved else spec.grace_period,
            max_per_hour=spec.max_attempts_per_hour,
            now=self._clock.monotonic(),
        )
        return None if refusal is None else Refused(_PACED[refusal.kind], refusal.reason, refusal.retry_in)

    def _spent(self, spec: StrategySpec | None) -> Refused | None:
        if spec is None:
            return None
        wall, now = self._clock.wall(), self._clock.monotonic()
        refusal = self.budget.check(wall, len(spec.levels[0].actions), now=now)
        if refusal is None:
            return None
        nothing_left = self.budget.check(wall, now=now) is not None  # else it is too little for this one alone
        guard = GuardName.BUDGET if nothing_left else GuardName.STRATEGY_BUDGET
        return Refused(guard, refusal.reason, refusal.retry_in)

    def _spread(self, alert: Alert) -> Refused | None:
        if self.blast_radius is None:
            return None
        ill = {alert.target, *(one.target for one in self._open_alerts())}
        why = self.blast_radius.check(ill, self._known_targets(), self.locks.holders)
        return None if why is None else Refused(GuardName.BLAST_RADIUS, why)

    def _held(self, targets: Iterable[str]) -> Refused | None:
        why = next(filter(None, map(self.holds.check, targets)), None)
        return None if why is None else Refused(GuardName.HELD, why)

    def _locked(self, targets: Iterable[str], run: str) -> Refused | None:
        blockers = self.locks.blockers(targets, run)
        if not blockers:
            return None
        return Refused(GuardName.LOCKED, f"another healing has {', '.join(map(repr, blockers))}")

    def _begun(self, run: str, alert: Alert, spec: StrategySpec | None) -> None:
        with self._lock:
            self._runs[alert.fingerprint] = run
            if spec is not None:
                self.grace.begin(spec.name, alert.target, self._clock.wall(), now=self._clock.monotonic())

    def _release(self, run: str, alert: Alert) -> None:
        with self._lock:
            self.locks.release(run)
            if self._runs.get(alert.fingerprint) == run:
                del self._runs[alert.fingerprint]

    def _in_child(self) -> None:
        """What holds the locks is in the parent."""
        self._lock = threading.RLock()
        self.locks.clear()
        self._runs.clear()
