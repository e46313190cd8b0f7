"""The thin shell around the machine: lock, time, counting without a lock, events.

The hot path of a guarded call reads one cell, ``admit``. While the circuit lets every call through,
it holds the tick of a counter that belongs to the current generation, so one read both admits the call and
stamps it; a success is one tick, which is atomic, and takes no lock. A failure takes the lock and
first asks the counter whether anything succeeded since the last failure. In any other state ``admit``
is ``None`` and the call asks here.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import CellType

from selfheal.clock import Clock
from selfheal.errors import CircuitOpenError, ResetRefusedError
from selfheal.events import BreakerStateChanged, EventBus
from selfheal.forking import track
from selfheal.policies.breaker.conditions import ask, brief, first_met, meets, read_retry_after
from selfheal.policies.breaker.config import BreakerConfig
from selfheal.policies.breaker.machine import (
    NO_VERDICT,
    BreakerMachine,
    BreakerState,
    Outcome,
    Permit,
    Rejected,
    Transition,
    Verdict,
)
from selfheal.policies.breaker.snapshot import BreakerSnapshot, ResetRecord

logger = logging.getLogger("selfheal.breaker")

Tick = Callable[[], int]
_RETIRED = 8
"""Generations whose counters are still looked at for successes that come late."""

_PASSING = frozenset({BreakerState.CLOSED, BreakerState.METRICS_ONLY, BreakerState.DISABLED})


class _Counter:
    """Successes of one generation: ticked by anybody without a lock, read exactly under the lock."""

    __slots__ = ("_reads", "_seen", "generation", "tick")

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self.tick: Tick = itertools.count().__next__
        self._reads = 0
        self._seen = 0

    def fresh(self) -> int:
        """Ticks since the last time this was asked. Asking is itself a tick, and is taken off."""
        ticks = self.tick() - self._reads
        self._reads += 1
        fresh, self._seen = ticks - self._seen, ticks
        return fresh


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
        cells: what guarded functions read, shared by all of them (see ``wrapping``).
    """

    def __init__(self, name: str, config: BreakerConfig, clock: Clock, events: EventBus) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self.events = events
        self._lock = threading.Lock()
        self._machine = BreakerMachine(config, clock.monotonic())
        self._counter = _Counter()
        self._retired: deque[_Counter] = deque(maxlen=_RETIRED)
        self._rejections = _Counter()
        self._rejected = 0
        self._timed = config.slow_call_duration is not None
        self._last_reset: ResetRecord | None = None
        self.cells: dict[str, CellType] = {
            "admit": CellType(None),
            "open_until": CellType(-math.inf),
            "state": CellType(""),
            "reason": CellType(None),
            "breaker": CellType(name),
            "now": CellType(clock.monotonic),
            "rejected": CellType(self._rejections.tick),
            "failed": CellType(self.failed),
            "succeeded": CellType(self.succeeded),
            "broken_off": CellType(self.broken_off),
        }
        self._publish()
        track(self)

    @property
    def state(self) -> BreakerState:
        """Where it stands. An open circuit whose time is over stays OPEN until a call asks."""
        return self._machine.state

    def enter(self) -> Admitted:
        """Ask to make a call.

        Raises:
            CircuitOpenError: if it may not be made.
        """
        now = self.clock.monotonic()
        with self._deciding() as machine:
            answer = machine.acquire(now)
            state, reason = machine.state, machine.reason
        if isinstance(answer, Rejected):
            self._rejections.tick()
            raise CircuitOpenError(self.name, state.value, answer.wait, reason)
        return Admitted(answer, now)

    def leave(self, admitted: Admitted, result: object) -> None:
        """Take the result of a call that returned."""
        self._record_result(admitted.permit, result, admitted.started)

    def leave_failed(self, admitted: Admitted, error: BaseException | None) -> None:
        """Take what a call raised. :class:`Exception` is judged; anything else is a call broken off.

        With no error, the caller itself says that the call failed.
        """
        if error is None:
            self._record(admitted.permit, Outcome.FAILURE, admitted.started, Verdict(error="reported as failed"))
        elif isinstance(error, Exception):
            self._record_error(admitted.permit, error, admitted.started)
        else:
            self._record(admitted.permit, Outcome.CANCELLED)

    def leave_undecided(self, admitted: Admitted) -> None:
        """Take back a permit of a call that was broken off or says nothing."""
        self._record(admitted.permit, Outcome.CANCELLED)

    def admitted_by(self, stamp: Tick, started: float) -> Admitted:
        """The permitted call that began on the hot path with ``stamp``."""
        return Admitted(self._permit_of(stamp), started)

    def failed(self, stamp: Tick, error: Exception, started: float = math.nan) -> None:
        """Take what a call on the hot path raised; ``stamp`` is what ``admit`` held when it began."""
        self._record_error(self._permit_of(stamp), error, started)

    def succeeded(self, stamp: Tick, result: object, started: float = math.nan) -> None:
        """Take the result of a call on the hot path, where each is looked at."""
        self._record_result(self._permit_of(stamp), result, started)

    def broken_off(self, stamp: Tick) -> None:
        """Take back a call on the hot path that a cancellation or an exit ended."""
        self._record(self._permit_of(stamp), Outcome.CANCELLED)

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
            machine.late += sum(counter.fresh() for counter in self._retired)
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
                slow_call_rate=None if judged is None or not self._timed else judged.slow / judged.calls,
                opened_count=machine.opened,
                last_reset=self._last_reset,
            )

    def before_fork(self) -> None:
        """Bring the machine to rest. A signal handler that forks inside the lock does not get it."""
        self._rested = self._lock.acquire(timeout=1.0)

    def after_fork_in_parent(self) -> None:
        """Let go."""
        if self._rested:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Take a new lock and free the places of probes that other threads of the parent hold."""
        self._lock = threading.Lock()
        self._machine.forget_probes()

    _rested = False

    def _permit_of(self, stamp: Tick) -> Permit:
        """The permit that a stamp stands for; generation 0 if that generation is over."""
        counter = self._counter
        return Permit(counter.generation if stamp is counter.tick else 0)

    def _record_result(self, permit: Permit, result: object, started: float) -> None:
        is_failure = self.config.failure_result
        if is_failure is not None and ask(is_failure, result, False):
            verdict = Verdict(error=f"result {brief(result)}")
            self._record(permit, Outcome.FAILURE, started, verdict)
        else:
            self._record(permit, Outcome.SUCCESS, started)

    def _record_error(self, permit: Permit, error: Exception, started: float) -> None:
        outcome, verdict = self._judge(error)
        self._record(permit, outcome, started, verdict)

    def _judge(self, error: Exception) -> tuple[Outcome, Verdict]:
        """Apply the configured conditions. They are the host's code: no lock is held."""
        config = self.config
        if any(meets(error, condition) for condition in config.ignore):
            return Outcome.IGNORED, NO_VERDICT
        if not any(meets(error, condition, if_broken=True) for condition in config.count):
            return Outcome.IGNORED, NO_VERDICT
        wait = ask(config.retry_after or self._read_retry_after, error, None)
        return Outcome.FAILURE, Verdict(
            permanent=first_met(error, config.permanent_on),
            opens=first_met(error, config.open_on) if config.open_on else None,
            retry_after=wait,
            error=f"{type(error).__name__}: {brief(error, str)}",
        )

    def _read_retry_after(self, error: BaseException) -> float | None:
        return read_retry_after(error, self.clock.wall())

    def _record(
        self, permit: Permit, outcome: Outcome, started: float = math.nan, verdict: Verdict = NO_VERDICT
    ) -> None:
        now = self.clock.monotonic()
        limit = self.config.slow_call_duration
        slow = limit is not None and now - started > limit
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
        if fresh and self._machine.state is not BreakerState.DISABLED:
            self._machine.absorb(fresh)

    def _settle(self) -> list[Transition]:
        """Under the lock: if the machine moved, show its new state to the hot path."""
        moves = self._machine.moves
        if moves:
            self._machine.moves = []
            self._publish()
        return moves

    def _publish(self) -> None:
        """Show the machine's state to the hot path. A reader between two lines is at worst refused once."""
        machine, cells = self._machine, self.cells
        cells["admit"].cell_contents = None
        cells["state"].cell_contents = machine.state.value
        cells["reason"].cell_contents = machine.reason
        cells["open_until"].cell_contents = machine.open_until
        self._retired.append(self._counter)
        self._counter = _Counter(machine.generation)
        if machine.state in _PASSING:
            cells["admit"].cell_contents = self._counter.tick

    def _tell(self, moves: list[Transition], by: str) -> None:
        for old, new, reason in moves:
            level = logging.INFO if new in _PASSING or new is BreakerState.HALF_OPEN else logging.WARNING
            told = {"breaker": self.name, "old_state": old.value, "new_state": new.value, "by": by}
            logger.log(level, "circuit %r: %s -> %s (%s)", self.name, old.value, new.value, reason, extra=told)
            self.events.publish(
                BreakerStateChanged(
                    at=self.clock.wall(), breaker=self.name, old=old.value, new=new.value, reason=reason, by=by
                )
            )
