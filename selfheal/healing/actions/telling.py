"""Actions that tell and keep: nothing is changed, nothing has to be undone."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Literal

import attrs

from selfheal.events import Alert, Severity
from selfheal.healing.actions.protocol import (
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Receipt,
)
from selfheal.levers import Notification, Notifying, Snapshotting
from selfheal.redaction import scrub

logger = logging.getLogger("selfheal.healing.actions")

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_OF_SEVERITY = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}


def in_words(alert: Alert) -> str:
    """An alert in one line: what is wrong, with what, by which value."""
    told = f"{alert.kind} on {alert.target}" if alert.target else alert.kind
    if alert.metric:
        told += f", {alert.metric}" + ("" if math.isnan(alert.value) else f" is {alert.value:g}")
    return told


@attrs.frozen(kw_only=True)
class LogParams:
    """What is logged.

    Args:
        message: put before what the alert tells.
        level: of the record; by default that of the alert's severity.
    """

    message: str = ""
    level: Literal["debug", "info", "warning", "error", "critical"] | None = None


class Log(BaseAction):
    """Write one record to the logger ``selfheal.healing.actions``. Verified by whether the level was logged at all."""

    name = "log"
    effect = Effect.NEUTRAL
    timeout = 5.0
    params = LogParams

    def plan(self, call: ActionCall) -> Plan:
        """The line, without secrets."""
        params: LogParams = call.params
        told = f"{params.message}: {in_words(call.alert)}" if params.message else in_words(call.alert)
        line = f"{call.strategy}: {told}" + (f" ({call.alert.message})" if call.alert.message else "")
        return {
            "level": params.level or _OF_SEVERITY[call.alert.severity],
            "line": scrub(" ".join(line.split()))[:1000],
        }

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Write it."""
        level = _LEVELS[plan["level"]]
        logger.log(level, "%s", plan["line"])
        return {"logged": logger.isEnabledFor(level)}

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether records of that level are written."""
        return bool(receipt["logged"])


@attrs.frozen(kw_only=True)
class NotifyParams:
    """What people are told.

    Args:
        title: in one line; by default what the alert tells.
        body: in full; by default the message of the alert.
        severity: by default that of the alert.
    """

    title: str = ""
    body: str = ""
    severity: Severity | None = None


class Notify(BaseAction):
    """Tell people. Whether it arrived cannot be told afterwards, so what is in doubt stays in doubt.

    The fingerprint is the action's key: :class:`~selfheal.levers.Notifiers` deliver it once, even if it is run again.
    """

    name = "notify"
    effect = Effect.NEUTRAL
    needs = (LeverNeed(role="notifier", protocol=Notifying),)
    params = NotifyParams

    def plan(self, call: ActionCall) -> Plan:
        """What is going to be told."""
        params: NotifyParams = call.params
        return {
            "title": scrub(params.title or in_words(call.alert))[:300],
            "body": scrub(params.body or call.alert.message)[:10_000],
            "severity": str(params.severity or call.alert.severity),
        }

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Deliver it.

        Raises:
            NotifyError: if nobody took it.
        """
        alert = call.alert
        labels = {"strategy": call.strategy, "target": call.target, "kind": alert.kind, "metric": alert.metric}
        notification = Notification(
            title=plan["title"],
            body=plan["body"],
            severity=plan["severity"],
            at=call.clock.wall(),
            labels={key: value for key, value in labels.items() if value},
            fingerprint=call.key,
        )
        call.lever("notifier", Notifying).notify(notification)
        return {"notified": True}


@attrs.frozen(kw_only=True)
class SnapshotParams:
    """Why a snapshot is taken.

    Args:
        reason: by default the strategy and what the alert tells.
    """

    reason: str = ""


class Snapshot(BaseAction):
    """Keep what is to be seen now in a file. Verified by the file being there."""

    name = "snapshot"
    effect = Effect.NEUTRAL
    timeout = 60.0
    needs = (LeverNeed(role="snapshotter", protocol=Snapshotting),)
    params = SnapshotParams

    def plan(self, call: ActionCall) -> Plan:
        """The reason that will stand in it."""
        params: SnapshotParams = call.params
        return {"reason": scrub(params.reason or f"{call.strategy}: {in_words(call.alert)}")[:1000]}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Take it.

        Raises:
            OSError: if it cannot be written.
        """
        return {"path": str(call.lever("snapshotter", Snapshotting).snapshot(plan["reason"]))}

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether the file is there and not empty."""
        path = Path(receipt["path"])
        return path.is_file() and path.stat().st_size > 0
