"""Strategies put to work: samples and alerts in, healings out, everything written down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Unpack

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import InvalidConfigError
from selfheal.events import DEFAULT_BUS, Alert, EventBus, Subscription
from selfheal.healing.action_queue import QueuedAction
from selfheal.healing.actions import ActionRegistry, builtin_actions
from selfheal.healing.driving import adrive, drive
from selfheal.healing.engine.config import EngineOptions, EngineSnapshot, Mode, mode_of, parted, section_of
from selfheal.healing.engine.explaining import Explanation, explained
from selfheal.healing.engine.loop import AlertSource, Loop
from selfheal.healing.engine.parts import Parts, Policies
from selfheal.healing.engine.people import People
from selfheal.healing.engine.recovering import RecoveryReport
from selfheal.healing.engine.repertoire import Repertoire
from selfheal.healing.engine.restoring import Restorer
from selfheal.healing.engine.run import Desk
from selfheal.healing.healer import Healer
from selfheal.healing.machine import HealerConfig
from selfheal.healing.records import HealingRecord
from selfheal.healing.strategies import StrategySet
from selfheal.healing.strategies.watching import StrategyFile
from selfheal.healing.strategy import IntervalRegistry, Strategy
from selfheal.journal import Journal
from selfheal.policies.approvals import Approval
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker import CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import FeatureFlags
from selfheal.policies.silences import Silence

logger = logging.getLogger("selfheal.healing")

_NO_LABELS: Mapping[str, str] = {}


class StrategyEngine:
    """Heals by strategies: watches their triggers, runs their actions, verifies, undoes, and writes it all down.

    It has a :class:`~selfheal.healing.Healer` inside, whose guards, limits and dormancy hold for it. At most
    ``actions_per_hour`` actions begin in any hour, whatever happens, and each of them is undone at most once.

    Args:
        strategies: what to do about what; a file is looked at at each :meth:`run_once`, and taken anew when it changed.
        levers: what the host lets actions pull, by name.
        actions: by default those that ship.
        journal: where everything is written before it is done; without one, nothing is known after a restart.
        flags: as of the :class:`~selfheal.healing.Healer`; so are dormancy, breaker, backoff and preventive.
        policies: what is protected, silenced, inhibited, to be approved, and how far trouble may spread. By default
            nothing may be harmed: no destructive action runs.
        host_strategies: strategies of the host's own making, asked after the others.
        sources: looked at for alerts at each :meth:`run_once`, such as an :class:`~selfheal.healing.AlertFile`.
        mode: ``"live"``, or ``"dry_run"``: everything is decided and nothing touched.
        clock: for all times.
        events: where alerts and everything else is published.
        inline_actions: run actions in the calling thread, without giving them up: for simulations.
        options: fields of :class:`EngineConfig` and of :class:`~selfheal.healing.HealerConfig`.

    Raises:
        InvalidConfigError: if a strategy names an action or a lever that is not there, or harms what is protected.
        ConfigError: if an option is out of range.
    """

    def __init__(
        self,
        strategies: StrategySet | StrategyFile,
        *,
        levers: Mapping[str, object],
        actions: ActionRegistry | None = None,
        journal: Journal | None = None,
        flags: FeatureFlags | None = None,
        dormancy: DormantController | None = None,
        breaker: CircuitBreaker | None = None,
        backoff: ExponentialBackoff | None = None,
        preventive: Callable[..., object] | None = None,
        policies: Policies | None = None,
        host_strategies: Iterable[Strategy] = (),
        sources: Iterable[AlertSource] = (),
        mode: Mode | str = Mode.LIVE,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        inline_actions: bool = False,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.config, given = parted(options)
        self.mode = mode_of(mode)
        self._dry = self.mode is Mode.DRY_RUN
        self.actions = builtin_actions() if actions is None else actions
        self.policies = Policies() if policies is None else policies
        self.levers, self.journal, self._clock = levers, journal, clock
        self._file = strategies if isinstance(strategies, StrategyFile) else None
        first = strategies.strategies if isinstance(strategies, StrategyFile) else strategies
        self.strategies = first.checked(self.actions, levers, self.policies.protection)
        self._repertoire = Repertoire(lambda: self._desk, host_strategies, dry_run=self._dry)
        self._parts = self._make_parts(HealerConfig(**given).alert_ttl, inline_actions)
        self.healer = Healer(
            self._repertoire.all(self.strategies),
            flags=flags,
            dormancy=dormancy,
            breaker=breaker,
            backoff=backoff,
            preventive=self._repertoire.preventive(preventive),
            clock=clock,
            events=events,
            gate=self._parts.guards,
            on_record=lambda record: self._loop.recorded(record),
            **given,
        )
        self.people = People(self._parts, levers, self.healer.dormancy, events)
        self._restorer = Restorer(journal, self._parts, self.healer, self.people, dry_run=self._dry)
        self._desk = self._make_desk()
        self._loop = self._make_loop(events, sources)
        self._parts.triggers.use(self.strategies)

    def __repr__(self) -> str:
        return f"<StrategyEngine {self.mode}, {len(self.strategies)} strategies>"

    @property
    def max_actions_per_hour(self) -> int:
        """Actions that can begin in any 3600 s. Each is undone at most once, which is not counted."""
        return self.config.actions_per_hour

    @property
    def history(self) -> tuple[HealingRecord, ...]:
        """The latest records of the healer, oldest first."""
        return self.healer.history

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        """The alerts that are open: of its triggers, and of others."""
        return tuple(self._parts.measurements.alerts.all())

    def observe(self, metric: str, value: float, target: str = "", labels: Mapping[str, str] | None = None) -> None:
        """Take in a sample: it moves the triggers, and tells whether a healing helped.

        Args:
            metric: its name, as strategies use it.
            value: a number; one that is not finite tells that nothing is known.
            target: what it was measured of; empty: the host as a whole, which stands in for targets without one.
            labels: of the alert that it may raise.
        """
        self._loop.observe(metric, value, target, labels or _NO_LABELS)

    def submit(self, alert: Alert) -> bool:
        """Take in an alert of others; tell whether it waits to be answered."""
        return self._loop.submit(alert)

    def clear(self, fingerprint: str) -> bool:
        """A problem is gone; tell whether its alert was open."""
        return self._loop.clear(fingerprint)

    def subscribe(self, *, immediately: bool = False) -> Subscription:
        """Take alerts of others from the event bus. See :meth:`selfheal.healing.Healer.subscribe`."""
        self._loop.listen()
        return self.healer.subscribe(immediately=immediately)

    def register(
        self,
        registry: IntervalRegistry,
        *,
        every: float = 1.0,
        preventive_every: float = 600.0,
        owner: str | None = None,
    ) -> tuple[str, ...]:
        """Register the healing task (continuous mode) and, where there is one, the preventive one."""
        return self.healer.register(
            registry,
            every=every,
            preventive_every=preventive_every,
            owner=owner,
            run_once=self.run_once,
            arun_once=self.arun_once,
        )

    def run_once(self) -> list[HealingRecord]:
        """Do what is due and return: triggers, scheduled healings, measures to be undone, healings that wait, alerts.

        Letting things settle and verifying takes several calls: none of them waits.
        """
        drive(self._loop.prepare(), self._clock)
        return self._loop.answered(self.healer.run_once())

    async def arun_once(self) -> list[HealingRecord]:
        """:meth:`run_once` in an event loop."""
        await adrive(self._loop.prepare(), self._clock)
        return self._loop.answered(await self.healer.arun_once())

    def handle(self, alert: Alert) -> HealingRecord:
        """Answer one alert now, if the guards let it, and wait for its verdict."""
        drive(self._loop.prepare(), self._clock)
        self._parts.measurements.alerts.raised(alert)
        return self.healer.handle(alert)

    async def ahandle(self, alert: Alert) -> HealingRecord:
        """:meth:`handle` in an event loop."""
        await adrive(self._loop.prepare(), self._clock)
        self._parts.measurements.alerts.raised(alert)
        return await self.healer.ahandle(alert)

    def schedule(self, strategy: str, target: str = "", *, after: float = 0.0, priority: int = 0) -> None:
        """Have a strategy heal a target later, or at the next :meth:`run_once`, under all guards.

        One that a guard refuses is put off until the guard may let it pass, a minute where that cannot be told, and
        given up an hour after its first moment.

        Args:
            strategy: its name.
            target: what to heal.
            after: seconds from now.
            priority: of those that are due, which comes first: 0 to 9, the highest.

        Raises:
            NotFoundError: if there is no such strategy.
            QueueFullError: if as many wait as may: 100.
        """
        spec = self.strategies.get(strategy)
        kind = spec.name if spec.trigger is not None else spec.alerts[0]
        alert = Alert(kind=kind, target=target, at=self._clock.wall(), message=f"{strategy} was scheduled")
        self._loop.schedule.add(alert, strategy, after=after, priority=priority)

    @property
    def scheduled(self) -> tuple[QueuedAction[Alert], ...]:
        """What was scheduled and is not done: when it is due, how often it was put off, and why."""
        return self._loop.schedule.items()

    def unschedule(self, strategy: str, target: str = "") -> bool:
        """Take back what was scheduled; tell whether it waited."""
        return self._loop.schedule.cancel(strategy, target)

    def explain(self, strategy: str, target: str = "") -> Explanation:
        """Why a strategy does not heal a target now, or that it would. ``NotFoundError`` if there is none."""
        return explained(self.healer, self.strategies.get(strategy), target, self.open_alerts)

    def use(self, strategies: StrategySet) -> None:
        """Go by other strategies from now on. What is under way goes on as it began.

        Raises:
            InvalidConfigError: if one cannot work here; then nothing changes.
        """
        self.strategies = strategies.checked(self.actions, self.levers, self.policies.protection)
        self.healer.use(self._repertoire.all(self.strategies))
        for cleared in self._parts.triggers.use(self.strategies):
            self._loop.tell(cleared)

    def recover(self) -> RecoveryReport:
        """Read the journal, and end what the end of a process before this one interrupted. Done once by itself."""
        drive(self._restorer.steps(), self._clock)
        return self._restorer.report

    def approve(self, id: str, *, by: str, reason: str) -> Approval:
        """Let a level begin that waits for a person, at the next :meth:`run_once`. Raises as ``Approvals.approve``."""
        return self.people.approve(id, by=by, reason=reason)

    def deny(self, id: str, *, by: str, reason: str) -> Approval:
        """Say no to a level, for as long as the request would have stood."""
        return self.people.deny(id, by=by, reason=reason)

    def release(self, target: str, *, by: str, reason: str) -> None:
        """Let a held target be healed again, ``"*"`` all: a person has looked. ``NotFoundError`` if it is not held."""
        self.people.release(target, by=by, reason=reason)

    def silence(self, match: Mapping[str, Any], *, duration: float, by: str, reason: str) -> Silence:
        """Have alerts not answered for a while; ``match`` says which, by kind, target, strategy and labels."""
        return self.people.silence(match, duration=duration, by=by, reason=reason)

    def snapshot(self) -> EngineSnapshot:
        """Everything there is to see now, beside ``healer.snapshot()``."""
        seen = self._parts.guards.seen()
        return EngineSnapshot(
            mode=self.mode,
            observing=not self._parts.chronicle.journal.writing,
            strategies=sum(spec.enabled for spec in self.strategies),
            open_alerts=len(self.open_alerts),
            measures=self._parts.releases.measures(),
            queued=len(self._loop.schedule),
            deferred=self._loop.schedule.deferred,
            abandoned=self._parts.runner.abandoned,
            recovered=self._restorer.done,
            max_actions_per_hour=self.max_actions_per_hour,
            **seen,
        )

    def close(self, reason: str = "the service is shutting down") -> None:
        """Begin nothing more, end what is under way before its next action, and close the journal. For good."""
        self.healer.stop(reason)
        self._loop.stop()
        if self.journal is not None:
            self.journal.close(reason)

    def section(self) -> dict[str, Any]:
        """A section for :class:`~selfheal.status.StatusReport`: what is to be seen, durations in milliseconds."""
        return section_of(self.snapshot())

    def _reload(self) -> None:
        changed = None if self._file is None else self._file.look()
        if changed is None:
            return
        try:
            self.use(changed)
        except InvalidConfigError as error:
            logger.error("the old strategies stay: %s", error)

    def _make_parts(self, alert_ttl: float, inline_actions: bool) -> Parts:
        return Parts.put_together(
            config=self.config,
            policies=self.policies,
            actions=self.actions,
            levers=self.levers,
            journal=self.journal,
            clock=self._clock,
            alert_ttl=alert_ttl,
            inline_actions=inline_actions,
        )

    def _make_loop(self, events: EventBus, sources: Iterable[AlertSource]) -> Loop:
        return Loop(
            parts=self._parts,
            healer=self.healer,
            people=self.people,
            restorer=self._restorer,
            events=events,
            max_abandoned=self.config.max_abandoned,
            sources=sources,
            reload=self._reload,
        )

    def _make_desk(self) -> Desk:
        """What its healings work with."""
        return Desk(
            chronicle=self._parts.chronicle,
            guards=self._parts.guards,
            actor=self._parts.actor,
            measurements=self._parts.measurements,
            clock=self._clock,
            tell=self.people.tell,
            acted=self._parts.triggers.acted,
            approval_asked=self.people.asked,
            ended=self._parts.releases.add,
            left_open=self._restorer.take,
            dry_run=self._dry,
            auto_critical=self.config.auto_critical,
        )
