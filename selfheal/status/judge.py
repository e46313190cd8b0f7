"""What the facts mean: pure functions from snapshots to findings. Nothing here collects or waits."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from selfheal.status.calls import PLAIN, Calls, told
from selfheal.status.words import spoken

if TYPE_CHECKING:
    from selfheal.healing import HealerSnapshot
    from selfheal.policies.breaker import BreakerSnapshot
    from selfheal.policies.flags import Flag
    from selfheal.tasks import RegistrySnapshot, TaskSnapshot

FAILURES_TO_WARN = 5
"""Consecutive failed healings from which on the status is a warning."""


class Level(enum.StrEnum):
    """How the host is, as one word."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that a person should know.

    Args:
        level: what it makes of the whole status; ``HEALTHY`` for a remark that does not worsen it.
        issue: what is the matter. Critical ones begin with ``CRITICAL:``.
        recommendation: what to do about it, naming the call to make; empty for nothing.
    """

    level: Level = attrs.field(converter=Level)
    issue: str
    recommendation: str = ""


_RANK = {Level.CRITICAL: 0, Level.WARNING: 1, Level.HEALTHY: 2}


def overall(findings: Iterable[Finding]) -> Level:
    """The worst level among ``findings``; healthy without any."""
    return min((finding.level for finding in findings), key=_RANK.__getitem__, default=Level.HEALTHY)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """``findings`` with critical ones first; equals keep their order."""
    return sorted(findings, key=lambda finding: _RANK[finding.level])


def judge_dormancy(is_dormant: bool, reason: str | None, calls: Calls = PLAIN) -> list[Finding]:
    """Dormant is critical: nothing is healed until a person resumes it."""
    if not is_dormant:
        return []
    return [
        Finding(
            level=Level.CRITICAL,
            issue=f"CRITICAL: self-healing is dormant: {reason or 'no reason recorded'}. "
            "Nothing is healed until a person resumes it.",
            recommendation=f"Fix the cause, then resume self-healing: {told(calls.resume())}.",
        )
    ]


def _in(seconds: float, due: str = "now") -> str:
    return f"in {spoken(seconds)}" if seconds > 0 else due


def judge_healer(healer: HealerSnapshot) -> list[Finding]:
    """Five failures in a row are a warning, until dormancy says more; what else holds healing back is a remark."""
    found = []
    if healer.consecutive_failures >= FAILURES_TO_WARN and not healer.is_dormant:
        found.append(
            Finding(
                level=Level.WARNING,
                issue=f"{healer.consecutive_failures} healings failed in a row; "
                f"the next one may begin {_in(healer.retry_in)}.",
                recommendation="Read the last errors in healer.history and fix the cause: "
                "healing goes dormant when the failures go on.",
            )
        )
    if healer.probation and not healer.is_dormant:
        found.append(
            Finding(
                level=Level.HEALTHY,
                issue="Self-healing was resumed and is on probation: one healing at a time until one succeeds.",
            )
        )
    if healer.settling > 0 and not healer.is_dormant:
        found.append(
            Finding(
                level=Level.HEALTHY,
                issue=f"The clock jumped: things settle, and the next healing may begin {_in(healer.settling)}.",
            )
        )
    if not healer.enabled:
        found.append(
            Finding(
                level=Level.HEALTHY,
                issue="Self-healing is switched off: faults are seen but not repaired.",
                recommendation="To switch it on, set FEATURE_AUTO_HEALING_ENABLED=true in .env.local or the "
                'environment, or call flags.override("FEATURE_AUTO_HEALING_ENABLED", True).',
            )
        )
    return found


def judge_breakers(breakers: Sequence[BreakerSnapshot], calls: Calls = PLAIN) -> list[Finding]:
    """Permanently open is critical; open, half-open and held open are warnings; out of force is a remark."""
    return [judged for breaker in breakers if (judged := _judge_breaker(breaker, calls)) is not None]


def _judge_breaker(breaker: BreakerSnapshot, calls: Calls) -> Finding | None:
    judged = _BREAKER_STATES.get(str(breaker.state))
    return judged(breaker, calls) if judged else None


def _permanently_open(breaker: BreakerSnapshot, calls: Calls) -> Finding:
    reason = breaker.permanent_open_reason or breaker.reason or "no reason recorded"
    return Finding(
        level=Level.CRITICAL,
        issue=f"CRITICAL: circuit breaker {breaker.name!r} is PERMANENT_OPEN: {reason}. Time does not close it.",
        recommendation=f"Fix what {breaker.name!r} calls, then close it: "
        f"{told(calls.reset(breaker.name, force=True))}.",
    )


def _open(breaker: BreakerSnapshot, calls: Calls) -> Finding:
    wait = "" if breaker.retry_after is None else f"; it tries again {_in(breaker.retry_after, 'at the next call')}"
    return Finding(
        level=Level.WARNING,
        issue=f"Circuit breaker {breaker.name!r} is OPEN after {breaker.failure_count} failures in a row{wait}.",
        recommendation=f"Look at what {breaker.name!r} calls. Once fixed, wait for its probe, or close it: "
        f"{told(calls.reset(breaker.name))}.",
    )


def _half_open(breaker: BreakerSnapshot, _: Calls) -> Finding:
    return Finding(
        level=Level.WARNING,
        issue=f"Circuit breaker {breaker.name!r} is HALF_OPEN: it is letting a probe through.",
    )


def _forced_open(breaker: BreakerSnapshot, calls: Calls) -> Finding:
    return Finding(
        level=Level.WARNING,
        issue=f"Circuit breaker {breaker.name!r} is FORCED_OPEN, held open by hand: "
        f"{breaker.reason or 'no reason given'}.",
        recommendation=f"To let calls through again: {told(calls.reset(breaker.name))}.",
    )


def _out_of_force(breaker: BreakerSnapshot, calls: Calls) -> Finding:
    return Finding(
        level=Level.HEALTHY,
        issue=f"Circuit breaker {breaker.name!r} is {breaker.state}: it lets every call through.",
        recommendation=f"To put it in force again: {told(calls.reset(breaker.name))}.",
    )


_BREAKER_STATES: dict[str, Callable[[BreakerSnapshot, Calls], Finding]] = {
    "PERMANENT_OPEN": _permanently_open,
    "OPEN": _open,
    "HALF_OPEN": _half_open,
    "FORCED_OPEN": _forced_open,
    "DISABLED": _out_of_force,
    "METRICS_ONLY": _out_of_force,
}


_STILL = {
    "stopped": ("the registry was shut down", "To have them run again, restart the service."),
    "forked": ("this process was forked from one where they ran", "To have them run here too, call tasks.start()."),
}
"""States of a registry in which nothing runs: why, and what to do."""


def judge_tasks(tasks: RegistrySnapshot, calls: Calls = PLAIN) -> list[Finding]:
    """Overload, a registry that runs nothing, a failing and a stuck task are warnings; 6 to 10 tasks a remark."""
    return [
        *_judge_load(tasks),
        *(judged for task in tasks.tasks if (judged := _judge_task(task, calls)) is not None),
    ]


def _judge_load(tasks: RegistrySnapshot) -> list[Finding]:
    if tasks.state == "exhausted":
        return [
            Finding(
                level=Level.WARNING,
                issue=f"Background tasks are held up: {tasks.abandoned} runs are stuck, and no further run starts.",
                recommendation="Give what the stuck tasks call a timeout, then restart the service.",
            )
        ]
    if tasks.state in _STILL:
        still, call = _STILL[tasks.state]
        return [Finding(level=Level.WARNING, issue=f"No background task runs: {still}.", recommendation=call)]
    if tasks.load == "overload":
        return [
            Finding(
                level=Level.WARNING,
                issue=f"Overload: {tasks.total_tasks} background tasks are registered, more than 10.",
                recommendation="Unregister what is not needed: tasks.unregister(id) "
                "or POST /api/tasks/{id}/unregister.",
            )
        ]
    if tasks.load == "caution":
        return [
            Finding(
                level=Level.HEALTHY,
                issue=f"Caution: {tasks.total_tasks} background tasks are registered; 3 to 5 are normal, 10 the most.",
                recommendation="See whether all are needed: GET /api/tasks.",
            )
        ]
    return []


def _judge_task(task: TaskSnapshot, calls: Calls) -> Finding | None:
    if task.phase == "stuck":
        issue = f"Background task {task.id!r} is stuck: a run is past its timeout and has not ended."
    elif task.consecutive_failures and task.enabled:
        failed = f"{task.consecutive_failures} failures in a row, {task.failure_count} of {task.execution_count} runs"
        issue = f"Background task {task.id!r} fails ({failed}): {task.last_error}"
    else:
        return None
    return Finding(
        level=Level.WARNING,
        issue=issue,
        recommendation=f"Fix what {task.id!r} does; to stop it meanwhile: {told(calls.task(task.id, 'pause'))}.",
    )


def judge_flags(flags: Sequence[Flag]) -> list[Finding]:
    """A flag whose value cannot be read counts as off, which is a warning."""
    return [
        Finding(
            level=Level.WARNING,
            issue=f"{flag.name} cannot be read and counts as off: {flag.problem}",
            recommendation=f"Set {flag.name} to true or false in {flag.origin}.",
        )
        for flag in flags
        if flag.problem
    ]
