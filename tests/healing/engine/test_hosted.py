"""Strategies of the host's own making: what is written of them, and what a process after them knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import JournalError
from selfheal.events import Alert
from selfheal.healing import CallableStrategy, HealingContext, HealingResult
from selfheal.healing.driving import Steps, Wait
from selfheal.journal import Entry
from tests.healing.engine.rig import Rig

OWN = Alert(kind="own", target="web", fingerprint="own@web")


def rig_of(path: Path, heal: Callable[..., object], **options: Any) -> Rig:
    """An engine whose only strategy is the host's own."""
    return Rig(path=path / "journal.jsonl", host_strategies=[CallableStrategy(heal, "mine")], **options)


def told(rig: Rig) -> list[tuple[str, Any, Any]]:
    """Each healing's beginning and end: strategy, and trigger or outcome."""
    return [
        (entry.type, entry.fields["strategy"], entry.fields.get("outcome", entry.fields.get("trigger")))
        for entry in rig.entries("healing_started", "healing_finished")
    ]


@pytest.mark.parametrize(
    ("returned", "outcome"),
    [(None, "healed"), (True, "healed"), (False, "failed"), (HealingResult(success=True, reason="did"), "healed")],
)
def test_beginning_and_end_are_in_the_journal(tmp_path: Path, returned: object, outcome: str) -> None:
    """The beginning is there before the strategy is called, and the end says what came of it."""
    seen: list[list[Entry]] = []

    def heal(alert: Alert) -> object:
        seen.append(rig.entries("healing_started", "healing_finished"))
        return returned

    rig = rig_of(tmp_path, heal)

    [record] = rig.raise_alert(OWN)

    [[before]] = seen
    [last] = rig.entries("healing_finished")
    assert before.type == "healing_started"
    assert (before.fields["run"], last.fields["run"]) == (last.fields["run"], before.fields["run"])
    assert (before.fields["strategy"], before.fields["target"], before.fields["alert"]["kind"]) == (
        "mine",
        "web",
        "own",
    )
    assert (record.outcome, last.fields["outcome"], last.fields["success"]) == (outcome, outcome, outcome == "healed")
    assert last.fields["actions"] == []


def test_what_it_raised_is_the_reason_of_its_end(tmp_path: Path) -> None:
    """An exception is a failure, told in the journal as in the record."""

    def heal(alert: Alert) -> object:
        raise OSError("no such pump")

    rig = rig_of(tmp_path, heal)

    [record] = rig.raise_alert(OWN)

    [last] = rig.entries("healing_finished")
    assert (record.outcome, last.fields["outcome"]) == ("failed", "failed")
    assert last.fields["reason"] == record.reason == "OSError: no such pump"


def test_one_of_steps_is_told_once_it_has_ended(tmp_path: Path) -> None:
    """A strategy that lets time pass has its end written at its end."""

    def heal(alert: Alert) -> Steps[bool]:
        yield Wait(30.0)
        return True

    rig = rig_of(tmp_path, heal)

    assert rig.raise_alert(OWN) == []
    assert [kind for kind, _, _ in told(rig)] == ["healing_started"]
    [record] = rig.pass_time(35)
    assert record.outcome == "healed"
    assert told(rig)[-1] == ("healing_finished", "mine", "healed")


def test_an_async_one_is_awaited_and_refused_where_nobody_can(tmp_path: Path) -> None:
    """The wrapped strategy is as async as it was."""

    async def heal(alert: Alert) -> bool:
        await asyncio.sleep(0)
        return True

    rig = rig_of(tmp_path, heal)

    rig.engine.submit(OWN)
    [record] = asyncio.run(rig.engine.arun_once())
    assert record.outcome == "healed"
    assert told(rig)[-1] == ("healing_finished", "mine", "healed")
    with pytest.raises(Exception, match="async"):
        rig.raise_alert(OWN)


def test_one_that_was_stopped_is_interrupted_in_the_journal_too(tmp_path: Path) -> None:
    """It asks whether to go on, is told to stop, and that is no failure."""

    def heal(alert: Alert, context: HealingContext) -> None:
        rig.flag("false")
        context.checkpoint()

    rig = rig_of(tmp_path, heal)

    [record] = rig.raise_alert(OWN)

    [last] = rig.entries("healing_finished")
    assert (record.outcome, last.fields["outcome"], last.fields["guard"]) == ("interrupted", "interrupted", "flags")


def test_what_cannot_be_written_down_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a disk that is full the strategy is not called, and the record says why."""
    called: list[Alert] = []
    rig = rig_of(tmp_path, called.append)
    rig.engine.run_once()

    def full(*args: object, **fields: object) -> object:
        raise JournalError("journal.jsonl", "the disk is full")

    assert rig.journal is not None
    monkeypatch.setattr(rig.journal, "append", full)
    [record] = rig.raise_alert(OWN)

    assert called == []
    assert record.outcome == "failed"
    assert "the disk is full" in record.reason


def test_an_end_that_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The healing counts as it ended; the journal is told as soon as that is possible."""

    def heal(alert: Alert) -> bool:
        monkeypatch.setattr(rig.journal, "append", full)
        return True

    def full(*args: object, **fields: object) -> object:
        raise JournalError("journal.jsonl", "the disk is full")

    rig = rig_of(tmp_path, heal)
    [record] = rig.raise_alert(OWN)
    assert record.outcome == "healed"
    assert [kind for kind, _, _ in told(rig)] == ["healing_started"]

    monkeypatch.undo()
    rig.engine.run_once()

    assert told(rig)[-1] == ("healing_finished", "mine", "interrupted")


def test_a_process_after_it_counts_its_failures_and_ends_what_it_left(tmp_path: Path) -> None:
    """Failures in a row go on over a restart; one that died in the middle is interrupted, and no failure."""

    class Killed(BaseException):
        """The process ends here."""

    def heal(alert: Alert) -> bool:
        if alert.target == "web":
            return False
        rig.die()
        raise Killed

    rig = rig_of(tmp_path, heal)
    rig.raise_alert(OWN)
    rig.engine.clear(OWN.fingerprint)
    rig.clock.advance(60)
    with pytest.raises(Killed):
        rig.raise_alert(Alert(kind="own", target="db"))

    after = rig_of(tmp_path, heal, clock=rig.clock)
    report = after.engine.recover()

    assert report.failures == 1
    assert report.begun == 2
    assert [(run.strategy, run.target) for run in report.runs] == [("mine", "db")]
    assert told(after)[-1] == ("healing_finished", "mine", "interrupted")
    assert after.engine.healer.snapshot().consecutive_failures == 1


def test_prevention_is_written_down_and_its_failures_are_counted_apart(tmp_path: Path) -> None:
    """It answers no alert: after a restart its failures do not stand against healing."""
    rig = Rig(path=tmp_path / "journal.jsonl", preventive=lambda: False)
    rig.engine.run_once()

    assert rig.engine.healer.prevent().outcome == "failed"

    assert told(rig) == [
        ("healing_started", "test_prevention_is_written_down_and_its_failures_are_counted_apart.<locals>.<lambda>",
         "preventive"),
        ("healing_finished", "test_prevention_is_written_down_and_its_failures_are_counted_apart.<locals>.<lambda>",
         "failed"),
    ]  # fmt: skip
    rig.die()
    after = Rig(path=tmp_path / "journal.jsonl", clock=rig.clock)
    assert after.engine.recover().failures == 0


def test_a_dry_run_writes_that_it_was_planned(tmp_path: Path) -> None:
    """Nothing is called, and the journal says that nothing was."""
    called: list[Alert] = []
    rig = rig_of(tmp_path, called.append, mode="dry_run")

    [record] = rig.raise_alert(OWN)

    [last] = rig.entries("healing_finished")
    assert called == []
    assert (record.outcome, last.fields["outcome"], last.fields["dry_run"]) == ("planned", "planned", True)
