"""The state of a section, as names, sizes and hashes, and what differs between two of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup.databases import open_here
from selfheal.backup.entries import SectionManifest
from selfheal.backup.hashing import hash_file
from selfheal.backup.paths import ROOT, Below, walk

_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}


@attrs.frozen
class Mark:
    """What something in a tree is.

    Args:
        type: ``file``, ``dir``, ``link`` or ``other``.
        size: bytes of a file, else 0.
        content: digest of a file, or target of a link; empty where there is none, or it was not asked for.
        mode: permission bits of files and directories, without setuid and setgid, which a restore does not give.
    """

    type: str
    size: int = 0
    content: str = ""
    mode: int = 0


@attrs.frozen
class TreeState:
    """What there is in a tree at one moment.

    Args:
        marks: by path; empty where there is nothing.
        unread: paths that could not be looked at.
    """

    marks: Mapping[str, Mark]
    unread: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        """How many files."""
        return sum(mark.type == "file" for mark in self.marks.values())

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(mark.size for mark in self.marks.values())


@attrs.frozen(kw_only=True)
class StateDiff:
    """What differs between two states.

    Args:
        files_before: how many files there were.
        files_after: how many there are.
        bytes_before: bytes they had.
        bytes_after: bytes they have.
        added: paths that there were not.
        removed: paths that there are no more.
        changed: paths whose type, content or mode is another.
        same: how many paths are as they were.
        unread: paths that could not be compared.
    """

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    same: int = 0
    unread: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed or self.unread)


def tree_state(path: Path | str, algorithm: str = "sha256", *, hashes: bool = True) -> TreeState:
    """Look at a file or a directory and all that is in it. Links are not followed.

    Args:
        path: what; where there is nothing the state is empty.
        algorithm: of the digests.
        hashes: read every file for its digest.
    """
    path = Path(path)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return TreeState({})
    if not stat.S_ISDIR(status.st_mode):
        with Below.at(path.parent) as tree:
            return _of(tree, [(path.name, status)], algorithm, hashes, [])
    unread: list[str] = []
    with Below.at(path) as tree:
        found = ((each.path, each.status) for each in walk(tree, failed=lambda path, _: unread.append(path)))
        return _of(tree, found, algorithm, hashes, unread)


def manifest_state(section: SectionManifest, *, hashes: bool = True, name: str = "") -> TreeState:
    """The state that a manifest tells of.

    Args:
        section: from the manifest.
        hashes: with digests.
        name: of the file, where the section is one and has another name now.
    """
    marks = {}
    for entry in section.entries:
        if entry.path != ROOT:
            content = entry.link if entry.type == "link" else entry.digest if hashes else None
            mode = 0 if entry.type == "link" else max(entry.mode, 0) & 0o1777
            path = name if name and section.root == "file" else entry.path
            marks[path] = Mark(entry.type, max(entry.size, 0), content or "", mode)
    return TreeState(marks)


def diff_states(before: TreeState, after: TreeState) -> StateDiff:
    """What differs between two states."""
    shared = before.marks.keys() & after.marks.keys()
    changed = sorted(path for path in shared if before.marks[path] != after.marks[path])
    return StateDiff(
        files_before=before.files,
        files_after=after.files,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        added=tuple(sorted(after.marks.keys() - shared)),
        removed=tuple(sorted(before.marks.keys() - shared)),
        changed=tuple(changed),
        same=len(shared) - len(changed),
        unread=tuple(sorted({*before.unread, *after.unread})),
    )


def diff_values(before: Any, after: Any, where: str = "") -> list[str]:
    """What differs between two answers of a host's probe, a line for each value.

    >>> diff_values({"orders": 812, "schema": 4}, {"orders": 790, "schema": 4})
    ['orders: 812 -> 790']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        lines = []
        for key in sorted({*before, *after}, key=str):
            lines += diff_values(before.get(key), after.get(key), f"{where}.{key}" if where else str(key))
        return lines
    return [] if before == after else [f"{where or 'value'}: {before!r} -> {after!r}"]


def _of(tree: Below, found: Any, algorithm: str, hashes: bool, unread: list[str]) -> TreeState:
    marks = {}
    for path, status in found:
        try:
            marks[path] = _mark(tree, path, status, algorithm if hashes else None)
        except OSError:
            unread.append(path)
    return TreeState(marks, tuple(unread))


def _mark(tree: Below, path: str, status: os.stat_result, algorithm: str | None) -> Mark:
    kind = _TYPES.get(stat.S_IFMT(status.st_mode), "other")
    mode = stat.S_IMODE(status.st_mode) & 0o1777
    if kind == "link":
        return Mark(kind, 0, tree.readlink(path))
    if kind != "file":
        return Mark(kind, 0, "", mode)
    if algorithm is None:
        return Mark(kind, status.st_size, "", mode)
    if open_here(status):
        return Mark(kind, status.st_size, "open in this process", mode)
    fd = tree.open(path)
    try:
        return Mark(kind, status.st_size, hash_file(fd, status.st_size, algorithm)[0], mode)
    finally:
        os.close(fd)
