"""Answers alerts with healings, under guards, and stops when it does not help."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, Unpack

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError
from selfheal.events import DEFAULT_BUS, Alert, EventBus, Severity, Subscription
from selfheal.healing.attempts import Attempts, own_breaker
from selfheal.healing.driving import Call, Steps, adrive, drive
from selfheal.healing.gate import Gate, OpenGate
from selfheal.healing.listening import Listener
from selfheal.healing.machine import HealerConfig, HealerOptions, Refused
from selfheal.healing.records import GuardName, HealerSnapshot, HealingRecord, Lane
from selfheal.healing.strategy import (
    IntervalRegistry,
    Strategy,
    choose,
    preventive_strategy,
    runs_async,
    strategies_of,
)
from selfheal.healing.sweeping import Sweeper
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker import CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import FeatureFlags

logger = logging.getLogger("selfheal.healing")


class Healer:
    """Runs healings for alerts: one at a time, slower after each failure, and not at all when it cannot help.

    A healing begins only if every guard lets it, asked in this order: it was not stopped, the flags are
    on, it is not dormant, the clock did not jump lately, the breaker is closed, no backoff is running, the
    hour's budget is not spent, and there is a place. A refusal is recorded with its guard and reason and is
    never a failure.
    ``failure_limit`` failures in a row, or a permanently open breaker, make it dormant: then nothing runs
    until a person calls ``healer.dormancy.resume(reason)``.

    Args:
        heal: a callable taking ``(alert, context)`` or ``(alert)``, plain or async; or one strategy; or
            several, of which the first that answers an alert heals it.
        flags: by default the four flags of the environment and the working directory.
        dormancy: by default one that lasts as long as the process.
        breaker: by default ``CircuitBreaker("healer")`` in a registry of its own.
        backoff: by default 5, 10, 20 … 600 s.
        preventive: what :meth:`prevent` runs: a callable taking ``(context)`` or nothing, or a strategy.
        clock: for all times.
        events: where alerts come from after :meth:`subscribe`, and where ``HealingFinished`` goes.
        gate: further guards, asked among its own; by default none.
        on_record: called with each new record, in the thread that made it; a repeated refusal is not new.
        options: fields of :class:`~selfheal.healing.HealerConfig`, such as ``failure_limit=10``.

    Raises:
        ConfigError: if an option is out of range, or ``heal`` or ``preventive`` is nothing that can heal.

    >>> healer = Healer(lambda alert: alert.target == "cache", flags=FeatureFlags(environ={}), events=EventBus())
    >>> healer.handle(Alert(kind="stale", target="cache")).outcome
    <Outcome.HEALED: 'healed'>
    """

    def __init__(
        self,
        heal: Callable[..., object] | Strategy | Iterable[Strategy],
        *,
        flags: FeatureFlags | None = None,
        dormancy: DormantController | None = None,
        breaker: CircuitBreaker | None = None,
        backoff: ExponentialBackoff | None = None,
        preventive: Callable[..., object] | Strategy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        gate: Gate | None = None,
        on_record: Callable[[HealingRecord], object] | None = None,
        **options: Unpack[HealerOptions],
    ) -> None:
        self.config = HealerConfig(**options)
        self.strategies = strategies_of(heal)
        self._preventive = None if preventive is None else preventive_strategy(preventive)
        self._clock = clock
        self._attempts = Attempts(
            config=self.config,
            flags=FeatureFlags() if flags is None else flags,
            dormancy=DormantController(clock=clock, events=events) if dormancy is None else dormancy,
            breaker=own_breaker(clock, events) if breaker is None else breaker,
            backoff=ExponentialBackoff() if backoff is None else backoff,
            clock=clock,
            events=events,
            gate=OpenGate() if gate is None else gate,
        )
        self._attempts.memory.on_news = on_record
        self._sweeper = Sweeper(self._attempts, self._handling, clock)
        self._listener = Listener(events, self._attempts, self.submit, self.run_once)
        self._check_due = -math.inf
        self._was_full = False

    def __repr__(self) -> str:
        return f"<Healer {', '.join(strategy.name for strategy in self.strategies)}>"

    @property
    def flags(self) -> FeatureFlags:
        """The switches it obeys."""
        return self._attempts.flags

    @property
    def dormancy(self) -> DormantController:
        """Its dormancy; ``healer.dormancy.resume(reason)`` ends it."""
        return self._attempts.dormancy

    @property
    def breaker(self) -> CircuitBreaker:
        """The breaker around its healings."""
        return self._attempts.breaker

    @property
    def backoff(self) -> ExponentialBackoff:
        """Its waits; the count in it follows the healings."""
        return self._attempts.backoff

    @property
    def failure_limit(self) -> int:
        """Failed healings in a row that make it dormant."""
        return self.config.failure_limit

    @property
    def max_attempts_per_hour(self) -> int:
        """Healings that can begin in any 3600 s, whatever comes of them and however often it is resumed.

        ``attempts_per_hour`` if given, else ``floor(3600 / backoff.base)``, from 1 to 100,000: 720 by default.
        """
        return self._attempts.most

    @property
    def max_failing_attempts_per_hour(self) -> int:
        """Healings that can begin in any 3600 s if all fail and nobody resumes: 10 with the default numbers.

        The greatest n, at most ``failure_limit``, for which the first n - 1 waits of the backoff (the least that its
        jitter allows) add up to less than 3600 s; with ``concurrency`` above 1, ``failure_limit + concurrency - 1``.
        Preventive healings have the same bound for themselves.
        """
        return self._attempts.most_failing

    @property
    def history(self) -> tuple[HealingRecord, ...]:
        """The latest records, oldest first. The same refusal of the same alert again is one record with a count."""
        return self._attempts.memory.records()

    def submit(self, alert: Alert) -> bool:
        """Let an alert wait for the next :meth:`run_once`. One of the same fingerprint is refreshed.

        Returns:
            Whether it waits; ``False`` if too many do, which is counted in ``snapshot().dropped``.

        Raises:
            ConfigError: if it is no alert.
        """
        if not isinstance(alert, Alert):
            raise ConfigError("alert of Healer.submit", alert, "an Alert")
        taken = self._attempts.submit(alert)
        if not taken and not self._was_full:
            logger.warning("%d alerts wait, the most: %s is not taken", self.config.pending_limit, alert.fingerprint)
        self._was_full = not taken
        return taken

    def clear(self, fingerprint: str) -> bool:
        """Forget a waiting alert, because the problem is gone. Tell whether it waited."""
        return self._attempts.clear(fingerprint)

    def subscribe(self, *, immediately: bool = False) -> Subscription:
        """Take alerts from the event bus; an ``AlertCleared`` takes one back. Calling again changes nothing.

        ``WorkersExhausted`` of a task registry makes it dormant: with runs stuck, healing more is no help.
        ``ClockJumped`` of one is taken in the publisher's thread, as a call of :meth:`settle`.

        Args:
            immediately: also heal as soon as an alert comes, in the bus's delivery thread, instead of
                waiting for the next :meth:`run_once`.

        Raises:
            ConfigError: if ``immediately`` is asked for and a strategy is async.
        """
        if immediately:
            self._plain_only("subscribe(immediately=True)", self.strategies)
        return self._listener.start(immediately)

    def settle(self) -> None:
        """Begin no healing for ``config.settle`` seconds from now, because the clock jumped: a suspend or a step.

        What was measured before it says little about now. A second jump starts the time over; a resume does not end
        it. For hosts that notice jumps themselves; with :meth:`subscribe` and a task registry it happens by itself.
        """
        self._attempts.settle()

    def register(
        self,
        registry: IntervalRegistry,
        *,
        every: float = 10.0,
        preventive_every: float = 600.0,
        owner: str | None = None,
        run_once: Callable[[], Any] | None = None,
        arun_once: Callable[[], Any] | None = None,
    ) -> tuple[str, ...]:
        """Register the healing task and, where there is something to run, the preventive one.

        Args:
            registry: a :class:`~selfheal.tasks.TaskRegistry`, or anything with its ``register_interval``.
            every: seconds between two :meth:`run_once`.
            preventive_every: seconds between two :meth:`prevent`.
            owner: handed to the registry, for ``unregister_owner``.
            run_once: called in place of :meth:`run_once`, by what does more than that.
            arun_once: the same for :meth:`arun_once`.

        Returns:
            The ids: ``healing`` and perhaps ``preventive-healing``.
        """
        plain, waiting = run_once or self.run_once, arun_once or self.arun_once
        healing: Callable[[], Any] = waiting if any(map(runs_async, self.strategies)) else plain
        tasks: list[tuple[str, Callable[[], Any], float]] = [("healing", healing, every)]
        if self._preventive is not None:
            prevent: Callable[[], Any] = self.aprevent if runs_async(self._preventive) else self.prevent
            tasks.append(("preventive-healing", prevent, preventive_every))
        for task_id, fn, seconds in tasks:
            registry.register_interval(task_id, fn, seconds, owner=owner)
        return tuple(task_id for task_id, _, _ in tasks)

    def stop(self, reason: str = "the service is shutting down") -> None:
        """Begin no more healings, and tell those in progress to stop before their next action. For good."""
        self._attempts.stop(reason)
        self._listener.stop()
        self._sweeper.finish()

    def handle(self, alert: Alert) -> HealingRecord:
        """Answer one alert now, if the guards let it, and wait for the end; healed, it does not wait any more.

        Raises:
            ConfigError: if a strategy is async (call :meth:`ahandle`).
        """
        self._plain_only("handle()", self.strategies)
        return drive(self._handling(alert), self._clock)

    async def ahandle(self, alert: Alert) -> HealingRecord:
        """:meth:`handle` in an event loop. A strategy that is not async is called in the loop's thread."""
        return await adrive(self._handling(alert), self._clock)

    def run_once(self) -> list[HealingRecord]:
        """Go on with healings that wait, then answer waiting alerts, critical ones first, until a guard refuses all.

        A healing that lets time pass is left, and gone on with by a later call. An alert waits until it is healed,
        cleared, or was not raised again for ``alert_ttl`` seconds. While dormant, the resume checks are looked at
        every ``check_every`` seconds.

        Returns:
            The records of what ended, and of what was refused.

        Raises:
            ConfigError: if a strategy is async (call :meth:`arun_once`).
        """
        self._plain_only("run_once()", self.strategies)
        drive(self._look_at_checks(), self._clock)
        return self._sweeper.sweep()

    async def arun_once(self) -> list[HealingRecord]:
        """:meth:`run_once` in an event loop. Resume checks run in a thread of their own."""
        await adrive(self._look_at_checks(), self._clock)
        return await self._sweeper.asweep()

    def prevent(self) -> HealingRecord:
        """Run the preventive healing, if the guards let it and both healing flags are on.

        It has its own count of failures in a row and its own backoff, and tells the breaker nothing: that
        prevention works does not say that healing does.

        Raises:
            ConfigError: if there is none, or it is async (call :meth:`aprevent`).
        """
        strategy = self._need_preventive()
        self._plain_only("prevent()", (strategy,))
        return drive(self._preventing(strategy), self._clock)

    async def aprevent(self) -> HealingRecord:
        """:meth:`prevent` in an event loop."""
        return await adrive(self._preventing(self._need_preventive()), self._clock)

    def use(self, heal: Callable[..., object] | Strategy | Iterable[Strategy]) -> None:
        """Answer alerts by others from now on; a healing under way goes on. ``ConfigError`` if it cannot heal."""
        self.strategies = strategies_of(heal)

    def standing(self) -> Refused | None:
        """What stands against every healing: a stop, a flag, dormancy; ``None`` if nothing of that does."""
        return self._attempts.standing()

    def heals(self, fingerprint: str) -> bool:
        """Whether a healing of this alert is under way."""
        return self._sweeper.under_way.holds(fingerprint)

    def waits(self, fingerprint: str) -> bool:
        """Whether an alert of this fingerprint waits."""
        return self._attempts.waits(fingerprint)

    def refusals(self, alert: Alert, strategy: Strategy) -> list[Refused]:
        """Everything that stands against healing this alert now, in the order of the guards. Begins nothing."""
        return self._attempts.would_refuse(Lane.HEALING, alert, strategy)

    def restore(self, failures: int, begun_ago: Iterable[float]) -> None:
        """Take over what a process before this one counted, before anything is healed.

        Args:
            failures: failed healings in a row; the wait after the last begins anew.
            begun_ago: seconds since each healing of the last hour began.
        """
        self._attempts.restore(failures, begun_ago)

    def snapshot(self) -> HealerSnapshot:
        """Everything there is to see of it now."""
        return self._attempts.snapshot()

    def _handling(self, alert: Alert) -> Steps[HealingRecord]:
        strategy, why = choose(self.strategies, alert)
        if strategy is None:
            return self._attempts.memory.refused(alert, "", Refused(GuardName.STRATEGY, why))
        return (yield from self._attempts.attempt(Lane.HEALING, alert, strategy))

    def _look_at_checks(self) -> Steps[None]:
        now = self._clock.monotonic()
        if self.dormancy.is_dormant and now >= self._check_due:
            self._check_due = now + self.config.check_every
            yield Call(self.dormancy.check, slow=True)

    def _preventing(self, strategy: Strategy) -> Steps[HealingRecord]:
        alert = Alert(kind="preventive", fingerprint="preventive", severity=Severity.INFO, at=self._clock.wall())
        return (yield from self._attempts.attempt(Lane.PREVENTIVE, alert, strategy))

    def _need_preventive(self) -> Strategy:
        if self._preventive is None:
            raise ConfigError("Healer.preventive", None, "a callable when prevent() is called")
        return self._preventive

    def _plain_only(self, what: str, strategies: Iterable[Strategy]) -> None:
        for strategy in strategies:
            if runs_async(strategy):
                raise ConfigError(f"strategy {strategy.name!r} of Healer.{what}", strategy, "plain; it is async")
