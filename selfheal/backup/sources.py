"""What there is in the sources of a section now, seen as a backup made now would have it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from selfheal.backup.databases import DatabaseCopyError, copy_database, open_here
from selfheal.backup.hashing import hash_file
from selfheal.backup.paths import ROOT, Below, Found
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.restoring.comparing import Mark, TreeState
from selfheal.backup.scanning import Scan, scan_directory, scan_file
from selfheal.backup.sections import Section
from selfheal.backup.store import BackupStore

_UNREAD = "unreadable"


def source_state(
    store: BackupStore,
    section: Section,
    *,
    hashes: bool = True,
    progress: Callable[[Progress], object] | None = None,
) -> TreeState:
    """Look at the source of a section, without what a backup leaves out. No hook and no probe is called.

    A database of SQLite counts by what it holds: its copy by SQLite, made for the comparison and removed again.

    Args:
        store: which is never part of a section.
        section: whose source; where there is nothing, the state is empty.
        hashes: read every file for its digest.
        progress: called now and then with how far it is; what it raises ends it.

    Raises:
        SectionRefusedError: if it could not be backed up as it is.
        OSError: if the source itself cannot be read.
    """
    try:
        path = section.path.resolve(strict=True)
    except FileNotFoundError:
        return TreeState({})
    single = stat.S_ISREG(path.stat().st_mode)
    with Below.at(path.parent if single else path) as tree:
        scan = scan_file(tree, path.name, section) if single else _scanned(tree, store, section)
        teller = Teller(progress, "comparing", section.name, scan.files, scan.size if hashes else 0)
        return _state(tree, scan, hashes, teller)


def _scanned(tree: Below, store: BackupStore, section: Section) -> Scan:
    try:
        itself = store.directory.stat()
    except FileNotFoundError:
        itself = os.fstat(tree.root)  # no store yet: nothing below can be it
    return scan_directory(tree, section, store.limits, itself)


def _state(tree: Below, scan: Scan, hashes: bool, teller: Teller) -> TreeState:
    unread = [skipped.path for skipped in scan.skipped if skipped.why.startswith(_UNREAD)]
    marks = {}
    for found in scan.found:
        if found.path == ROOT:
            continue
        try:
            mark = marks[found.path] = _mark(tree, found, scan, hashes)
        except FileNotFoundError:
            continue  # gone since the directory was read: it is not there
        except OSError:
            unread.append(found.path)
        else:
            _tell(teller, mark, hashes)
    teller.end()
    return TreeState(marks, tuple(unread))


def _tell(teller: Teller, mark: Mark, hashes: bool) -> None:
    if mark.type == "file":
        if hashes:
            teller.add_bytes(mark.size)
        teller.add_file()


def _mark(tree: Below, found: Found, scan: Scan, hashes: bool) -> Mark:
    mode = stat.S_IMODE(found.status.st_mode) & 0o1777
    if stat.S_ISLNK(found.status.st_mode):
        return Mark("link", 0, tree.readlink(found.path))
    if found.is_directory:
        return Mark("dir", 0, "", mode)
    if not hashes:
        return Mark("file", found.status.st_size, "", mode)
    if open_here(found.status):
        held = _held(tree, found.path)
        if held is None:
            raise OSError(errno.EBUSY, "it is open in this process, and not to be had")
        return Mark("file", *held, mode)
    fd = tree.open(found.path)
    try:
        size = os.fstat(fd).st_size
        if scan.is_database(found.path, fd):
            held = _held(tree, found.path)
            if held is not None:
                return Mark("file", *held, mode)
        return Mark("file", size, hash_file(fd, size, "sha256")[0], mode)
    finally:
        os.close(fd)


def _held(tree: Below, path: str) -> tuple[int, str] | None:
    """Size and digest of a copy of a database; ``None`` where SQLite makes none, and a backup would copy the file."""
    above, name = tree.parent(path)
    with tempfile.TemporaryDirectory(prefix="selfheal-diff-") as scratch, Below.at(Path(scratch)) as aside:
        os.close(aside.create("copy"))
        try:
            copy_database(above, name, aside.root, "copy")
        except DatabaseCopyError:
            return None
        fd = aside.open("copy")
        try:
            size = os.fstat(fd).st_size
            return size, hash_file(fd, size, "sha256")[0]
        finally:
            os.close(fd)
