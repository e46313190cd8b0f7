"""The thin shell around the machine: asks the guards, runs one healing, and records what came of it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Generator, Iterable, Iterator

from selfheal.clock import Clock
from selfheal.errors import CircuitOpenError, StateError
from selfheal.events import Alert, EventBus
from selfheal.forking import track
from selfheal.healing.driving import Call, Steps, Wait
from selfheal.healing.gate import Gate, Reserved
from selfheal.healing.judging import Judged, judge_error, judge_result
from selfheal.healing.machine import (
    HealerConfig,
    HealerMachine,
    Permit,
    Refused,
    attempts_per_hour,
    failing_attempts_per_hour,
)
from selfheal.healing.pending import PendingAlerts
from selfheal.healing.records import GuardName, HealerSnapshot, HealingRecord, Lane, Outcome
from selfheal.healing.remembering import Memory
from selfheal.healing.strategy import HealingContext, Strategy
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker import BreakerRegistry, BreakerState, CircuitBreaker, Guard
from selfheal.policies.dormancy import DormantController, ResumeRecord, Trigger
from selfheal.policies.flags import AUTO_HEALING, PREVENTIVE_HEALING, FeatureFlags

logger = logging.getLogger("selfheal.healing")

_HEALING_DEADLINE = 3600.0
"""Seconds after which the healer's own breaker stops waiting for a healing that probes it."""

_FLAGS = {Lane.HEALING: (AUTO_HEALING,), Lane.PREVENTIVE: (AUTO_HEALING, PREVENTIVE_HEALING)}
_HELD = (BreakerState.FORCED_OPEN, BreakerState.DISABLED, BreakerState.METRICS_ONLY)


class Attempts:
    """What a healer has besides its strategies: guards, counts, waiting alerts and memory.

    One lock is held while the pure parts decide, and never while a healing, a guard, a check, a store or
    a subscriber runs.
    """

    def __init__(
        self,
        *,
        config: HealerConfig,
        flags: FeatureFlags,
        dormancy: DormantController,
        breaker: CircuitBreaker,
        backoff: ExponentialBackoff,
        clock: Clock,
        events: EventBus,
        gate: Gate,
    ) -> None:
        self.flags = flags
        self.dormancy = dormancy
        self.breaker = breaker
        self.backoff = backoff
        self.most = attempts_per_hour(config, backoff)
        self.most_failing = failing_attempts_per_hour(config, backoff, self.most)
        self.gate = gate
        self._clock = clock
        self._lock = threading.Lock()
        self._machine = HealerMachine(config, self.most, backoff.delay)
        self._pending = PendingAlerts(config.pending_limit, config.alert_ttl)
        self.memory = Memory(config.history_limit, clock, events)
        self._stopped: str | None = None
        dormancy.on_resume(self._resumed)
        track(self, Attempts._in_child)

    def submit(self, alert: Alert) -> bool:
        """Let an alert wait; tell whether it does."""
        with self._lock:
            return self._pending.offer(alert, self._clock.monotonic())

    def clear(self, fingerprint: str) -> bool:
        """Forget a waiting alert; tell whether it waited."""
        with self._lock:
            return self._pending.remove(fingerprint)

    def waits(self, fingerprint: str) -> bool:
        """Whether an alert of this fingerprint waits."""
        with self._lock:
            return self._pending.holds(fingerprint)

    def in_turn(self) -> list[Alert]:
        """The waiting alerts, in the order in which they are to be answered."""
        with self._lock:
            return self._pending.in_turn(self._clock.monotonic())

    def settle(self) -> None:
        """The clock jumped: begin none until things have settled."""
        with self._lock:
            self._machine.jumped(self._clock.monotonic())

    def stop(self, reason: str) -> None:
        """Begin no more, and tell what is in progress to stop."""
        self._stopped = reason

    @property
    def stopped(self) -> bool:
        """Whether it was told to begin no more."""
        return self._stopped is not None

    def standing(self) -> Refused | None:
        """What stands against every healing, preventive ones included."""
        return next(self._stands(Lane.HEALING), None)

    def restore(self, failures: int, begun_ago: Iterable[float]) -> None:
        """Take over what a process before this one had counted; ``begun_ago`` are seconds."""
        with self._lock:
            self._machine.restore(failures, begun_ago, self._clock.monotonic())

    def attempt(self, lane: Lane, alert: Alert, strategy: Strategy) -> Steps[HealingRecord]:
        """Heal, if every guard lets it; the record tells what came of it."""
        with contextlib.ExitStack() as stack:
            standing, guard = self._ask_guards(lane, alert, strategy, stack)
            reserved = Reserved() if standing else self.gate.reserve(lane, alert, strategy)
            stack.callback(reserved.release)
            with self._lock:
                now = self._clock.monotonic()
                leave = self._machine.acquire(lane, standing, now, paced=reserved.paced, placed=reserved.placed)
            if isinstance(leave, Refused):
                if guard is not None:  # refused by what is asked after the breaker
                    guard.cancel()
                return self.memory.refused(alert, strategy.name, leave)
            reserved.begun()
            if self._machine.config.concurrency > 1:
                yield Wait(0.0)  # so that others can begin, and go on beside it
            return (yield from self._run(leave, guard, alert, strategy))

    def would_refuse(self, lane: Lane, alert: Alert, strategy: Strategy) -> list[Refused]:
        """Everything that stands against a healing now, in the order of the guards. Takes and counts nothing."""
        reserved = self.gate.reserve(lane, alert, strategy, take=False)
        with self._lock:
            now = self._clock.monotonic()
            own = self._machine.all_standing(lane, now, paced=reserved.paced, placed=reserved.placed)
        own = [refused for refused in own if refused.guard is not GuardName.SETTLING]  # it is asked before the breaker
        against = [*self._stands(lane), self._unsettled(), *self.gate.before_breaker(lane, alert, strategy)]
        against += [self._broken(), *own]
        return [refused for refused in against if refused is not None]

    def watch_breaker(self) -> None:
        """Go dormant if the breaker is permanently open, whoever opened it."""
        if self.breaker.state is not BreakerState.PERMANENT_OPEN or self.dormancy.is_dormant:
            return
        why = self.breaker.snapshot().permanent_open_reason
        if why is not None:
            self._go_dormant(f"circuit {self.breaker.name!r} is permanently open: {why}", "circuit_breaker")

    def snapshot(self) -> HealerSnapshot:
        """Everything there is to see now."""
        enabled, dormant = self.flags.auto_healing, self.dormancy.record
        with self._lock:
            machine, now = self._machine, self._clock.monotonic()
            self._pending.expire(now)
            failures = machine.failures[Lane.HEALING]
            return HealerSnapshot(
                enabled=enabled,
                is_dormant=dormant is not None,
                dormant_reason=None if dormant is None else dormant.reason,
                consecutive_failures=failures,
                backoff_delay=self.backoff.delay(failures) if failures else 0.0,
                retry_in=machine.retry_in(Lane.HEALING, now),
                settling=machine.settling(now),
                total_attempts=machine.attempts,
                successful_healings=machine.outcomes[Outcome.HEALED],
                failed_healings=machine.outcomes[Outcome.FAILED],
                interrupted_healings=machine.outcomes[Outcome.INTERRUPTED],
                refused=dict(machine.refused),
                pending=len(self._pending),
                dropped=self._pending.dropped,
                expired=self._pending.expired,
                running=machine.running,
                probation=machine.probation,
                preventive_failures=machine.failures[Lane.PREVENTIVE],
                attempts_last_hour=machine.begun_last_hour(now),
                max_attempts_per_hour=self.most,
                max_failing_attempts_per_hour=self.most_failing,
            )

    def _broken(self) -> Refused | None:
        snapshot = self.breaker.snapshot()
        if snapshot.retry_after is not None and snapshot.retry_after <= 0:
            return None
        return Refused(GuardName.BREAKER, f"circuit {snapshot.name!r} is {snapshot.state}", snapshot.retry_after)

    def _ask_guards(
        self, lane: Lane, alert: Alert, strategy: Strategy, stack: contextlib.ExitStack
    ) -> tuple[Refused | None, Guard | None]:
        """The first guard that refuses; or the breaker's leave."""
        standing = next(self._stands(lane), None) or self._unsettled()
        standing = standing or next(self.gate.before_breaker(lane, alert, strategy), None)
        if standing is not None:
            return standing, None
        self.watch_breaker()
        with self._lock:
            waiting = self._machine.standing(lane, self._clock.monotonic())
        if waiting is not None and self.breaker.snapshot().retry_after == 0.0:
            return waiting, None  # the breaker would let it: no probe is taken for what cannot begin now
        try:
            return None, stack.enter_context(self.breaker.guard())
        except CircuitOpenError as refusal:
            return Refused(GuardName.BREAKER, str(refusal), refusal.retry_after), None

    def _stands(self, lane: Lane) -> Iterator[Refused]:
        """What a person, or the end of the service, has put against healing: one after the other."""
        if self._stopped is not None:
            yield Refused(GuardName.STOPPED, self._stopped)
        yield from filter(None, (self.gate.standing(),))
        for flag in map(self.flags.read, _FLAGS[lane]):
            if not flag.value:
                yield Refused(GuardName.FLAGS, flag.problem or f"{flag.name} is off ({flag.origin})")
        record = self.dormancy.record
        if record is not None:
            yield Refused(GuardName.DORMANCY, f"dormant until a person resumes it: {record.reason}")

    def _unsettled(self) -> Refused | None:
        with self._lock:
            return self._machine.unsettled(self._clock.monotonic())

    def _stands_against(self, permit: Permit) -> Refused | None:
        """What stands against a healing in progress going on."""
        standing = next(self._stands(permit.lane), None)
        if standing is None and permit.generation != self._machine.generation:
            return Refused(GuardName.DORMANCY, "dormancy was entered and ended since it began")
        return standing

    def _run(self, permit: Permit, guard: Guard | None, alert: Alert, strategy: Strategy) -> Steps[HealingRecord]:
        context = HealingContext(strategy.name, permit.number, lambda: self._stands_against(permit))
        started, began = self._clock.wall(), self._clock.monotonic()
        try:
            result = yield Call(lambda: strategy.heal(alert, context))
            if isinstance(result, Generator):
                result = yield from result
        except Exception as error:
            judged = judge_error(error, context)
        except BaseException as error:
            # Cancelled, or the program is ending: that decides nothing, and is not ours to keep.
            broken_off = Judged(outcome=Outcome.INTERRUPTED, reason=f"broken off by {type(error).__name__}")
            self._settle(permit, guard, broken_off)
            self.memory.attempted(alert, strategy, broken_off, started, began)
            raise
        else:
            judged = judge_result(result, context)
        trouble = self._settle(permit, guard, judged)
        if judged.outcome is Outcome.HEALED:
            self.clear(alert.fingerprint)
        return self.memory.attempted(alert, strategy, judged, started, began, trouble)

    def _settle(self, permit: Permit, guard: Guard | None, judged: Judged) -> str:
        """Tell machine, backoff, dormancy and breaker, in this order; return what went wrong on the way."""
        with self._lock:
            verdict = self._machine.record(permit, judged.outcome, self._clock.monotonic())
        if verdict.counted and permit.lane is Lane.HEALING:
            if judged.outcome is Outcome.FAILED:
                self.backoff.failed()
            else:
                self.backoff.reset()
        trouble = ""
        if verdict.limit_reached:  # before the breaker is told: its own limit is the same number by default
            kind = "healings" if permit.lane is Lane.HEALING else "preventive healings"
            why = f"{verdict.failures} consecutive {kind} failed; the last: {judged.reason}"
            trouble = self._go_dormant(why, "automatic")
        if guard is not None:
            _tell(guard, judged, decides=verdict.counted and permit.lane is Lane.HEALING)
            self.watch_breaker()
        return trouble

    def _go_dormant(self, reason: str, by: Trigger) -> str:
        try:
            self.dormancy.enter(reason, by)
        except StateError as error:  # it is dormant; that a restart would forget it was logged there
            return str(error)
        return ""

    def _resumed(self, resumed: ResumeRecord) -> None:
        with self._lock:
            self._machine.reset()
        self.backoff.reset()
        if self.breaker.state in _HELD:  # put there by a person for a reason of their own
            logger.warning("circuit %r is held %s and stays so", self.breaker.name, self.breaker.state)
        else:
            self.breaker.reset(force=True, reason=f"resumed: {resumed.reason}", by=resumed.by)

    def _in_child(self) -> None:
        """Make a new lock and give back the places of healings that are not in this process."""
        self._lock = threading.Lock()
        self.memory.in_child()
        self._machine.forget_running()


def _tell(guard: Guard, judged: Judged, *, decides: bool) -> None:
    """Let the breaker count a healing.

    One that was stopped, is from before a resume, or is preventive, says nothing about healing now.
    """
    if not decides:
        guard.cancel()
    elif judged.outcome is Outcome.HEALED:
        guard.succeed()
    else:
        guard.fail(judged.error)


def own_breaker(clock: Clock, events: EventBus) -> CircuitBreaker:
    """The breaker of a healer that was given none, in a registry of its own."""
    return CircuitBreaker(
        "healer", clock=clock, events=events, registry=BreakerRegistry(), probe_timeout=_HEALING_DEADLINE
    )
