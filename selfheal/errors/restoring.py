"""What a restore raises. Each says what is where now: who reads it may be under stress."""

from __future__ import annotations

from collections.abc import Iterable

from selfheal.errors.backup import BackupError


class RestoreError(BackupError):
    """A restore did not do what was asked for.

    Attributes:
        where: the backup, or the record of the restore.
        why: what went wrong, in words.
    """


class RestoreRefusedError(RestoreError):
    """A restore was not begun: nothing was changed.

    Attributes:
        where: the backup, or the record of another restore.
        reasons: each with what to do about it.
        why: the same in one line.
    """

    def __init__(self, where: str, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(where, "; ".join(self.reasons))
        self.args = (where, self.reasons)

    def __str__(self) -> str:
        return f"restore of {self.where} was not begun, nothing was changed: {self.why}."


class RestoreFailedError(RestoreError):
    """A restore failed, and everything is as it was before.

    Attributes:
        where: the backup.
        why: what went wrong.
        outcome: ``discarded`` (no target was touched) or ``rolled_back`` (the previous state was put back).
        report: the report that was written, empty where that could not be done.
    """

    def __init__(self, where: str, why: str, outcome: str, report: str = "") -> None:
        super().__init__(where, why)
        self.args = (where, why, outcome, report)
        self.outcome = outcome
        self.report = report

    def __str__(self) -> str:
        then = "no target was touched" if self.outcome == "discarded" else "the previous state was put back"
        told = f"restore of {self.where} failed, and {then}: {self.why.removesuffix('.')}."
        return f"{told} Report: {self.report}" if self.report else told


class RestoreStuckError(RestoreError):
    """A restore is neither done nor undone, and cannot go on by itself. Nothing was removed.

    Attributes:
        where: the section or the record.
        why: what is in the way, and what lies where.
        advice: what to do next.
    """

    def __init__(self, where: str, why: str, advice: str) -> None:
        super().__init__(where, why)
        self.args = (where, why, advice)
        self.advice = advice

    def __str__(self) -> str:
        return f"restore of {self.where} stands still, nothing was removed: {self.why}. {self.advice}"
