"""Backups that nothing keeps any more are removed: each goes whole or stays, whatever happens on the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection

import attrs

from selfheal.backup.paths import open_root, remove_tree
from selfheal.backup.records import VerificationRecord
from selfheal.backup.retention import Kept, Retention, RetentionPlan
from selfheal.backup.storage import REMOVING
from selfheal.backup.store import BackupStore

logger = logging.getLogger("selfheal.backup")

_FULL = {"deep", "restore"}


@attrs.frozen
class Pruned:
    """What was removed.

    Args:
        plan: what stays, for which reasons, and what was to go.
        removed: ids that are gone, oldest first.
        problems: id to why it could not be removed.
    """

    plan: RetentionPlan
    removed: tuple[str, ...]
    problems: dict[str, str]


def proven(records: Collection[VerificationRecord]) -> dict[str, float]:
    """The backups of which every byte was read and found right, and nothing found wrong since; with when that was.

    Args:
        records: of a store, oldest first.
    """
    good: dict[str, float] = {}
    parts: dict[tuple[str, int], set[int]] = {}
    for record in records:
        key = (record.id, record.share)
        if not record.ok:
            good.pop(record.id, None)
            parts = {other: seen for other, seen in parts.items() if other[0] != record.id}
        elif record.kind in _FULL:
            good[record.id] = record.at
        elif record.kind == "rolling":
            parts.setdefault(key, set()).add(record.part)
            if len(parts[key]) >= record.share:
                good[record.id] = record.at
                del parts[key]
    return good


def plan_pruning(store: BackupStore, retention: Retention, pinned: Collection[str] = ()) -> RetentionPlan:
    """What would be removed; nothing is.

    Raises:
        BackupError: if the store cannot be read.
    """
    sound = proven(store.records)
    kept = [Kept(id=one.id, created=one.created, verified=one.id in sound) for one in store.list()]
    return retention.plan(kept, pinned)


def prune(store: BackupStore, retention: Retention | None = None, *, pinned: Collection[str] = ()) -> Pruned:
    """Remove what the retention does not keep, oldest first. Never the newest, nor the last that is proven.

    Args:
        store: whose backups.
        retention: how many are kept; by default 7 days, 4 weeks, 6 months.
        pinned: ids that stay.

    Raises:
        BackupBusyError: if somebody else writes the store.
        BackupError: if the store cannot be read or written.
    """
    with store.writing():
        plan = plan_pruning(store, retention or Retention(), pinned)
        removed, problems = [], {}
        for id in plan.remove:
            try:
                _remove(store, id)
            except OSError as error:
                problems[id] = str(error)
                logger.error("backups %s: %s could not be removed: %s", store.directory, id, error)
            else:
                removed.append(id)
    return Pruned(plan, tuple(removed), problems)


def _remove(store: BackupStore, id: str) -> None:
    """Take a backup out of sight in one step, then remove it. What a crash leaves, the next writer removes."""
    fd = open_root(store.directory)
    try:
        store.step(f"remove {id}")
        os.rename(id, REMOVING + id, src_dir_fd=fd, dst_dir_fd=fd)
        os.fsync(fd)
        store.step(f"hidden {id}")
        remove_tree(fd, REMOVING + id)
        store.step(f"removed {id}")
    finally:
        os.close(fd)
