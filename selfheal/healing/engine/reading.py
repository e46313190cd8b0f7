"""What a journal says of the time before this process: budgets, held targets, and healings that never ended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from selfheal.configuring import structure
from selfheal.errors import SelfhealError
from selfheal.healing.actions.protocol import Effect
from selfheal.healing.engine.chronicle import RunFacts, alert_from
from selfheal.healing.engine.saga import Saga, Step, StepState
from selfheal.healing.records import Outcome
from selfheal.policies.approvals import Approval
from selfheal.policies.silences import Silence
from selfheal.policies.target_holds import TargetHold

PREVENTIVE = "preventive"
"""The trigger of a healing that answers no alert."""


class JournalLine(Protocol):
    """What is read of an entry."""

    @property
    def at(self) -> float:
        """When it was written, in wall seconds."""

    @property
    def type(self) -> str:
        """What kind of entry it is."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """What it says."""


@attrs.define(kw_only=True)
class Trace:
    """One healing as the journal tells it.

    Args:
        facts: what it is about.
        saga: its steps so far.
        began: wall seconds.
        total: actions it was to have.
        rollback: whether its actions are to be undone.
        preventive: whether no alert was answered by it: its failures are counted apart.
        ended: wall seconds; ``None`` if it never came to its end.
        cut_off: what kept it from that, in words.
        damaged: why its entries do not fit together; empty if they do.
    """

    facts: RunFacts
    saga: Saga = attrs.field(factory=Saga)
    began: float
    total: int = 0
    rollback: bool = True
    preventive: bool = False
    ended: float | None = None
    cut_off: str = "its process ended"
    damaged: str = ""

    @property
    def targets(self) -> set[str]:
        """Everything it is about, and everything that it touched."""
        acted = (step.target for step in self.saga if step.state is not StepState.SKIPPED)
        return {self.facts.target, *acted}

    @property
    def open_steps(self) -> list[Step]:
        """What is to be undone by itself some time after the end."""
        return [step for step in self.saga if step.to_release]


@attrs.define(kw_only=True)
class Past:
    """Everything that counts of what was before.

    Args:
        begun: strategy, target and wall seconds of each live healing.
        acted: wall seconds of each live action.
        failures: failed healings in a row.
        failed_at: wall seconds of the last of them.
        held: targets that a person has yet to look at.
        runs: healings that never ended, and those of which something is still to be undone; by id.
        approvals: by id, as they were last.
        silences: those not ended, by id.
        dormant: why healing stood still at the end; empty if it did not.
        entries: how many were read.
    """

    begun: list[tuple[str, str, float]] = attrs.field(factory=list)
    acted: list[float] = attrs.field(factory=list)
    failures: int = 0
    failed_at: float = 0.0
    held: dict[str, TargetHold] = attrs.field(factory=dict)
    runs: dict[str, Trace] = attrs.field(factory=dict)
    approvals: dict[str, Approval] = attrs.field(factory=dict)
    silences: dict[str, Silence] = attrs.field(factory=dict)
    dormant: str = ""
    entries: int = 0


def read_past(entries: Iterable[JournalLine], *, dry_run: bool, since: float) -> Past:
    """Read a journal from its beginning.

    Args:
        entries: in order, each with ``at``, ``type`` and ``fields``.
        dry_run: whether the budgets wanted are those of dry runs, which are apart.
        since: wall seconds; what began before does not count for budgets any more.

    An entry that makes no sense is passed over, and marks its healing as damaged: nothing of that one is undone.
    """
    past = Past()
    for entry in entries:
        past.entries += 1
        reader = _READERS.get(entry.type)
        if reader is None:
            continue
        try:
            reader(past, entry, dry_run, since)
        except (KeyError, TypeError, ValueError, SelfhealError) as error:
            trace = past.runs.get(str(entry.fields.get("run")))
            if trace is not None and not trace.damaged:
                trace.damaged = f"entry {entry.type} of it makes no sense: {type(error).__name__}: {error}"
    return past


def _started(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    fields = entry.fields
    dry = fields["mode"] == "dry_run"
    facts = RunFacts(
        run=str(fields["run"]),
        strategy=str(fields["strategy"]),
        target=str(fields["target"]),
        alert=alert_from(fields["alert"]),
        dry_run=dry,
    )
    if dry == dry_run and entry.at >= since:
        past.begun.append((facts.strategy, facts.target, entry.at))
    if not dry:
        past.runs[facts.run] = Trace(facts=facts, began=entry.at, total=int(fields["actions_total"]))
        past.runs[facts.run].rollback = fields.get("rollback") is not False
        past.runs[facts.run].preventive = fields.get("trigger") == PREVENTIVE


def _intended(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    fields = entry.fields
    dry = bool(fields.get("dry_run"))
    if dry == dry_run and entry.at >= since:
        past.acted.append(entry.at)
    if dry:
        return
    later = fields.get("undo_after")
    _fill(past.runs[fields["run"]].saga, int(fields["step"])).add(
        Step(
            number=int(fields["step"]),
            action=str(fields["action"]),
            target=str(fields["target"]),
            state=StepState.INTENDED,
            effect=Effect(fields["effect"]),
            plan=dict(fields["plan"]),
            params=dict(fields.get("params") or {}),
            levers=dict(fields.get("levers") or {}),
            undo_after=None if later is None else float(later),
            destructive=bool(fields["destructive"]),
        )
    )
    if "cut" in fields:
        past.runs[fields["run"]].damaged = "its plan was too long for the journal"


def _fill(saga: Saga, number: int) -> Saga:
    """Steps that were skipped or refused are written down without an intent."""
    while len(saga) < number:
        saga.add(Step(number=len(saga), action="", target="", state=StepState.SKIPPED))
    return saga


def _step(past: Past, entry: JournalLine) -> Step | None:
    trace = past.runs.get(str(entry.fields["run"]))
    if trace is None:
        return None
    number = int(entry.fields["step"])
    return trace.saga.steps[number] if number < len(trace.saga) else None


def _done(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    step = _step(past, entry)
    if step is not None:
        step.receipt = dict(entry.fields.get("receipt") or {})
        step.move(StepState.DONE)


def _action_failed(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    step = _step(past, entry)
    if step is None or "action" in entry.fields:  # refused before its intent
        return
    step.error = str(entry.fields.get("error", ""))
    step.move(StepState.IN_DOUBT if entry.fields.get("in_doubt") else StepState.FAILED)


def _mover(state: StepState) -> Callable[[Past, JournalLine, bool, float], None]:
    def move(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
        step = _step(past, entry)
        if step is not None:
            if state is StepState.UNDOING and step.state is StepState.INTENDED:
                step.move(StepState.IN_DOUBT)  # undone at an earlier start, without its fate being known
            step.move(state)

    return move


def _finished(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    fields = entry.fields
    trace = past.runs.get(str(fields["run"]))
    if trace is not None:
        trace.ended = entry.at
        trace.saga.settle_end()
        if not trace.open_steps:
            del past.runs[str(fields["run"])]
    if bool(fields.get("dry_run")) is dry_run and not (trace is not None and trace.preventive):
        if fields.get("outcome") == Outcome.HEALED:
            past.failures = 0
        elif fields.get("outcome") == Outcome.FAILED:
            past.failures, past.failed_at = past.failures + 1, entry.at


def _held(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    fields = entry.fields
    target = str(fields["target"])
    past.held[target] = TargetHold(
        target=target,
        reason=str(fields["reason"]),
        at=entry.at,
        run=str(fields.get("run", "")),
        step=int(fields.get("step", 0)),
    )


def _released(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    past.held.pop(str(entry.fields["target"]), None)


def _went_dormant(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    past.dormant = str(entry.fields["reason"]) or "for no reason given"


def _resumed(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    past.failures, past.dormant = 0, ""


def _approval(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    approval = structure(entry.fields["approval"], Approval, "approval")
    past.approvals[approval.id] = approval


def _silenced(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    silence = structure(entry.fields["silence"], Silence, "silence")
    past.silences[silence.id] = silence


def _unsilenced(past: Past, entry: JournalLine, dry_run: bool, since: float) -> None:
    past.silences.pop(str(entry.fields["silence"]["id"]), None)


_READERS: Mapping[str, Callable[[Past, Any, bool, float], None]] = {
    "healing_started": _started,
    "action_intent": _intended,
    "action_done": _done,
    "action_failed": _action_failed,
    "rollback_intent": _mover(StepState.UNDOING),
    "rollback_done": _mover(StepState.UNDONE),
    "rollback_failed": _mover(StepState.STUCK),
    "healing_finished": _finished,
    "target_held": _held,
    "target_released": _released,
    "dormancy_entered": _went_dormant,
    "dormancy_left": _resumed,
    "approval": _approval,
    "silence_added": _silenced,
    "silence_ended": _unsilenced,
}
