"""``selfheal backup diff``: what is otherwise now than in a backup, or than in another one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import attrs

from selfheal.backup.entries import Manifest
from selfheal.backup.restoring.comparing import Mark, StateDiff, TreeState, diff_states, manifest_state
from selfheal.backup.restoring.words import amount, count
from selfheal.backup.sources import source_state
from selfheal.backup.store import BackupStore
from selfheal.cli.backup.opening import opened, with_settings
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DIFFERS, DONE
from selfheal.cli.backup.showing import Tell, showing

States = dict[str, TreeState]
"""Section to what there is in it."""

_NOTHING = TreeState({})
_MORE = "see --json"


def diff(chosen: argparse.Namespace, page: Page) -> int:
    """Compare a backup with another one, or with what there is now."""
    if chosen.second is not None:
        store = opened(chosen).store
        first, second = store.get(chosen.first).id, store.get(chosen.second).id
        names = f"backup {first}", f"backup {second}"
        before, after = (_backup(store.manifest(id), chosen.hashes) for id in (first, second))
    else:
        found, _ = with_settings(chosen)
        first, second = found.store.get(chosen.first).id, ""
        names = f"backup {first}", "what there is now"
        with showing(chosen) as tell:
            before, after = _now(found.store, found.store.manifest(first), chosen.hashes, tell)
    page.data |= {"before": first, "after": second or None, "hashes": chosen.hashes, "sections": []}
    page.say(f"from {names[0]} to {names[1]}{'' if chosen.hashes else ', contents not compared'}:")
    differs = [_tell(page, name, before, after) for name in (*before, *(name for name in after if name not in before))]
    if not any(differs):
        page.say("nothing differs")
    return DIFFERS if any(differs) else DONE


def _backup(manifest: Manifest, hashes: bool) -> States:
    return {section.name: manifest_state(section, hashes=hashes) for section in manifest.sections}


def _now(store: BackupStore, manifest: Manifest, hashes: bool, tell: Tell | None) -> tuple[States, States]:
    """What is in the backup, and in the sources of the settings."""
    before, after = {}, {}
    paths = {section.name: section.path.name for section in store.sections}
    for told in manifest.sections:  # a section that is one file may have another name now
        before[told.name] = manifest_state(told, hashes=hashes, name=paths.get(told.name, ""))
    for section in store.sections:
        after[section.name] = source_state(store, section, hashes=hashes, progress=tell)
    return before, after


def _tell(page: Page, name: str, before: States, after: States) -> bool:
    old, new = before.get(name, _NOTHING), after.get(name, _NOTHING)
    found = _diff(old, new)
    page.data["sections"].append(_data(name, found, old, new))
    gone = (
        " (no such section any more)" if name not in after else " (no such section then)" if name not in before else ""
    )
    page.say(
        f"{name}{gone}: {len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed,"
        f" {found.same:,} the same; {count(found.files_before, 'file')}, {amount(found.bytes_before)} ->"
        f" {count(found.files_after, 'file')}, {amount(found.bytes_after)}"
    )
    page.names([f"  + {_named(path, new.marks[path])}" for path in found.added], _MORE)
    page.names([f"  - {_named(path, old.marks[path])}" for path in found.removed], _MORE)
    page.names([f"  ~ {path}: {how(old.marks[path], new.marks[path])}" for path in found.changed], _MORE)
    page.names([f"  ? {path}: cannot be read" for path in found.unread], _MORE)
    return not found.is_empty or bool(gone)


def _diff(old: TreeState, new: TreeState) -> StateDiff:
    """What differs; of what cannot be read, and what is below it, nothing else is said than that."""
    found, unread = diff_states(old, new), set(new.unread)
    return attrs.evolve(found, removed=tuple(path for path in found.removed if unread.isdisjoint(_with_above(path))))


def _with_above(path: str) -> Iterator[str]:
    """A path and all directories above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _named(path: str, mark: Mark) -> str:
    if mark.type == "file":
        return f"{path} ({amount(mark.size)})"
    return f"{path}/" if mark.type == "dir" else f"{path} (link to {mark.content})"


def how(old: Mark, new: Mark) -> str:
    """In what two marks differ, in words.

    >>> how(Mark("file", 3, "ab", 0o644), Mark("file", 5, "cd", 0o600))
    '3 bytes -> 5 bytes, mode 644 -> 600'
    """
    if old.type != new.type:
        return f"{old.type} -> {new.type}"
    if old.type == "link":
        return f"leads to {old.content} -> {new.content}"
    told = []
    if old.size != new.size:
        told.append(f"{amount(old.size)} -> {amount(new.size)}")
    elif old.content != new.content:
        told.append(f"other content ({amount(new.size)})")
    if old.mode != new.mode:
        told.append(f"mode {old.mode:o} -> {new.mode:o}")
    return ", ".join(told)


def _data(name: str, found: StateDiff, old: TreeState, new: TreeState) -> dict[str, Any]:
    return {
        "name": name,
        **{field: getattr(found, field) for field in ("files_before", "files_after", "bytes_before", "bytes_after")},
        "same": found.same,
        "added": [{"path": path, **attrs.asdict(new.marks[path])} for path in found.added],
        "removed": [{"path": path, **attrs.asdict(old.marks[path])} for path in found.removed],
        "changed": [
            {"path": path, "before": attrs.asdict(old.marks[path]), "after": attrs.asdict(new.marks[path])}
            for path in found.changed
        ],
        "unread": list(found.unread),
    }
