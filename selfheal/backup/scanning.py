"""What there is in the source of a section, before anything of it is copied."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

import attrs

from selfheal.backup.checking import NameCheck
from selfheal.backup.databases import database_of, is_database, open_here
from selfheal.backup.entries import Entry, ManifestLimits, Skipped
from selfheal.backup.globs import matcher
from selfheal.backup.paths import ROOT, Below, Found, walk
from selfheal.backup.sections import Section
from selfheal.errors import SectionRefusedError

_KINDS = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_NAMED = 100


@attrs.define
class Scan:
    """What was found.

    Args:
        found: what is to be copied, directories before what they contain; first the directory of the section itself.
        skipped: what is not.
        companions: database → files of SQLite beside it, which are not copied unless it is copied like any file.
        is_database: tells of a path and an open file whether SQLite is to copy it.
    """

    found: list[Found] = attrs.field(factory=list)
    skipped: list[Skipped] = attrs.field(factory=list)
    companions: dict[str, list[Found]] = attrs.field(factory=dict)
    is_database: Callable[[str, int], bool] = attrs.field(default=lambda path, fd: False)

    @property
    def files(self) -> int:
        """How many files are to be copied."""
        return sum(1 for found in self.found if stat.S_ISREG(found.status.st_mode))

    @property
    def size(self) -> int:
        """Their bytes, holes included."""
        return sum(found.status.st_size for found in self.found if stat.S_ISREG(found.status.st_mode))

    @property
    def room(self) -> int:
        """The bytes that they take on a disk: a file with several names once, holes not at all."""
        sizes = {}
        for found in self.found:
            status = found.status
            if stat.S_ISREG(status.st_mode):
                sizes[status.st_dev, status.st_ino] = min(status.st_size, status.st_blocks * 512)
        return sum(sizes.values())


def scan_directory(tree: Below, section: Section, limits: ManifestLimits, store: os.stat_result) -> Scan:
    """Look through a directory.

    Args:
        tree: the directory.
        section: what is left out, and which files are databases.
        limits: what could be read back.
        store: the directory of the backups, which is never backed up itself.

    Raises:
        SectionRefusedError: if there are names that could not be read back: too many, or colliding, or links that lead
            out.
        OSError: if the directory itself cannot be read.
    """
    scan = Scan(is_database=_database_test(section))
    excluded = section.excludes()

    def enter(found: Found) -> bool:
        if excluded(found.path):
            return False
        if os.path.samestat(found.status, store):
            scan.skipped.append(Skipped(found.path, "the store of the backups itself"))
            return False
        kind = _KINDS.get(stat.S_IFMT(found.status.st_mode))
        if kind is not None:
            scan.skipped.append(Skipped(found.path, kind))
        return kind is None

    def failed(path: str, error: OSError) -> None:
        if path == ROOT:
            raise error
        scan.skipped.append(Skipped(path, f"unreadable: {error.strerror}"))

    root = Found(ROOT, os.fstat(tree.root))
    everything = {found.path: found for found in _counted(walk(tree, enter=enter, failed=failed), section, limits)}
    _set_companions_apart(tree, scan, everything)
    scan.found = [root, *everything.values()]
    _refuse_names(tree, section, scan, limits)
    return scan


def scan_file(tree: Below, name: str, section: Section) -> Scan:
    """Look at the one file of a section, and at what SQLite may have beside it.

    Raises:
        OSError: if it cannot be looked at.
    """
    scan = Scan(is_database=_database_test(section))
    everything = {name: Found(name, tree.lstat(name))}
    for end in ("-wal", "-shm", "-journal"):
        try:
            everything[name + end] = Found(name + end, tree.lstat(name + end))
        except FileNotFoundError:
            continue
    _set_companions_apart(tree, scan, everything)
    scan.found = [everything[name]]
    return scan


def _database_test(section: Section) -> Callable[[str, int], bool]:
    if section.sqlite == "auto":
        return lambda path, fd: is_database(fd)
    meant = matcher(section.sqlite)
    return lambda path, fd: meant(path) and is_database(fd)


def _counted(walked: Iterator[Found], section: Section, limits: ManifestLimits) -> Iterator[Found]:
    for count, found in enumerate(walked, 2):
        if count > limits.max_entries:
            why = f"it has more than {limits.max_entries:,} entries: exclude some, or allow more in ManifestLimits"
            raise SectionRefusedError(section.name, why)
        yield found


def _set_companions_apart(tree: Below, scan: Scan, everything: dict[str, Found]) -> None:
    suspects = [path for path in everything if database_of(path) in everything]
    for path in suspects:
        owner = database_of(path) or ""
        status = everything[owner].status
        if stat.S_ISREG(status.st_mode) and (open_here(status) or _is_database_at(tree, owner, scan)):
            scan.companions.setdefault(owner, []).append(everything.pop(path))


def _is_database_at(tree: Below, path: str, scan: Scan) -> bool:
    try:
        fd = tree.open(path)
    except OSError:
        return False  # it will be told as unreadable when it is copied
    try:
        return scan.is_database(path, fd)
    finally:
        os.close(fd)


def _refuse_names(tree: Below, section: Section, scan: Scan, limits: ManifestLimits) -> None:
    """What would be refused when the manifest is read is refused before anything is copied."""
    check = NameCheck(limits)
    wrong: dict[str, str] = {}
    for found in list(scan.found):
        kind = stat.S_IFMT(found.status.st_mode)
        try:
            link = tree.readlink(found.path) if kind == stat.S_IFLNK else None
        except OSError as error:
            scan.found.remove(found)
            scan.skipped.append(Skipped(found.path, f"unreadable: {error.strerror}"))
            continue
        entry = Entry(found.path, "dir" if kind == stat.S_IFDIR else "file" if link is None else "link", link=link)
        why = check.why_refused(entry)
        if why is not None:
            wrong[found.path] = why
    if wrong:
        more = f", and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
        told = f"{next(iter(wrong.values()))}{more}: exclude it, or allow it in the ManifestLimits of the store"
        raise SectionRefusedError(section.name, told, list(wrong)[:_NAMED])
