"""``selfheal backup create``: a backup made, proven at once, and older ones removed where that was asked for."""

from __future__ import annotations

import argparse
import contextlib

from selfheal.backup.entries import Manifest
from selfheal.backup.pruning import prune
from selfheal.backup.records import BackupRecord
from selfheal.backup.restoring.words import amount, count
from selfheal.backup.settings import BackupSettings
from selfheal.backup.store import BackupStore
from selfheal.cli.backup.opening import Opened, with_settings
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.pruning import tell_pruned
from selfheal.cli.backup.running import DONE
from selfheal.cli.backup.showing import Tell, showing
from selfheal.cli.backup.standing import Standing, refuse_torn
from selfheal.cli.backup.verifying import tell_local, verified
from selfheal.errors import BackupError, NotFoundError, SelfhealError


def create(chosen: argparse.Namespace, page: Page) -> int:
    """Make a backup."""
    found, settings = with_settings(chosen)
    refuse_torn(Standing(found, settings.restores_directory))
    page.data |= {"backup": None, "verification": None, "pruned": None}
    with showing(chosen) as tell:
        made = _made(found.store, tell)
        _tell_made(page, made, found.store)
        if chosen.no_verify:
            page.say(f"not verified: {found.command('verify', made.id)}")
            return DONE
        try:
            code = _prove(page, found, made, tell)
        except KeyboardInterrupt:
            again = found.command("verify", made.id)
            raise KeyboardInterrupt(f"interrupted: backup {made.id} is made, and not verified: {again}") from None
    return _pruned(page, found.store, settings) if chosen.prune and code == DONE else code


def _made(store: BackupStore, tell: Tell | None) -> BackupRecord:
    before = _names(store)
    store.progress = tell
    try:
        return store.create()
    except KeyboardInterrupt:
        with contextlib.suppress(SelfhealError), store.writing():
            pass  # who is allowed to write first removes what is half made
        after = [name for name in _names(store) if name not in before]
        told = (
            f"backup {after[-1]} is made, and not verified"
            if after
            else "no backup was made, and nothing is left of it"
        )
        raise KeyboardInterrupt(f"interrupted: {told}") from None


def _names(store: BackupStore) -> list[str]:
    return store.names() if store.directory.exists() else []


def _prove(page: Page, found: Opened, made: BackupRecord, tell: Tell | None) -> int:
    verification, report = verified(found.store, made.id, "deep", tell)
    return tell_local(page, verification, report)


def _pruned(page: Page, store: BackupStore, settings: BackupSettings) -> int:
    return tell_pruned(page, prune(store, settings.retained()))


def _tell_made(page: Page, made: BackupRecord, store: BackupStore) -> None:
    page.data["backup"] = {
        "id": made.id,
        "created": made.created,
        "path": str(made.path),
        "files": made.files,
        "bytes": made.size,
        "duration": made.duration,
        "digest": made.digest,
        "problems": list(made.problems),
        "skipped": [],
        "unstable": [],
    }
    page.say(
        f"backup {made.id}: {count(made.files, 'file')}, {amount(made.size)}, in {made.duration:.1f} s",
        f"it is in {made.path}",
    )
    page.say(*(f"problem: {problem}" for problem in made.problems))
    if made.skipped or made.unstable:
        _tell_left_out(page, _manifest(store, made.id))


def _manifest(store: BackupStore, id: str) -> Manifest:
    try:
        return store.manifest(id)
    except (OSError, NotFoundError) as error:  # just made, and gone: who verifies it tells of that by name
        raise BackupError(
            str(store.directory), f"backup {id} was made, and its manifest cannot be read: {error}"
        ) from error


def _tell_left_out(page: Page, manifest: Manifest) -> None:
    skipped = [(one.name, left.path, left.why) for one in manifest.sections for left in one.skipped]
    unstable = [(one.name, path) for one in manifest.sections for path in one.unstable]
    page.data["backup"] |= {
        "skipped": [{"section": section, "path": path, "why": why} for section, path, why in skipped],
        "unstable": [{"section": section, "path": path} for section, path in unstable],
    }
    if skipped:
        page.say(f"NOT in the backup: {count(len(skipped), 'name')}")
        page.names([f"  {section}/{path}: {why}" for section, path, why in skipped], "see --json, or its hashes.json")
    if unstable:
        page.say(
            f"CHANGED each time they were read, so what is in the backup may be no state they ever had: {len(unstable)}"
        )
        page.names([f"  {section}/{path}" for section, path in unstable], "see --json, or its hashes.json")
