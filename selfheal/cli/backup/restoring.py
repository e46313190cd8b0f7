"""``selfheal backup restore``: a backup put back after a look at the plan and a word of the person who asked."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from selfheal.backup.restoring.planning import RestorePlan, plan_restore
from selfheal.backup.restoring.reporting import REPORT, RestoreReport
from selfheal.backup.restoring.restorer import Restorer
from selfheal.backup.restoring.words import amount, count, moment
from selfheal.cli.backup.opening import Opened, opened
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DONE, FAILED, CannotError
from selfheal.cli.backup.showing import showing
from selfheal.cli.backup.standing import Standing, finish, refuse_pending, tell_status
from selfheal.cli.columns import printable
from selfheal.errors import RestoreFailedError, RestoreStuckError


def restore(chosen: argparse.Namespace, page: Page) -> int:
    """Put a backup back, or finish or undo that."""
    _check(chosen)
    found = opened(chosen)
    directory = Path(chosen.restores).absolute() if chosen.restores else found.restores
    standing = Standing(found, directory, ("--restores", chosen.restores) if chosen.restores else ())
    page.data |= {"restores": str(directory)}
    if chosen.mode == "status":
        return tell_status(page, standing)
    if chosen.mode == "dry-run":
        return _dry_run(chosen, page, found, standing)
    if chosen.mode is not None:
        return finish(chosen, page, standing, _confirmed)
    return _restore(chosen, page, found, standing)


def _check(chosen: argparse.Namespace) -> None:
    """Refuse what does not go together, as wrong arguments."""
    finishing = chosen.mode in ("status", "recover", "rollback", "commit")
    choices = (chosen.section, chosen.to, chosen.in_place)
    if finishing and (any(choices) or chosen.which != "latest" or not chosen.keep):
        chosen.refuse(
            f"--{chosen.mode} is about the restore there is: it takes no backup, section, target, or --no-keep"
        )
    if chosen.resume and chosen.mode != "recover":
        chosen.refuse("--resume says how to --recover")
    asks = chosen.mode in (None, "rollback", "commit")
    if chosen.json and asks and not chosen.yes:
        chosen.refuse("--json asks nothing: say --yes too")
    names = [name for name, _ in chosen.to or ()]
    if len(set(names)) < len(names):
        chosen.refuse("--to names one section twice")


def _dry_run(chosen: argparse.Namespace, page: Page, found: Opened, standing: Standing) -> int:
    plan = _plan(chosen, found, standing)
    page.say(*plan.as_text().split("\n"))
    page.data["plan"] = _plan_data(plan)
    return FAILED if plan.problems else DONE


def _restore(chosen: argparse.Namespace, page: Page, found: Opened, standing: Standing) -> int:
    refuse_pending(standing)
    plan = _plan(chosen, found, standing)
    page.data["plan"] = _plan_data(plan)
    plan.check()
    if not chosen.yes:
        again = found.command("diff", plan.backup)
        _confirmed(
            plan.backup,
            [
                *plan.as_text().split("\n"),
                "",
                f"What differs now from the backup: {again}" if found.settings else "",
                "What is in these places and not in the backup is not there afterwards.",
                "Stop the service first: what it writes there from now on is lost.",
            ],
            "restore it",
        )
    with showing(chosen) as tell:
        standing.make()
        restorer = Restorer(found.store, standing.directory, states={}, keep_previous=chosen.keep, progress=tell)
        report = _run(restorer, plan, standing)
    return _tell_restored(page, report, standing)


def _plan(chosen: argparse.Namespace, found: Opened, standing: Standing) -> RestorePlan:
    return plan_restore(
        found.store,
        chosen.which,
        sections=chosen.section,
        targets=dict(chosen.to or ()),
        in_place=chosen.in_place or (),
        off_limits=[standing.directory],
    )


def _plan_data(plan: RestorePlan) -> dict[str, object]:
    return {
        "backup": plan.backup,
        "created": plan.manifest.created,
        "sections": [
            {
                "name": one.name,
                "target": str(one.target),
                "source": one.section.source,
                "files": one.section.files,
                "bytes": one.section.size,
                "there": one.there,
                "in_place": one.in_place,
            }
            for one in plan.sections
        ],
        "problems": list(plan.problems),
    }


def _run(restorer: Restorer, plan: RestorePlan, standing: Standing) -> RestoreReport:
    try:
        return restorer.restore(plan)
    except KeyboardInterrupt:
        if standing.pending() is None:
            raise KeyboardInterrupt("interrupted: the restore was taken back, everything is as it was before") from None
        go_on = standing.command("--recover")
        raise KeyboardInterrupt(f"interrupted: the restore stands still, nothing was removed: {go_on}") from None
    except RestoreFailedError as error:
        raise CannotError(f"{error}") from error
    except RestoreStuckError as error:
        raise CannotError(f"{error} The command for that: {standing.command('--recover')}") from error


def _tell_restored(page: Page, report: RestoreReport, standing: Standing) -> int:
    page.data["restore"] = report.as_dict()
    files, size = sum(one.files for one in report.sections), sum(one.bytes for one in report.sections)
    took = max(report.finished - report.started, 0.0)
    page.say(f"restored: backup {report.backup}, {count(files, 'file')}, {amount(size)}, in {took:.1f} s")
    page.say(*(f"  {one.name}: {one.target}" for one in report.sections))
    page.say(*(f"note: {note}" for note in report.notes))
    page.say(f"its data are those of {moment(report.backup_made)}: check that the service does what it should")
    if report.outcome == "kept":
        page.say(
            "what was there before is kept, until you say which of the two stays:",
            f"  it works, remove what was before:       {standing.command('--commit')}",
            f"  it does not, put back what was before:  {standing.command('--rollback')}",
        )
    else:
        page.say("what was there before is gone: there is no undo but to restore another backup")
    return _tell_report(page, standing)


def _tell_report(page: Page, standing: Standing) -> int:
    path = standing.directory / f"{REPORT}.md"
    page.data["report"] = str(path)
    page.say(f"report: {path}")
    return DONE


def _confirmed(id: str, plan: list[str], what: str) -> None:
    """Show what would be done on the terminal, and have the id of the backup typed.

    Raises:
        CannotError: if there is no terminal to ask on, or something else was typed.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise CannotError(
            f"nothing was changed: there is no terminal to ask on. Look at it with --dry-run, then say --yes to {what}"
        )
    try:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in plan))
        sys.stderr.write(f"To {what}, type its id, {id}: ")
        sys.stderr.flush()
        typed = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write(os.linesep)
        raise KeyboardInterrupt("interrupted: nothing was changed") from None
    if not typed.endswith("\n"):
        sys.stderr.write(os.linesep)
    if typed.strip() != id:
        raise CannotError("that is not the id: nothing was changed")
