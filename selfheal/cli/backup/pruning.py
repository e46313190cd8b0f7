"""``selfheal backup prune``: what is kept no longer is removed, and why the others stay is told."""

from __future__ import annotations

import argparse

from selfheal.backup.pruning import Pruned, plan_pruning
from selfheal.backup.pruning import prune as prune_backups
from selfheal.backup.restoring.words import count
from selfheal.backup.retention import Retention, RetentionPlan
from selfheal.cli.backup.opening import opened
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DONE, FAILED


def prune(chosen: argparse.Namespace, page: Page) -> int:
    """Remove what is kept no longer."""
    found = opened(chosen)
    found.store.names()  # a store that is not there is not made for this
    retention = Retention() if found.settings is None else found.settings.retained()
    if chosen.dry_run:
        return tell_planned(page, plan_pruning(found.store, retention))
    return tell_pruned(page, prune_backups(found.store, retention))


def tell_planned(page: Page, plan: RetentionPlan) -> int:
    """Say what would be removed and what stays."""
    page.data["pruned"] = _data(plan) | {"dry_run": True, "removed": [], "problems": {}}
    _tell_plan(page, plan, "would be removed")
    return DONE


def tell_pruned(page: Page, done: Pruned) -> int:
    """Say what was removed and what stays; the code tells whether all of it went that was to."""
    page.data["pruned"] = _data(done.plan) | {
        "dry_run": False,
        "removed": list(done.removed),
        "problems": dict(done.problems),
    }
    _tell_plan(page, done.plan, "removed", done.problems)
    return FAILED if done.problems else DONE


def _tell_plan(page: Page, plan: RetentionPlan, what: str, problems: dict[str, str] | None = None) -> None:
    problems = problems or {}
    page.say(f"{count(len(plan.keep), 'backup')} kept, {len(plan.remove) - len(problems):,} {what}")
    rows = [(id, "kept", ", ".join(why)) for id, why in plan.keep.items()][::-1]
    rows += [(id, "NOT REMOVED", problems[id]) if id in problems else (id, what, "-") for id in plan.remove]
    if rows:
        page.table(("ID", "WHAT", "WHY"), sorted(rows))


def _data(plan: RetentionPlan) -> dict[str, object]:
    return {"keep": {id: list(why) for id, why in plan.keep.items()}, "remove": list(plan.remove)}
