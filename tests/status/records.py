"""Snapshots with everything at rest, of which a test changes what it is about."""

from __future__ import annotations

from typing import Any

from selfheal.healing.records import HealerSnapshot
from selfheal.policies.breaker import BreakerSnapshot, BreakerState
from selfheal.tasks.snapshots import RegistrySnapshot, TaskSnapshot, load_grade


def a_healer(**changes: Any) -> HealerSnapshot:
    """A healer that has done nothing."""
    rest: dict[str, Any] = {
        "enabled": True,
        "is_dormant": False,
        "dormant_reason": None,
        "consecutive_failures": 0,
        "backoff_delay": 0.0,
        "retry_in": 0.0,
        "settling": 0.0,
        "total_attempts": 0,
        "successful_healings": 0,
        "failed_healings": 0,
        "interrupted_healings": 0,
        "refused": {},
        "pending": 0,
        "dropped": 0,
        "expired": 0,
        "running": 0,
        "probation": False,
        "preventive_failures": 0,
        "attempts_last_hour": 0,
        "max_attempts_per_hour": 720,
        "max_failing_attempts_per_hour": 10,
    }
    return HealerSnapshot(**{**rest, **changes})


def a_breaker(name: str = "payments", state: str = "CLOSED", **changes: Any) -> BreakerSnapshot:
    """A closed breaker that has seen no call."""
    rest: dict[str, Any] = {
        "reason": "",
        "since": 0.0,
        "failure_count": 0,
        "last_failure_ago": None,
        "last_error": "",
        "permanent_open_reason": None,
        "retry_after": 0.0,
        "successes": 0,
        "failures": 0,
        "ignored": 0,
        "rejected": 0,
        "cancelled": 0,
        "late": 0,
        "slow_calls": 0,
        "failure_rate": None,
        "slow_call_rate": None,
        "opened_count": 0,
        "last_reset": None,
    }
    return BreakerSnapshot(name=name, state=BreakerState(state), **{**rest, **changes})


def a_task(task_id: str = "detect", **changes: Any) -> TaskSnapshot:
    """An interval task that waits for its first run."""
    rest: dict[str, Any] = {
        "type": "interval",
        "enabled": True,
        "phase": "waiting",
        "execution_count": 0,
        "failure_count": 0,
        "consecutive_failures": 0,
        "last_error": None,
        "last_duration": None,
        "uptime": 0.0,
        "next_run": None,
        "next_in": None,
        "missed": 0,
        "misfires": 0,
        "skipped": 0,
        "overdue": 0,
        "running": False,
        "owner": None,
        "generation": 1,
    }
    return TaskSnapshot(id=task_id, **{**rest, **changes})


def a_registry(*tasks: TaskSnapshot, **changes: Any) -> RegistrySnapshot:
    """A running registry of ``tasks``, graded as the real one grades."""
    rest: dict[str, Any] = {
        "total_tasks": len(tasks),
        "active_tasks": sum(task.enabled for task in tasks),
        "executions": sum(task.execution_count for task in tasks),
        "failures": sum(task.failure_count for task in tasks),
        "load": load_grade(len(tasks)),
        "max_tasks": 10,
        "state": "running",
        "abandoned": 0,
        "settling": 0.0,
    }
    return RegistrySnapshot(tasks=tasks, **{**rest, **changes})
