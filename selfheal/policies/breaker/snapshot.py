"""A circuit at one moment, as a frozen record."""

from __future__ import annotations

import attrs

from selfheal.policies.breaker.machine import BreakerState


@attrs.frozen(kw_only=True)
class ResetRecord:
    """A person closed a circuit.

    Args:
        at: wall-clock seconds since 1970 UTC.
        reason: why, as they gave it.
        by: who, as they gave it.
        forced: whether they forced it.
        was: the state it was in.
    """

    at: float
    reason: str
    by: str
    forced: bool
    was: BreakerState


@attrs.frozen(kw_only=True)
class BreakerSnapshot:
    """Everything there is to see of a circuit. Counts are since the breaker was made.

    Args:
        name: of the breaker.
        state: where it stands.
        reason: why it is there.
        since: seconds it has been there.
        failure_count: failures in a row.
        last_failure_ago: seconds since the last failure, ``None`` if there was none.
        last_error: that failure as text.
        permanent_open_reason: why only a person closes it, else ``None``.
        retry_after: seconds until a call may be let through, 0 if now, ``None`` if only a person can say.
        successes: calls that succeeded.
        failures: calls that failed.
        ignored: calls that raised something that is not counted.
        rejected: calls refused.
        cancelled: calls broken off.
        late: results that came too late to be looked at.
        slow_calls: calls slower than ``slow_call_duration``; 0 where calls are not timed.
        failure_rate: share of failures in the window, ``None`` without a window or calls.
        slow_call_rate: share of slow calls in the window, likewise.
        opened_count: times it opened.
        last_reset: the last reset by a person, or ``None``.
    """

    name: str
    state: BreakerState
    reason: str
    since: float
    failure_count: int
    last_failure_ago: float | None
    last_error: str
    permanent_open_reason: str | None
    retry_after: float | None
    successes: int
    failures: int
    ignored: int
    rejected: int
    cancelled: int
    late: int
    slow_calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    opened_count: int
    last_reset: ResetRecord | None
