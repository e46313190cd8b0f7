"""What a healing brought, as frozen records."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.events import Alert


class Outcome(enum.StrEnum):
    """How an alert was answered.

    ``HEALED`` and ``FAILED`` are attempts that ended; ``INTERRUPTED`` is one that was stopped or broken
    off and says nothing; ``REFUSED`` was never begun; ``PLANNED`` is a dry run, which touched nothing and
    so cannot know whether it would have helped.
    """

    HEALED = "healed"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    PLANNED = "planned"


class GuardName(enum.StrEnum):
    """What can refuse a healing, in the order in which it is asked."""

    STRATEGY = "strategy"
    STOPPED = "stopped"
    OBSERVING = "observing"
    FLAGS = "flags"
    DORMANCY = "dormancy"
    SETTLING = "settling"
    PROTECTED = "protected"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    APPROVAL = "approval"
    BREAKER = "breaker"
    BACKOFF = "backoff"
    GRACE = "grace"
    STRATEGY_BUDGET = "strategy_budget"
    BUDGET = "budget"
    BLAST_RADIUS = "blast_radius"
    HELD = "held"
    LOCKED = "locked"
    BUSY = "busy"


FOR_ALL = frozenset(
    {
        GuardName.STOPPED,
        GuardName.OBSERVING,
        GuardName.FLAGS,
        GuardName.DORMANCY,
        GuardName.SETTLING,
        GuardName.BREAKER,
        GuardName.BACKOFF,
        GuardName.BUDGET,
        GuardName.BUSY,
    }
)
"""Guards whose refusal of one alert is a refusal of every alert. The others are about one target or strategy."""


class Lane(enum.StrEnum):
    """Two kinds of healing. Each has its own count of failures in a row and its own backoff."""

    HEALING = "healing"
    PREVENTIVE = "preventive"


@attrs.frozen(kw_only=True)
class HealingResult:
    """What a healing may return to say more than ``True`` or ``False``.

    Args:
        success: whether the problem is gone.
        reason: in words, what was done or what stood against it.
        error: what went wrong, for the breaker's conditions; ``None`` where nothing was raised.
        details: further facts for whoever reads the record.
        planned: nothing was done, only planned: neither a success nor a failure.
        interrupted_by: the guard that ended it before it could succeed or fail.
    """

    success: bool
    reason: str = ""
    error: BaseException | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)
    planned: bool = False
    interrupted_by: GuardName | None = None


@attrs.frozen(kw_only=True)
class HealingRecord:
    """One answer to one alert.

    Args:
        alert: what was answered.
        strategy: name of what ran, or would have; empty if none answers the alert.
        outcome: healed, failed, refused or interrupted.
        guard: what refused or interrupted it; ``None`` otherwise.
        reason: in words.
        started: wall-clock seconds since 1970 UTC; of the first one where refusals were counted together.
        duration: seconds it ran; 0 if refused.
        error: the error as text; empty if there was none.
        count: how many times this same refusal came in a row; 1 for everything else.
        last: wall-clock seconds of the latest of them.
        retry_in: seconds, at that moment, until the guard may let one through; ``None`` if only a person can say.
        details: what the healing's result said beyond that.
    """

    alert: Alert
    strategy: str
    outcome: Outcome
    guard: GuardName | None = None
    reason: str = ""
    started: float
    duration: float = 0.0
    error: str = ""
    count: int = 1
    last: float = attrs.field(default=attrs.Factory(lambda self: self.started, takes_self=True))
    retry_in: float | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class HealerSnapshot:
    """Everything there is to see of a healer now.

    Args:
        enabled: whether the flags let it heal.
        is_dormant: whether it stands still until a person resumes it.
        dormant_reason: why, ``None`` while it is not dormant.
        consecutive_failures: failed healings in a row.
        backoff_delay: seconds of wait that the latest failure brought; 0 without failure.
        retry_in: seconds until settling, backoff and budget let one through; 0 if now.
        settling: seconds left to let things settle after a clock jump; 0 if there was none.
        total_attempts: healings begun, preventive ones included.
        successful_healings: those that healed.
        failed_healings: those that failed.
        interrupted_healings: those that were stopped or broken off.
        refused: how many times each guard refused one.
        pending: alerts that wait for a healing.
        dropped: alerts not taken because too many were waiting.
        expired: alerts that waited longer than their time to live.
        running: healings in progress.
        probation: whether only one at a time may run, because none has succeeded since the last resume.
        preventive_failures: failed preventive healings in a row.
        attempts_last_hour: healings begun in the last 3600 s.
        max_attempts_per_hour: how many there can be at most in any 3600 s.
        max_failing_attempts_per_hour: how many there can be at most while every one of them fails.
    """

    enabled: bool
    is_dormant: bool
    dormant_reason: str | None
    consecutive_failures: int
    backoff_delay: float
    retry_in: float
    settling: float
    total_attempts: int
    successful_healings: int
    failed_healings: int
    interrupted_healings: int
    refused: Mapping[GuardName, int]
    pending: int
    dropped: int
    expired: int
    running: int
    probation: bool
    preventive_failures: int
    attempts_last_hour: int
    max_attempts_per_hour: int
    max_failing_attempts_per_hour: int
