"""The thin shell around the machine: lock, time, counting without a lock, events.

The hot path of a guarded call reads one cell, ``admit``, that all functions of a circuit share. While
the circuit lets every call through, it holds the ticks of a counter that belongs to the current
generation, so one read both admits the call and stamps it; a success is one tick, exact under threads (see
``counter``), and takes no lock. A failure takes the lock and first asks the counter whether anything succeeded
since the last failure. In any other state ``admit`` is ``None`` and the call asks here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Iterator
from types import CellType

from selfheal.clock import Clock
from selfheal.errors import CircuitOpenError, ResetRefusedError
from selfheal.events import BreakerStateChanged, EventBus
from selfheal.forking import track
from selfheal.policies.breaker.conditions import ask, brief
from selfheal.policies.breaker.config import BreakerConfig
from selfheal.policies.breaker.counter import AnyCounter, Stamp
from selfheal.policies.breaker.counting import counter_of_this_interpreter
from selfheal.policies.breaker.machine import (
    NO_VERDICT,
    PASSING,
    BreakerMachine,
    BreakerState,
    Outcome,
    Permit,
    Transition,
    Verdict,
)
from selfheal.policies.breaker.snapshot import BreakerSnapshot, ResetRecord
from selfheal.policies.breaker.verdicts import judge

logger = logging.getLogger("selfheal.breaker")

new_counter = counter_of_this_interpreter()


class Admitted:
    """A permitted call: its permit and when it started (``nan`` when calls are not timed)."""

    __slots__ = ("permit", "started")

    def __init__(self, permit: Permit, started: float) -> None:
        self.permit = permit
        self.started = started


class Circuit:
    """One named circuit. Handles (:class:`CircuitBreaker`) of one name share it.

    Args:
        name: of the circuit.
        config: its rules.
        clock: its time.
        events: where its changes of state are published.

    Attributes:
        cells: what the guarded functions read (see ``template``).
    """

    def __init__(self, name: str, config: BreakerConfig, clock: Clock, events: EventBus) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self.events = events
        self._lock = threading.Lock()
        self._machine = BreakerMachine(config, clock.monotonic())
        self._counter = new_counter(0, self._lock)
        self._retired: list[AnyCounter] = []
        self._rejections = new_counter(0, self._lock)
        self._rejected = 0
        self._slow_above = config.slow_call_duration
        self._last_reset: ResetRecord | None = None
        self._admit = CellType(None)
        self._look_at = CellType(math.inf)
        self._refused_until = -math.inf
        self._shown = ""
        self._now = clock.monotonic
        self._refusals = self._rejections.ticks
        self.cells: dict[str, CellType] = {
            "admit": self._admit,
            "now": CellType(clock.monotonic),
            "look_at": self._look_at,
            "slow_above": CellType(config.slow_call_duration),
            "refusal": CellType(self.refusal),
            "failed": CellType(self.failed),
            "succeeded": CellType(self.succeeded),
        }
        self._publish()
        track(self, Circuit._in_child, lock=lambda me: me._lock)

    @property
    def state(self) -> BreakerState:
        """Where it stands. An open circuit whose time is over stays OPEN until a call asks."""
        return self._machine.state

    def enter(self) -> Admitted:
        """Ask to make a call.

        Raises:
            CircuitOpenError: if it may not be made.
        """
        refused = self.refusal()
        if refused is not None:
            raise refused
        now = self.clock.monotonic()
        machine = self._machine
        with self._lock:
            self._absorb()
            answer = machine.acquire(now)
            moves = self._settle()
            state, reason = machine.state, machine.reason
        if moves:
            self._tell(moves, "")
        if isinstance(answer, Permit):
            return Admitted(answer, now)
        next(self._refusals)
        raise CircuitOpenError(self.name, state.value, answer.wait, reason)

    def refusal(self) -> CircuitOpenError | None:
        """The error to raise if no call may be made now, found without a lock; ``None``: :meth:`enter` decides."""
        wait = self._refused_until - self._now()
        if wait > 0.0:
            next(self._refusals)
            return CircuitOpenError(self.name, self._shown, wait, self._machine.reason)
        return None

    def leave(self, admitted: Admitted, result: object) -> None:
        """Take the result of a call that returned."""
        self._record_result(admitted.permit, result, admitted.started)

    def leave_failed(self, admitted: Admitted, error: BaseException | None) -> None:
        """Take what a call raised. :class:`Exception` is judged; anything else is a call broken off.

        With no error, the caller itself says that the call failed.
        """
        if error is None:
            self._record(admitted.permit, Outcome.FAILURE, admitted.started, Verdict(error="reported as failed"))
        else:
            self._record_error(admitted.permit, error, admitted.started)

    def leave_undecided(self, admitted: Admitted) -> None:
        """Take back a permit of a call that was broken off or says nothing."""
        self._record(admitted.permit, Outcome.CANCELLED)

    def admitted_by(self, stamp: Stamp, started: float) -> Admitted:
        """The permitted call that began on the hot path with ``stamp``."""
        return Admitted(self._permit_of(stamp), started)

    def failed(self, stamp: Stamp, error: BaseException, started: float = math.nan) -> None:
        """Take what a call on the hot path raised; ``stamp`` is what ``admit`` held when it began."""
        self._record_error(self._permit_of(stamp), error, started)

    def succeeded(self, stamp: Stamp, result: object, started: float = math.nan) -> None:
        """Take the result of a call on the hot path that may need more than a tick."""
        is_failure = self.config.failure_result
        if is_failure is not None and ask(is_failure, result, False):
            self._record_result_failed(self._permit_of(stamp), result, started)
        elif self._now() < self._look_at.cell_contents and not self._is_slow(started):
            next(stamp)
        else:
            self._record(self._permit_of(stamp), Outcome.SUCCESS, started)

    def trip(self, reason: str, by: str, *, permanent: bool) -> None:
        """Open by hand."""
        with self._deciding(by) as machine:
            machine.trip(self.clock.monotonic(), reason, permanent=permanent)

    def hold(self, state: BreakerState, reason: str, by: str) -> None:
        """Enter a forced state by hand.

        Raises:
            ResetRefusedError: if it is permanently open.
        """
        now = self.clock.monotonic()
        with self._deciding(by) as machine:
            held = machine.hold(state, now, reason)
            why = machine.permanent_reason
        if not held:
            raise ResetRefusedError(self.name, why or "")

    def reset(self, *, force: bool, reason: str, by: str) -> bool:
        """Close by hand and record who did it and why.

        Raises:
            ResetRefusedError: if it is permanently open and ``force`` is not given.
        """
        now = self.clock.monotonic()
        with self._deciding(by) as machine:
            was, why = machine.state, machine.permanent_reason
            refused = was is BreakerState.PERMANENT_OPEN and not force
            changed = not refused and machine.reset(now, reason or "reset by hand")
            if changed:
                self._last_reset = ResetRecord(at=self.clock.wall(), reason=reason, by=by, forced=force, was=was)
        if refused:
            raise ResetRefusedError(self.name, why or "")
        return changed

    def snapshot(self) -> BreakerSnapshot:
        """Everything there is to see, at one moment, exactly counted."""
        now = self.clock.monotonic()
        with self._deciding() as machine:
            self._rejected += self._rejections.fresh()
            self._gather_late()
            window = machine.window
            if window is not None:
                window.look(now)
            judged = window if window is not None and window.calls else None
            return BreakerSnapshot(
                name=self.name,
                state=machine.state,
                reason=machine.reason,
                since=now - machine.since,
                failure_count=machine.consecutive,
                last_failure_ago=None if machine.last_failure is None else max(now - machine.last_failure, 0.0),
                last_error=machine.last_error,
                permanent_open_reason=machine.permanent_reason,
                retry_after=machine.retry_in(now),
                successes=machine.successes,
                failures=machine.failures,
                ignored=machine.ignored,
                rejected=self._rejected,
                cancelled=machine.cancelled,
                late=machine.late,
                slow_calls=machine.slow,
                failure_rate=None if judged is None else judged.failures / judged.calls,
                slow_call_rate=None if judged is None or self._slow_above is None else judged.slow / judged.calls,
                opened_count=machine.opened,
                last_reset=self._last_reset,
            )

    def _in_child(self) -> None:
        """Take a new lock and free the places of probes that other threads of the parent hold."""
        self._lock = threading.Lock()
        for counter in (self._counter, self._rejections, *self._retired):
            counter.in_child(self._lock)
        self._machine.forget_probes()

    def _permit_of(self, stamp: Stamp) -> Permit:
        """The permit that a stamp stands for; generation 0 if that generation is over."""
        counter = self._counter
        return Permit(counter.generation if stamp is counter.ticks else 0)

    def _record_result(self, permit: Permit, result: object, started: float) -> None:
        is_failure = self.config.failure_result
        if is_failure is not None and ask(is_failure, result, False):
            self._record_result_failed(permit, result, started)
        else:
            self._record(permit, Outcome.SUCCESS, started)

    def _record_result_failed(self, permit: Permit, result: object, started: float) -> None:
        self._record(permit, Outcome.FAILURE, started, Verdict(error=f"result {brief(result)}"))

    def _record_error(self, permit: Permit, error: BaseException, started: float) -> None:
        if isinstance(error, Exception):
            outcome, verdict = judge(error, self.config, self.clock.wall())
            self._record(permit, outcome, started, verdict)
        else:
            self._record(permit, Outcome.CANCELLED)

    def _is_slow(self, started: float) -> bool:
        return self._slow_above is not None and self._now() - started > self._slow_above

    def _record(
        self, permit: Permit, outcome: Outcome, started: float = math.nan, verdict: Verdict = NO_VERDICT
    ) -> None:
        now = self.clock.monotonic()
        slow = self._is_slow(started)
        with self._lock:
            self._absorb()
            self._machine.record(permit, outcome, now, slow, verdict)
            moves = self._settle()
        if moves:
            self._tell(moves, "")

    @contextlib.contextmanager
    def _deciding(self, by: str = "") -> Iterator[BreakerMachine]:
        """Hold the lock while the machine decides, then show what it decided and tell of it."""
        with self._lock:
            self._absorb()
            yield self._machine
            moves = self._settle()
        self._tell(moves, by)

    def _absorb(self) -> None:
        """Under the lock: let the machine know of successes that were only ticked."""
        fresh = self._counter.fresh()
        if fresh:
            self._machine.absorb(fresh)

    def _gather_late(self) -> None:
        """Under the lock: count what came late, and let go of counters that no call can tick any more."""
        held = [counter for counter in self._retired if counter.held]  # asked first: then nothing can slip in between
        self._machine.late += sum(counter.fresh() for counter in self._retired)
        self._retired = held

    def _settle(self) -> list[Transition]:
        """Under the lock: show the hot path where the machine stands now; return what moved."""
        machine = self._machine
        moves = machine.moves
        if moves:
            machine.moves = []
            self._publish()
        elif machine.window is not None:
            self._look_at.cell_contents = machine.look_at
            self._admit.cell_contents = self._counter.ticks if machine.only_counts else None
        return moves

    def _publish(self) -> None:
        """Begin a generation on the hot path. A call in between asks under the lock."""
        machine = self._machine
        self._admit.cell_contents = None
        self._shown = machine.state.value
        self._refused_until = machine.open_until
        self._look_at.cell_contents = machine.look_at
        self._counter.retire()
        self._retired.append(self._counter)
        self._gather_late()
        self._counter = new_counter(machine.generation, self._lock)
        if machine.only_counts:
            self._admit.cell_contents = self._counter.ticks

    def _tell(self, moves: list[Transition], by: str) -> None:
        for old, new, reason in moves:
            level = logging.INFO if new in PASSING or new is BreakerState.HALF_OPEN else logging.WARNING
            told = {"breaker": self.name, "old_state": old.value, "new_state": new.value, "by": by}
            logger.log(level, "circuit %r: %s -> %s (%s)", self.name, old.value, new.value, reason, extra=told)
            self.events.publish(
                BreakerStateChanged(
                    at=self.clock.wall(), breaker=self.name, old=old.value, new=new.value, reason=reason, by=by
                )
            )
