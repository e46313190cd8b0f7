"""The circuit breaker as a pure state machine: no clock, no lock, no callback, no I/O.

``acquire(now)`` answers a :class:`Permit` or a :class:`Rejected`; ``record(permit, ...)`` takes the
outcome. A permit carries the generation it was given in: entering any state starts a new generation,
and a result of an older one moves nothing.

==============  ===========================================================  ==================
from            when                                                         to
==============  ===========================================================  ==================
CLOSED          failures in a row, or rates of the window, reach the limit   OPEN
OPEN            its time is over and a call asks                             HALF_OPEN
HALF_OPEN       enough probes succeeded                                      CLOSED
HALF_OPEN       a probe failed                                               OPEN
any of these    a permanent condition, or ``permanent_threshold`` reached    PERMANENT_OPEN
PERMANENT_OPEN  ``reset(force=True)``                                        CLOSED
any             a person: force open, disable, metrics only, reset           as they say
==============  ===========================================================  ==================
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from selfheal.policies.breaker.config import BreakerConfig
from selfheal.policies.breaker.windows import FAILED, SLOW, make_window


class BreakerState(enum.StrEnum):
    """Where a circuit stands."""

    CLOSED = "CLOSED"
    """Calls go through and are counted."""
    OPEN = "OPEN"
    """Calls are refused until a time."""
    HALF_OPEN = "HALF_OPEN"
    """A few probes go through; their results decide."""
    PERMANENT_OPEN = "PERMANENT_OPEN"
    """Calls are refused until a person resets it by force."""
    FORCED_OPEN = "FORCED_OPEN"
    """Calls are refused until the person who holds it open resets it."""
    DISABLED = "DISABLED"
    """Calls go through and are not counted."""
    METRICS_ONLY = "METRICS_ONLY"
    """Calls go through and are counted; nothing opens it."""


class Outcome(enum.Enum):
    """What became of a permitted call."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """It raised something that says nothing about the target's health."""
    CANCELLED = "cancelled"
    """It was broken off: it gives its place back and decides nothing."""


class Permit(NamedTuple):
    """Leave to make one call.

    Attributes:
        generation: of the machine when it was given.
        probe: number of the probe, or ``None`` for an ordinary call.
    """

    generation: int
    probe: int | None = None


class Rejected(NamedTuple):
    """The call is not to be made.

    Attributes:
        wait: seconds until one may be; ``inf`` when only a person can say.
    """

    wait: float


class Verdict(NamedTuple):
    """What the caller found out about a failure, by the configured conditions.

    Attributes:
        permanent: the permanent condition it met, or ``None``.
        opens: the condition it met that opens at once, or ``None``.
        retry_after: seconds the other side asked for, or ``None``.
        error: the error as text.
    """

    permanent: str | None = None
    opens: str | None = None
    retry_after: float | None = None
    error: str = ""


class Transition(NamedTuple):
    """One step from state to state, with why."""

    old: BreakerState
    new: BreakerState
    reason: str


NO_VERDICT = Verdict()
_COUNTING = frozenset({BreakerState.CLOSED, BreakerState.METRICS_ONLY})
PASSING = _COUNTING | {BreakerState.DISABLED}
"""States that let every call through."""


class BreakerMachine:
    """Decides. Whoever owns it keeps calls to it one at a time and hands in the time.

    Args:
        config: the rules.
        now: monotonic seconds of its birth.

    Attributes:
        state: where it stands.
        generation: grows with every state entered.
        consecutive: failures in a row; only a success, or a reset, clears it.
        open_until: monotonic seconds until which an open circuit refuses; ``inf`` where time does nothing.
        openings: times it opened in a row without closing in between.
        moves: transitions not yet told of, oldest first; the owner takes them away.
    """

    def __init__(self, config: BreakerConfig, now: float) -> None:
        self.config = config
        self.state = BreakerState.CLOSED
        self.generation = 1
        self.reason = "new"
        self.since = now
        self.consecutive = 0
        self.openings = 0
        self.open_until = -math.inf
        self.permanent_reason: str | None = None
        self.last_failure: float | None = None
        self.last_error = ""
        self.successes = self.failures = self.ignored = self.cancelled = self.late = self.slow = self.opened = 0
        self.window = None if config.window is None else make_window(config.window)
        self._probes: dict[int, float] = {}
        self._probe_number = 0
        self._probe_successes = 0
        self.moves: list[Transition] = []

    def acquire(self, now: float) -> Permit | Rejected:
        """Ask to make one call at ``now`` (monotonic seconds)."""
        state = self.state
        if state is BreakerState.OPEN:
            if now < self.open_until:
                return Rejected(self.open_until - now)
            self._enter(BreakerState.HALF_OPEN, now, "its open time is over")
            return self._probe(now)
        if state is BreakerState.HALF_OPEN:
            return self._probe(now)
        if state is BreakerState.PERMANENT_OPEN or state is BreakerState.FORCED_OPEN:
            return Rejected(math.inf)
        return Permit(self.generation)

    def record(
        self, permit: Permit, outcome: Outcome, now: float, slow: bool = False, verdict: Verdict = NO_VERDICT
    ) -> None:
        """Take the outcome of a permitted call.

        A result from an older generation, or of a probe whose time was over, is counted as late and
        moves nothing.
        """
        if permit.generation != self.generation or not self._hand_back(permit):
            self.late += 1
        elif self.state is BreakerState.DISABLED:
            return
        elif outcome is Outcome.SUCCESS:
            self._succeed(permit, now, slow)
        elif outcome is Outcome.FAILURE:
            self._fail(permit, now, slow, verdict)
        elif outcome is Outcome.IGNORED:
            self.ignored += 1
        else:
            self.cancelled += 1

    def absorb(self, successes: int) -> None:
        """Take in successes of the current generation that were only counted when they happened."""
        if self.state is BreakerState.DISABLED:
            return
        self.successes += successes
        self.consecutive = 0
        if self.window is not None:
            self.window.absorb(successes)

    @property
    def only_counts(self) -> bool:
        """Whether calls go through and a success changes nothing but a count, so :meth:`absorb` may come later.

        Not while a window has fewer calls than it takes to judge: the success that makes it enough may open
        the circuit.
        """
        if self.state is BreakerState.DISABLED or self.window is None or self.config.window is None:
            return self.state in PASSING
        return self.state in PASSING and self.window.calls >= self.config.window.minimum_calls

    @property
    def look_at(self) -> float:
        """Monotonic seconds from which on a success has to be recorded, not only counted."""
        return math.inf if self.window is None else self.window.look_at

    def trip(self, now: float, reason: str, *, permanent: bool = False) -> None:
        """Open, as if the threshold had been reached."""
        if permanent:
            self._open_permanently(now, reason)
        elif self.state is not BreakerState.PERMANENT_OPEN:
            self._open_for_a_while(now, reason, None)

    def hold(self, state: BreakerState, now: float, reason: str) -> bool:
        """Enter FORCED_OPEN, DISABLED or METRICS_ONLY until a reset; false if PERMANENT_OPEN forbids it."""
        if self.state is BreakerState.PERMANENT_OPEN:
            return False
        if self.state is not state:
            self._enter(state, now, reason)
        return True

    def reset(self, now: float, reason: str) -> bool:
        """Close, forget the failures in a row, and tell whether that changed anything."""
        changed = self.state is not BreakerState.CLOSED or self.consecutive > 0
        self.consecutive = 0
        if self.state is not BreakerState.CLOSED:
            self._close(now, reason)
        elif self.window is not None:
            self.window.clear()
        return changed

    def forget_probes(self) -> None:
        """Free the places of all probes: whoever holds them will not come back."""
        self._probes.clear()

    def retry_in(self, now: float) -> float | None:
        """Seconds until a call may be let through; 0 if now; ``None`` when only a person can say."""
        if self.state in (BreakerState.PERMANENT_OPEN, BreakerState.FORCED_OPEN):
            return None
        if self.state is BreakerState.OPEN:
            return max(self.open_until - now, 0.0)
        if self.state is BreakerState.HALF_OPEN and len(self._probes) >= self.config.half_open_probes:
            return max(min(self._probes.values()) - now, 0.0)
        return 0.0

    def _probe(self, now: float) -> Permit | Rejected:
        if len(self._probes) >= self.config.half_open_probes:
            for number in [n for n, deadline in self._probes.items() if deadline <= now]:
                del self._probes[number]
        if len(self._probes) >= self.config.half_open_probes:
            return Rejected(min(self._probes.values()) - now)
        self._probe_number += 1
        self._probes[self._probe_number] = now + self.config.probe_timeout
        return Permit(self.generation, self._probe_number)

    def _hand_back(self, permit: Permit) -> bool:
        """Free the probe's place; false if it was given to another already."""
        return permit.probe is None or self._probes.pop(permit.probe, None) is not None

    def _succeed(self, permit: Permit, now: float, slow: bool) -> None:
        self.successes += 1
        self.slow += slow
        if permit.probe is None:
            self.consecutive = 0
            self._judge(now, SLOW if slow else 0)
        elif slow and self.config.window is not None and self.config.window.slow_call_rate is not None:
            self._open(now, "a probe was slow", None)
        else:
            self.consecutive = 0
            self._probe_successes += 1
            if self._probe_successes >= self.config.success_threshold:
                self._close(now, f"{self._probe_successes} probe(s) succeeded")

    def _fail(self, permit: Permit, now: float, slow: bool, verdict: Verdict) -> None:
        self.failures += 1
        self.slow += slow
        self.consecutive += 1
        self.last_failure = now
        self.last_error = verdict.error
        permanent_at = self.config.permanent_threshold if self.window is None else None
        if self.state is BreakerState.METRICS_ONLY:
            self._judge(now, FAILED | (SLOW if slow else 0))
        elif verdict.permanent is not None:
            self._open_permanently(now, verdict.permanent)
        elif permanent_at is not None and self.consecutive >= permanent_at:
            self._open_permanently(now, f"{self.consecutive} failures in a row, the last: {verdict.error}")
        elif permit.probe is not None:
            self._open(now, f"a probe failed: {verdict.error}", verdict.retry_after)
        elif verdict.opens is not None:
            self._open(now, verdict.opens, verdict.retry_after)
        elif self.window is not None:
            self._judge(now, FAILED | (SLOW if slow else 0), verdict)
        elif self.consecutive >= self.config.failure_threshold:
            self._open(now, f"{self.consecutive} failures in a row, the last: {verdict.error}", verdict.retry_after)

    def _judge(self, now: float, result: int, verdict: Verdict = NO_VERDICT) -> None:
        """Record a call in the window and open when a rate is reached."""
        window, rules = self.window, self.config.window
        if window is None or rules is None:
            return
        window.record(result, now)
        if window.calls < rules.minimum_calls or self.state is not BreakerState.CLOSED:
            return
        if window.failures / window.calls >= rules.failure_rate:
            share = f"{window.failures} of {window.calls} calls failed"
        elif rules.slow_call_rate is not None and window.slow / window.calls >= rules.slow_call_rate:
            share = f"{window.slow} of {window.calls} calls were slow"
        else:
            return
        self._open(now, share + (f", the last: {verdict.error}" if verdict.error else ""), verdict.retry_after)

    def _open(self, now: float, reason: str, retry_after: float | None) -> None:
        permanent_at = self.config.permanent_threshold
        if self.window is not None and permanent_at is not None and self.openings + 1 >= permanent_at:
            self._open_permanently(now, f"opened {permanent_at} times in a row, the last: {reason}")
        else:
            self._open_for_a_while(now, reason, retry_after)

    def _open_for_a_while(self, now: float, reason: str, retry_after: float | None) -> None:
        self.openings += 1
        backoff = self.config.open_backoff
        wait = self.config.open_for if backoff is None else backoff.delay(self.openings)
        if retry_after is not None:
            wait = max(wait, min(retry_after, self.config.retry_after_cap))
        self._enter(BreakerState.OPEN, now, reason)
        self.open_until = now + wait

    def _open_permanently(self, now: float, reason: str) -> None:
        if self.state is not BreakerState.PERMANENT_OPEN:
            self._enter(BreakerState.PERMANENT_OPEN, now, reason)
            self.permanent_reason = reason

    def _close(self, now: float, reason: str) -> None:
        self.openings = 0
        self._enter(BreakerState.CLOSED, now, reason)

    def _enter(self, state: BreakerState, now: float, reason: str) -> None:
        refuses_for_good = state in (BreakerState.PERMANENT_OPEN, BreakerState.FORCED_OPEN)
        self.moves.append(Transition(self.state, state, reason))
        self.opened += state in (BreakerState.OPEN, BreakerState.PERMANENT_OPEN)
        self.open_until = math.inf if refuses_for_good else -math.inf
        self.state = state
        self.generation += 1
        self.since = now
        self.reason = reason
        self.permanent_reason = None
        self._probes.clear()
        self._probe_successes = 0
        if self.window is not None and state in _COUNTING:
            self.window.clear()
