"""What happened, as frozen records."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from selfheal.errors import ConfigError


class Severity(enum.StrEnum):
    """How bad an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


def _severity(value: str) -> Severity:
    try:
        return Severity(value)
    except ValueError:
        words = ", ".join(repr(severity.value) for severity in Severity)
        raise ConfigError("Alert.severity", value, f"one of {words}", "'warning'") from None


def _copied(labels: Mapping[str, str]) -> Mapping[str, str]:
    return dict(labels)


@attrs.frozen(kw_only=True)
class Event:
    """Base of all events.

    Args:
        at: wall-clock seconds since 1970 UTC, for people and journals.
    """

    at: float = 0.0


@attrs.frozen(kw_only=True)
class Alert(Event):
    """Something is wrong with a target.

    Args:
        kind: what is wrong (``"high_latency"``).
        target: what it is wrong with (a service, a worker, a host).
        metric: the metric that showed it, or empty.
        value: the value that showed it; ``nan`` where there is none.
        severity: info, warning or critical.
        fingerprint: what makes two alerts the same problem; by default kind, target and metric.
        message: for people.
        labels: further facts, text to text; copied.

    Raises:
        ConfigError: if ``severity`` is none of the three.
    """

    kind: str
    target: str = ""
    metric: str = ""
    value: float = float("nan")
    severity: Severity = attrs.field(default=Severity.WARNING, converter=_severity)
    fingerprint: str = attrs.field()
    message: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_copied)

    @fingerprint.default
    def _same_problem(self) -> str:
        return f"{self.kind}|{self.target}|{self.metric}"


@attrs.frozen(kw_only=True)
class AlertCleared(Event):
    """A problem is gone.

    Args:
        fingerprint: of the alert that no longer holds.
    """

    fingerprint: str


@attrs.frozen(kw_only=True)
class BreakerStateChanged(Event):
    """A circuit breaker moved from one state to another.

    Args:
        breaker: its name.
        old: state it left.
        new: state it entered.
        reason: why.
        by: who, where a person did it; else empty.
    """

    breaker: str
    old: str
    new: str
    reason: str
    by: str = ""


@attrs.frozen(kw_only=True)
class DormancyEntered(Event):
    """Healing stopped until a person resumes it.

    Args:
        reason: why.
        triggered_by: ``automatic``, ``circuit_breaker`` or ``manual``.
    """

    reason: str
    triggered_by: str


@attrs.frozen(kw_only=True)
class DormancyLeft(Event):
    """A person resumed healing.

    Args:
        reason: what they gave as reason.
        by: who.
    """

    reason: str
    by: str


@attrs.frozen(kw_only=True)
class ResumeLooksPossible(Event):
    """All resume checks pass while dormant. Nothing resumes by itself.

    Args:
        reason: why it is dormant.
    """

    reason: str


@attrs.frozen(kw_only=True)
class TaskFailed(Event):
    """A run of a registered task raised.

    Args:
        task_id: the task.
        error: the error as text.
        consecutive: failures in a row, this one included.
    """

    task_id: str
    error: str
    consecutive: int


@attrs.frozen(kw_only=True)
class TaskOverdue(Event):
    """A run of a registered task is past its timeout.

    Args:
        task_id: the task.
        timeout: seconds it was given.
        abandoned: whether its thread could not be ended and was left behind.
    """

    task_id: str
    timeout: float
    abandoned: bool


@attrs.frozen(kw_only=True)
class WorkersExhausted(Event):
    """As many task runs were abandoned as may be; the registry starts no more runs.

    Args:
        abandoned: how many are stuck.
        task_ids: their tasks.
    """

    abandoned: int
    task_ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ClockJumped(Event):
    """The wall clock and the monotonic clock moved apart: a suspend or a clock step.

    Args:
        seconds: how far the wall clock moved more than the monotonic one.
    """

    seconds: float


@attrs.frozen(kw_only=True)
class HealingFinished(Event):
    """A healing was attempted, or a guard refused it.

    Args:
        alert: what it answered.
        strategy: name of what ran.
        outcome: ``healed``, ``failed``, ``refused`` or ``interrupted``.
        guard: the guard that refused, or empty.
        reason: in words.
        duration: seconds it ran; 0 when refused.
    """

    alert: Alert
    strategy: str
    outcome: str
    guard: str = ""
    reason: str = ""
    duration: float = 0.0


@attrs.frozen(kw_only=True)
class ActionAudited(Event):
    """A person changed something through a steering call, or was refused.

    Args:
        who: who asked.
        what: the call (``"resume"``, ``"breaker.reset"``).
        target: what it was about.
        reason: why they said they did it.
        allowed: whether it was done.
        detail: what came of it.
    """

    who: str
    what: str
    target: str = ""
    reason: str = ""
    allowed: bool = True
    detail: str = ""


@attrs.frozen(kw_only=True)
class ApprovalRequested(Event):
    """A level of a strategy waits for a person.

    Args:
        id: to approve or deny it by.
        strategy: that asks.
        target: what it would act on.
        level: which level of it.
        why: what it would do, in words.
        expires_at: wall-clock seconds since 1970 UTC; until then it can be decided.
    """

    id: str
    strategy: str
    target: str
    level: str
    why: str
    expires_at: float
