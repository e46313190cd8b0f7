"""Snapshots as the JSON of ``/api/status``: camelCase keys, durations in whole milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from selfheal.status.calls import Calls
from selfheal.status.words import iso, ms

if TYPE_CHECKING:
    from selfheal.healing import HealerSnapshot
    from selfheal.policies.breaker import BreakerSnapshot
    from selfheal.policies.breaker.snapshot import ResetRecord
    from selfheal.policies.dormancy import DormancyRecord, ResumeRecord
    from selfheal.policies.flags import Flag
    from selfheal.tasks import RegistrySnapshot, TaskSnapshot

Json = dict[str, Any]

OWN_KEYS = (
    "status",
    "timestamp",
    "selfHealing",
    "circuitBreakers",
    "backgroundTasks",
    "issues",
    "recommendations",
    "dormancy",
    "healing",
    "circuitBreakerDetails",
    "backgroundTaskDetails",
    "flags",
    "limits",
)
"""Top-level keys that selfheal fills, in their order; the host's sections follow under other names."""


def self_healing(healer: HealerSnapshot | None, is_dormant: bool, reason: str | None) -> Json:
    """``selfHealing``: eight keys; all at rest when there is no healer."""
    return {
        "enabled": healer.enabled if healer else False,
        "isDormant": is_dormant,
        "dormantReason": reason if is_dormant else None,
        "consecutiveFailures": healer.consecutive_failures if healer else 0,
        "backoffDelay": ms(healer.backoff_delay) if healer else 0,
        "totalAttempts": healer.total_attempts if healer else 0,
        "successfulHealings": healer.successful_healings if healer else 0,
        "failedHealings": healer.failed_healings if healer else 0,
    }


def healing(healer: HealerSnapshot | None) -> Json:
    """``healing``: what else the healer tells; empty when there is none."""
    if healer is None:
        return {}
    return {
        "retryIn": ms(healer.retry_in),
        "settling": ms(healer.settling),
        "pending": healer.pending,
        "running": healer.running,
        "probation": healer.probation,
        "preventiveFailures": healer.preventive_failures,
        "interruptedHealings": healer.interrupted_healings,
        "droppedAlerts": healer.dropped,
        "expiredAlerts": healer.expired,
        "refused": {str(guard): count for guard, count in healer.refused.items()},
    }


def breaker(snapshot: BreakerSnapshot) -> Json:
    """One entry of ``circuitBreakers``: five keys."""
    return {
        "name": snapshot.name,
        "state": str(snapshot.state),
        "failureCount": snapshot.failure_count,
        "lastFailureAgo": ms(snapshot.last_failure_ago),
        "permanentOpenReason": snapshot.permanent_open_reason,
    }


def breaker_details(snapshot: BreakerSnapshot) -> Json:
    """One entry of ``circuitBreakerDetails``: what the five keys do not tell."""
    last = snapshot.last_reset
    return {
        "inStateFor": ms(snapshot.since),
        "reason": snapshot.reason,
        "retryAfter": ms(snapshot.retry_after),
        "successes": snapshot.successes,
        "failures": snapshot.failures,
        "ignored": snapshot.ignored,
        "rejected": snapshot.rejected,
        "cancelled": snapshot.cancelled,
        "late": snapshot.late,
        "slowCalls": snapshot.slow_calls,
        "failureRate": snapshot.failure_rate,
        "slowCallRate": snapshot.slow_call_rate,
        "openedCount": snapshot.opened_count,
        "lastError": snapshot.last_error,
        "lastReset": None if last is None else _last_reset(last),
    }


def _last_reset(last: ResetRecord) -> Json:
    return {"at": iso(last.at), "reason": last.reason, "by": last.by, "forced": last.forced, "was": str(last.was)}


def background_tasks(registry: RegistrySnapshot | None) -> Json:
    """``backgroundTasks``: totals and one entry a task."""
    if registry is None:
        return {"totalTasks": 0, "activeTasks": 0, "tasks": []}
    return {
        "totalTasks": registry.total_tasks,
        "activeTasks": registry.active_tasks,
        "tasks": [task(snapshot) for snapshot in registry.tasks],
    }


def task(snapshot: TaskSnapshot) -> Json:
    """One entry of ``backgroundTasks.tasks``: nine keys."""
    return {
        "id": snapshot.id,
        "type": str(snapshot.type),
        "enabled": snapshot.enabled,
        "executionCount": snapshot.execution_count,
        "failureCount": snapshot.failure_count,
        "lastError": snapshot.last_error,
        "lastDuration": ms(snapshot.last_duration),
        "uptime": ms(snapshot.uptime),
        "nextRun": iso(snapshot.next_run),
    }


def task_details(snapshot: TaskSnapshot) -> Json:
    """One entry of ``backgroundTaskDetails``: what the nine keys do not tell."""
    return {
        "nextIn": ms(snapshot.next_in),
        "running": snapshot.running,
        "overdue": snapshot.overdue,
        "phase": str(snapshot.phase),
        "consecutiveFailures": snapshot.consecutive_failures,
        "misfires": snapshot.misfires,
        "missed": snapshot.missed,
        "skipped": snapshot.skipped,
        "owner": snapshot.owner,
        "generation": snapshot.generation,
    }


def dormancy(record: DormancyRecord | None, last: ResumeRecord | None, wall: float, calls: Calls) -> Json:
    """``dormancy``: why, since when, by what; what would let it resume, and the call that does."""
    shown: Json = {
        "isDormant": record is not None,
        "reason": None,
        "since": None,
        "dormantFor": None,
        "triggeredBy": None,
        "resumeConditions": [],
        "manualResetRequired": False,
        "resumeCall": None,
        "lastResume": None if last is None else _last_resume(last),
    }
    if record is not None:
        shown |= {
            "reason": record.reason,
            "since": iso(record.timestamp),
            "dormantFor": ms(max(wall - record.timestamp, 0.0)),
            "triggeredBy": str(record.triggered_by),
            "resumeConditions": list(record.resume_conditions),
            "manualResetRequired": record.manual_reset_required,
            "resumeCall": calls.resume(),
        }
    return shown


def _last_resume(last: ResumeRecord) -> Json:
    return {"at": iso(last.timestamp), "reason": last.reason, "by": last.by, "problems": list(last.problems)}


def flags(all_flags: Sequence[Flag]) -> Json:
    """``flags``: each flag's value, where it came from, and what is wrong with it."""
    return {flag.name: {"value": flag.value, "origin": flag.origin, "problem": flag.problem} for flag in all_flags}


def limits(healer: HealerSnapshot | None) -> Json:
    """``limits``: how many healings an hour can hold at most, and how many the last one held; empty without healer."""
    if healer is None:
        return {}
    return {
        "maxAttemptsPerHour": healer.max_attempts_per_hour,
        "maxFailingAttemptsPerHour": healer.max_failing_attempts_per_hour,
        "attemptsLastHour": healer.attempts_last_hour,
    }
