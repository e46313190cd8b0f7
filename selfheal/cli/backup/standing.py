"""How a restore stands, and how it is brought to its end: taken up after a crash, rolled back, or committed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import attrs

from selfheal.backup.restoring.journalling import RECORD, Record, RestoreJournal
from selfheal.backup.restoring.machine import Phase
from selfheal.backup.restoring.reporting import REPORT, RestoreReport
from selfheal.backup.restoring.restorer import Restorer
from selfheal.backup.restoring.words import moment
from selfheal.cli.backup.opening import Opened
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DONE, CannotError
from selfheal.errors import RestoreStuckError

Confirm = Callable[[str, list[str], str], None]
"""Shows lines and has an id typed before something is done."""

_ENDS = {
    "restored": "what was there before is removed: the restore stays",
    "kept": "the restore went on to its end; what was there before is kept",
    "rolled_back": "what was there before the restore is back",
    "discarded": "what was half copied is removed; no target was touched",
    "stuck": "it stands still and needs a person; nothing was removed",
}


@attrs.frozen
class Standing:
    """Where restores of a store are written down.

    Args:
        found: the store.
        directory: for their record.
        said: how that was named on the command line.
    """

    found: Opened
    directory: Path
    said: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """A command about restores of this store, to be copied into a shell."""
        return self.found.command("restore", *words, *self.said)

    def pending(self) -> Record | None:
        """The restore there is, if there is one.

        Raises:
            RestoreStuckError: if its record cannot be read.
        """
        return RestoreJournal(self.directory).read() if self.directory.is_dir() else None

    def make(self) -> None:
        """Make the directory, for its owner alone.

        Raises:
            CannotError: if it cannot be made.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
            raise CannotError(
                f"restores need a directory for their record, and {self.directory} cannot be made ({why}):"
                " name another by --restores DIR, on a disk that survives a crash"
            ) from error


def refuse_pending(standing: Standing) -> None:
    """Do nothing if no restore is in the way of another.

    Raises:
        CannotError: if one is; it says the commands.
    """
    record = standing.pending()
    if record is not None:
        raise CannotError(f"no restore was begun, nothing was changed: {'; '.join(_told(record, standing))}")


def refuse_torn(standing: Standing) -> None:
    """Do nothing if sections may be read: while a restore moves them they are of two times.

    Raises:
        CannotError: if one is under way or was cut off; it says the commands.
    """
    record = standing.pending()
    if record is not None and record.standing.phase is not Phase.KEPT:
        raise CannotError(f"no backup was made: {'; '.join(_told(record, standing))}")


def tell_status(page: Page, standing: Standing) -> int:
    """Say how it stands."""
    record = standing.pending()
    page.data["pending"] = None if record is None else _data(record)
    if record is None:
        page.say("no restore is under way, and none is kept")
        return DONE
    page.say(
        f"restore {record.run} of backup {record.backup}, begun {moment(record.started)}: {record.standing}",
        *(f"  {one.name}: {one.target}" for one in record.sections),
        *_told(record, standing),
    )
    return DONE


def _told(record: Record, standing: Standing) -> list[str]:
    if record.standing.phase is Phase.KEPT:
        return [
            f"the state before the restore of {record.backup} is kept",
            f"to remove it, if the service works: {standing.command('--commit')}",
            f"to put it back, if not: {standing.command('--rollback')}",
        ]
    return [
        f"a restore of {record.backup} is under way, or was cut off ({record.standing})",
        f"if no other process is at it, to put back what was before: {standing.command('--recover')}",
        f"to go on with it where that can be done: {standing.command('--recover', '--resume')}",
    ]


def _data(record: Record) -> dict[str, object]:
    return {
        "run": record.run,
        "backup": record.backup,
        "started": record.started,
        "phase": record.standing.phase.value,
        "section": record.standing.section,
        "sections": [{"name": one.name, "target": one.target} for one in record.sections],
    }


def finish(chosen: argparse.Namespace, page: Page, standing: Standing, confirm: Confirm) -> int:
    """Recover, roll back or commit."""
    record = standing.pending()
    page.data["restore"] = None
    if record is None:
        return _nothing(chosen.mode, page, standing)
    if chosen.mode == "recover" and record.standing.phase is Phase.KEPT:
        page.say("nothing was cut off", *_told(record, standing))
        return DONE
    if chosen.mode != "recover" and record.standing.phase is not Phase.KEPT:
        raise CannotError("; ".join(_told(record, standing)))
    if chosen.mode != "recover" and not chosen.yes:
        _ask(chosen.mode, record, confirm)
    restorer = Restorer(standing.found.store, standing.directory, states={}, keep_previous=True)
    try:
        report = _run(restorer, chosen)
    except RestoreStuckError as error:
        raise CannotError(f"{error} The command for that: {standing.command('--recover')}") from error
    return _tell_end(page, report, standing)


def _nothing(mode: str, page: Page, standing: Standing) -> int:
    if mode == "recover":
        page.say("no restore was cut off: there is nothing to be done")
        return DONE
    raise CannotError(f"there is no restore to {mode}: no {RECORD} is in {standing.directory}")


def _ask(mode: str, record: Record, confirm: Confirm) -> None:
    targets = [f"  {one.name}: {one.target}" for one in record.sections]
    if mode == "commit":
        lines = ["Removed would be what was there before the restore, for good:", *targets]
        confirm(record.backup, lines, f"keep the restore of {record.backup} for good")
    else:
        lines = ["Put back would be what was there before the restore; what was written since is lost:", *targets]
        confirm(record.backup, [*lines, "Stop the service first."], f"take back the restore of {record.backup}")


def _run(restorer: Restorer, chosen: argparse.Namespace) -> RestoreReport | None:
    if chosen.mode == "recover":
        return restorer.recover(rollback=not chosen.resume)
    return restorer.commit() if chosen.mode == "commit" else restorer.rollback()


def _tell_end(page: Page, report: RestoreReport | None, standing: Standing) -> int:
    if report is None:  # another process was quicker
        page.say("no restore was cut off: there is nothing to be done")
        return DONE
    page.data["restore"] = report.as_dict()
    path = standing.directory / f"{REPORT}.md"
    page.data["report"] = str(path)
    page.say(
        f"backup {report.backup}: {_ENDS[report.outcome]}", *(f"  {one.name}: {one.target}" for one in report.sections)
    )
    page.say(*(f"note: {note}" for note in report.notes), f"report: {path}")
    return DONE
