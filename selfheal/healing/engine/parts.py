"""What an engine is put together of, beside its healer."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from selfheal.clock import Clock
from selfheal.conditions import ConditionIndex
from selfheal.healing.actions import ActionRegistry
from selfheal.healing.engine.acting import Actor
from selfheal.healing.engine.chronicle import Chronicle, NoJournal
from selfheal.healing.engine.config import EngineConfig
from selfheal.healing.engine.executing import ActionRunner, InlineRunner, ThreadRunner
from selfheal.healing.engine.guards import PlanGuards
from selfheal.healing.engine.measuring import Measurements, OpenAlerts
from selfheal.healing.engine.releasing import Releases
from selfheal.healing.engine.triggers import Triggers
from selfheal.journal import Journal
from selfheal.policies.action_budget import ActionBudget
from selfheal.policies.approvals import Approvals
from selfheal.policies.blast_radius import BlastRadius
from selfheal.policies.grace import GracePeriodTracker
from selfheal.policies.inhibition import Inhibition
from selfheal.policies.protection import Protection
from selfheal.policies.silences import Silences


@attrs.frozen(kw_only=True)
class Policies:
    """What a host has to say about which healings may be.

    Args:
        protection: what is never touched, and what alone may be harmed. By default nothing may be harmed.
        silences: what is not answered for a while.
        inhibition: what is not answered while something else is open.
        approvals: what people are asked.
        blast_radius: how much may be unhealthy at once; by default more than half of at least three is too much.
    """

    protection: Protection = attrs.field(factory=Protection)
    silences: Silences = attrs.field(factory=Silences)
    inhibition: Inhibition = attrs.field(factory=Inhibition)
    approvals: Approvals = attrs.field(factory=Approvals)
    blast_radius: BlastRadius | None = attrs.field(factory=BlastRadius)


@attrs.frozen(kw_only=True)
class Parts:
    """The parts, each knowing the others it needs."""

    clock: Clock
    chronicle: Chronicle
    measurements: Measurements
    triggers: Triggers
    guards: PlanGuards
    runner: ActionRunner
    actor: Actor
    releases: Releases

    @classmethod
    def put_together(
        cls,
        *,
        config: EngineConfig,
        policies: Policies,
        actions: ActionRegistry,
        levers: Mapping[str, object],
        journal: Journal | None,
        clock: Clock,
        alert_ttl: float,
        inline_actions: bool,
    ) -> Parts:
        """Make all of them."""
        chronicle = Chronicle(NoJournal() if journal is None else journal)
        alerts = OpenAlerts(clock, ttl=alert_ttl)
        index = ConditionIndex(config.stale_after, config.samples_kept, config.series_limit)
        triggers = Triggers(clock, index)
        guards = PlanGuards(
            actions=actions,
            journal=chronicle.journal,
            clock=clock,
            protection=policies.protection,
            silences=policies.silences,
            inhibition=policies.inhibition,
            blast_radius=policies.blast_radius,
            approvals=policies.approvals,
            grace=GracePeriodTracker(),
            budget=ActionBudget(config.actions_per_hour),
            open_alerts=alerts.all,
            known_targets=triggers.targets,
        )
        runner: ActionRunner = InlineRunner(clock) if inline_actions else ThreadRunner()
        actor = Actor(actions=actions, levers=levers, chronicle=chronicle, leave=guards, runner=runner, clock=clock)
        return cls(
            clock=clock,
            chronicle=chronicle,
            measurements=Measurements(triggers, alerts),
            triggers=triggers,
            guards=guards,
            runner=runner,
            actor=actor,
            releases=Releases(actor, guards, chronicle, clock),
        )
