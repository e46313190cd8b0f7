"""What the engine writes to its journal, entry by entry: every intent before it is acted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from selfheal.events import Alert
from selfheal.healing.engine.saga import Saga, Step
from selfheal.healing.records import HealingRecord


class Journalling(Protocol):
    """What the engine needs of a journal: :class:`selfheal.journal.Journal`, or anything like it."""

    @property
    def writing(self) -> bool:
        """Whether this process is the one that writes it."""

    def append(self, type: str, /, *, sync: bool = False, **fields: Any) -> object:
        """Write one entry, or raise; ``sync`` waits for the disk."""

    def try_to_write(self) -> bool:
        """Become the one that writes it, if nobody is; tell whether this one is."""


class NoJournal:
    """Keeps nothing: what was done is forgotten with the process."""

    writing = True

    def append(self, type: str, /, *, sync: bool = False, **fields: Any) -> object:
        """Forget it."""
        return None

    def try_to_write(self) -> bool:
        """Always."""
        return True


@attrs.frozen(kw_only=True)
class RunFacts:
    """What every entry of one healing is about.

    Args:
        run: its id.
        strategy: name.
        target: what is healed.
        alert: what is answered.
        dry_run: whether nothing is touched.
    """

    run: str
    strategy: str
    target: str
    alert: Alert
    dry_run: bool


class Chronicle:
    """Writes healings to a journal.

    Args:
        journal: where to.
    """

    def __init__(self, journal: Journalling) -> None:
        self.journal = journal

    def started(self, facts: RunFacts, level: str, actions_total: int, trigger: str, *, rollback: bool) -> None:
        """A healing begins."""
        self.journal.append(
            "healing_started",
            run=facts.run,
            strategy=facts.strategy,
            target=facts.target,
            alert=alert_data(facts.alert),
            mode="dry_run" if facts.dry_run else "live",
            level=level,
            actions_total=actions_total,
            trigger=trigger,
            rollback=rollback,
        )

    def level(self, facts: RunFacts, level: str, step: int) -> None:
        """A level is entered; its first step has this number."""
        self.journal.append("level_started", run=facts.run, level=level, step=step)

    def intends(self, facts: RunFacts, step: Step, *, destructive: bool) -> None:
        """An action is about to run. One that ends or removes something waits for the disk first."""
        self.journal.append(
            "action_intent",
            sync=destructive,
            run=facts.run,
            step=step.number,
            action=step.action,
            target=step.target,
            key=f"{facts.run}:{step.number}",
            plan=dict(step.plan),
            effect=step.effect.value,
            destructive=destructive,
            params=dict(step.params),
            levers=dict(step.levers),
            undo_after=step.undo_after,
            dry_run=facts.dry_run,
        )

    def done(self, run: str, step: Step, *, recovered: bool = False) -> None:
        """An action took effect."""
        receipt = dict(step.receipt or {})
        self.journal.append("action_done", run=run, step=step.number, receipt=receipt, recovered=recovered)

    def failed(self, run: str, step: Step, *, in_doubt: bool) -> None:
        """An action did not take effect; or nobody knows."""
        self.journal.append("action_failed", run=run, step=step.number, error=step.error, in_doubt=in_doubt)

    def not_begun(self, run: str, step: Step) -> None:
        """An action was refused, or could not be planned: it failed without an intent."""
        self.journal.append(
            "action_failed",
            run=run,
            step=step.number,
            action=step.action,
            target=step.target,
            error=step.error,
            in_doubt=False,
        )

    def skipped(self, run: str, step: Step, reason: str) -> None:
        """An action had nothing to do."""
        self.journal.append(
            "action_skipped", run=run, step=step.number, action=step.action, target=step.target, reason=reason
        )

    def verified(self, run: str, level: str, verdict: str, facts: Mapping[str, Any]) -> None:
        """A level was judged."""
        self.journal.append("verified", run=run, level=level, verdict=verdict, **facts)

    def undoing(self, run: str, step: Step, why: str) -> None:
        """An action is about to be undone."""
        self.journal.append("rollback_intent", run=run, step=step.number, action=step.action, reason=why)

    def undone(self, run: str, step: Step, left: str = "") -> None:
        """An action was undone; what it left alone, because somebody had changed it since."""
        self.journal.append("rollback_done", run=run, step=step.number, left=left)

    def stuck(self, run: str, step: Step, error: str) -> None:
        """An action could not be undone."""
        self.journal.append("rollback_failed", sync=True, run=run, step=step.number, error=error)

    def finished(
        self,
        facts: RunFacts,
        saga: Saga,
        actions_total: int,
        *,
        outcome: str,
        guard: str,
        reason: str,
        duration: float,
    ) -> None:
        """A healing has ended."""
        self.journal.append(
            "healing_finished",
            run=facts.run,
            strategy=facts.strategy,
            target=facts.target,
            metric=facts.alert.metric,
            value=facts.alert.value,
            severity=facts.alert.severity.value,
            actions_executed=0 if facts.dry_run else saga.executed,
            actions_total=actions_total,
            success=outcome == "healed",
            dry_run=facts.dry_run,
            outcome=outcome,
            guard=guard,
            reason=reason,
            actions=saga.told(),
            duration=round(duration, 3),
            fingerprint=facts.alert.fingerprint,
        )

    def refused(self, record: HealingRecord) -> None:
        """A guard refused; told once for as long as it goes on."""
        self.journal.append(
            "healing_refused",
            strategy=record.strategy,
            target=record.alert.target,
            fingerprint=record.alert.fingerprint,
            guard=record.guard or "",
            reason=record.reason,
            retry_in=record.retry_in,
        )

    def held(self, target: str, run: str, step: int, reason: str) -> None:
        """A target is left alone until a person has looked at it."""
        self.journal.append("target_held", sync=True, target=target, run=run, step=step, reason=reason)

    def released(self, target: str, reason: str, by: str) -> None:
        """A person looked at a target."""
        self.journal.append("target_released", sync=True, target=target, reason=reason, by=by)

    def note(self, kind: str, /, *, sync: bool = False, **fields: Any) -> None:
        """Anything else: approvals, silences, dormancy."""
        self.journal.append(kind, sync=sync, **fields)


def alert_data(alert: Alert) -> dict[str, Any]:
    """An alert as plain data."""
    return {
        "kind": alert.kind,
        "target": alert.target,
        "metric": alert.metric,
        "value": alert.value if math.isfinite(alert.value) else None,
        "severity": alert.severity.value,
        "fingerprint": alert.fingerprint,
        "message": alert.message,
        "labels": dict(alert.labels),
        "at": alert.at,
    }


def alert_from(data: Mapping[str, Any]) -> Alert:
    """The alert of :func:`alert_data`."""
    known = {name: data[name] for name in ("target", "metric", "severity", "fingerprint", "message", "labels", "at")}
    value = data.get("value")
    return Alert(kind=str(data["kind"]), value=math.nan if value is None else float(value), **known)
