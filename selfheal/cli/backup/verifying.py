"""``selfheal backup verify``: damage found and named."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from selfheal.backup.damages import Damage, Verification
from selfheal.backup.reporting import REPORT_NAME, as_data
from selfheal.backup.restoring.drilling import Drilling
from selfheal.backup.restoring.words import amount, count
from selfheal.backup.store import BackupStore
from selfheal.backup.verifying import Drill
from selfheal.backup.verifying import verify as verify_backup
from selfheal.cli.backup.opening import opened
from selfheal.cli.backup.page import SHOWN, Page
from selfheal.cli.backup.running import DIFFERS, DONE, CannotError
from selfheal.cli.backup.showing import Tell, showing
from selfheal.errors import RestoreFailedError

_DIGEST = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{16,}\b")
_HEAD = ("SECTION", "PATH", "WHAT", "EXPECTED", "FOUND")


def verify(chosen: argparse.Namespace, page: Page) -> int:
    """Verify a backup."""
    store = opened(chosen).store
    scratch = None if chosen.scratch is None else _directory("--scratch", chosen.scratch)
    reports = None if chosen.reports is None else _directory("--reports", chosen.reports)
    with showing(chosen) as tell:
        drill = Drilling(store, tell)
        options: dict[str, Any] = {
            "share": chosen.share,
            "scratch": scratch,
            "drill": drill.restore,
            "reports": reports,
        }
        try:
            verification, report = verified(store, chosen.which, chosen.kind, tell, **options)
        except RestoreFailedError as error:
            # It did not come back whole. Every byte is read, so that what is damaged is named, and nothing else.
            page.say(f"it could not be restored aside: {error.why}")
            verification, report = verified(store, error.where, "deep", tell, reports=reports)
            if verification.ok:
                raise CannotError(
                    f"every byte of it is right, and yet it could not be restored aside: {error.why}"
                ) from error
    return tell_local(page, verification, report)


def verified(
    store: BackupStore,
    which: str,
    kind: str,
    tell: Tell | None,
    *,
    share: int = 7,
    drill: Drill | None = None,
    scratch: Path | None = None,
    reports: Path | None = None,
) -> tuple[Verification, Path | None]:
    """Verify; give what was found, and its report, ``None`` where none could be written."""
    path = (reports or store.directory) / REPORT_NAME
    before = _identity(path)
    verification = verify_backup(
        store,
        which,
        kind,
        share=share,
        drill=drill if kind == "restore" else None,
        scratch=scratch,
        progress=tell,
        reports=reports,
    )
    after = _identity(path)
    return verification, None if after in (None, before) else path


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _directory(option: str, path: str) -> Path:
    if not os.path.isdir(path):
        raise CannotError(f"{option} {path} is no directory: make it first")
    return Path(path)


def tell_local(page: Page, verification: Verification, report: Path | None) -> int:
    """Say what was found in this store, and where the report is; give the exit code."""
    code = tell_verification(page, verification)
    page.data["verification"]["report"] = None if report is None else str(report)
    page.say("no report could be written" if report is None else f"report: {report}")
    return code


def tell_verification(page: Page, verification: Verification) -> int:
    """Say what was found; give the exit code."""
    page.data["verification"] = as_data(verification)
    number = len(verification.damages)
    if verification.ok:
        page.say(f"backup {verification.id}: sound")
    else:
        kinds = ", ".join(f"{several:,} {kind}" for kind, several in verification.counts.items())
        page.say(f"backup {verification.id}: DAMAGED, {count(number, 'thing')} not as written: {kinds}")
        page.table(_HEAD, map(_row, verification.damages[:SHOWN]))
        if number > SHOWN:
            page.say(f"and {number - SHOWN:,} more: all of them are named with --json")
    page.say(_looked_at(verification))
    return DONE if verification.ok else DIFFERS


def _row(damage: Damage) -> tuple[str, ...]:
    return damage.section or "-", damage.path, damage.kind, _short(damage.expected), _short(damage.found)


def _short(told: str) -> str:
    """Enough of a digest to see that it is another; all of it is in the report."""
    return _DIGEST.sub(r"\1...", told) or "-"


def _looked_at(verification: Verification) -> str:
    looked = f"{count(verification.files, 'file')} looked at, {verification.files_read:,} read"
    part = f", part {verification.part + 1} of {verification.share}" if verification.kind == "rolling" else ""
    key = "with the key" if verification.signed else "without a key: accidents are found, changes on purpose are not"
    return f"{verification.kind}{part}: {looked} ({amount(verification.bytes_read)}); {key}"
