"""A tree beside what a manifest says of it: every difference, named, and no other."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

import attrs

from selfheal.backup.damages import Damage, DamageKind
from selfheal.backup.entries import UNKNOWN, Entry, SectionManifest
from selfheal.backup.hashing import CHUNK, Lane, hash_file
from selfheal.backup.paths import ROOT, Below, walk
from selfheal.backup.progress import Teller

_SMALL = 128 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}


@attrs.define
class Compared:
    """What came of it.

    Args:
        damages: all that was found.
        files: how many were looked at.
        files_read: how many of them were read.
        bytes_read: how many bytes that were.
    """

    damages: list[Damage] = attrs.field(factory=list)
    files: int = 0
    files_read: int = 0
    bytes_read: int = 0


class _Hashed(NamedTuple):
    digest: str
    size: int
    error: OSError | None = None


class Comparison:
    """One section beside its manifest.

    Args:
        tree: where the section is.
        section: what there should be.
        reads: whether the bytes of an entry are read; without it no bytes are.
        algorithm: of the digests.
        teller: told how far it is.
        compared: what came of it is added here.
        mode_mask: the permission bits that count.
        extras: whether what is there and not listed is damage.
        ignored: names beside those of the section that are well.
    """

    def __init__(
        self,
        tree: Below,
        section: SectionManifest,
        *,
        reads: Callable[[Entry], bool] | None,
        algorithm: str,
        teller: Teller,
        compared: Compared,
        mode_mask: int = 0o7777,
        extras: bool = True,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        self._tree, self._section = tree, section
        self._reads, self._algorithm = reads, algorithm
        self._teller, self.compared = teller, compared
        self._mode_mask, self._extras, self._ignored = mode_mask, extras, ignored
        self._lane = Lane(idle=teller.look)
        self._inodes: dict[tuple[int, int], Entry] = {}
        self._groups: dict[int, tuple[tuple[int, int], Entry]] = {}

    def run(self) -> None:
        """Compare all of it."""
        expected: dict[str, list[Entry]] = {"": []}
        for entry in self._section.entries:
            if entry.path == ROOT:
                self._check_root(entry)
                continue
            if entry.type == "dir":
                expected[entry.path] = []
            expected[entry.path.rpartition("/")[0]].append(entry)
        passable = {""}
        with self._lane:
            for path, entries in expected.items():
                if path in passable:
                    passable.update(self._directory(path, entries))
                else:
                    self._all_missing(entries)
            self._lane.drain()
        self._teller.end()

    def _add(self, path: str, kind: DamageKind, expected: str = "", found: str = "") -> None:
        self.compared.damages.append(Damage(self._section.name, path, kind, expected, found))

    def _check_root(self, entry: Entry) -> None:
        self._check_mode(entry, os.fstat(self._tree.root))

    def _all_missing(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._add(entry.path, "missing", entry.type)

    def _directory(self, path: str, entries: list[Entry]) -> Iterator[str]:
        """Compare what is in one directory; gives those in it that can be looked into."""
        try:
            fd = self._tree.directory(path)
            with os.scandir(fd) as listed:
                there = {each.name: _type_of(each) for each in listed}
        except OSError as error:
            self._add(path or ROOT, "unreadable", "a directory", _words(error))
            return
        before = len(path) + 1 if path else 0
        unfit = []
        for entry in entries:
            name = entry.path[before:]
            kind = there.pop(name, None)
            if kind != entry.type:
                unfit.append((entry, kind))
            elif kind == "file":
                self._file(fd, name, entry)
            else:
                self._other(fd, name, entry)
                if kind == "dir":
                    yield entry.path
        for entry, kind in unfit:
            self._unfit(entry, kind)
        for name, kind in sorted(there.items()) if self._extras else ():
            self._extra(f"{path}/{name}" if path else name, kind)

    def _unfit(self, entry: Entry, kind: str | None) -> None:
        if kind is None:
            self._add(entry.path, "missing", entry.type)
            return
        self._add(entry.path, "type", entry.type, kind)
        if kind == "dir" and self._extras:
            self._all_extra(entry.path)

    def _extra(self, path: str, kind: str) -> None:
        if path not in self._ignored:
            self._add(path, "extra", "", kind)
            if kind == "dir":
                self._all_extra(path)

    def _all_extra(self, path: str) -> None:
        try:
            for found in walk(self._tree, path=path, failed=lambda each, error: None):
                self._add(found.path, "extra", "", _TYPES.get(stat.S_IFMT(found.status.st_mode), "special file"))
        except OSError as error:
            self._add(path, "unreadable", "", _words(error))

    def _other(self, fd: int, name: str, entry: Entry) -> None:
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            link = os.readlink(name, dir_fd=fd) if entry.type == "link" else None
        except OSError as error:
            self._gone_or_unreadable(entry, error)
            return
        if entry.type == "dir":
            self._check_mode(entry, status)
        elif link != entry.link:
            self._add(entry.path, "link", f"to {entry.link}", f"to {link}")

    def _gone_or_unreadable(self, entry: Entry, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self._add(entry.path, "missing", entry.type)
        elif error.errno in {errno.ELOOP, errno.ENXIO}:
            self._add(entry.path, "type", entry.type, "something else since it was listed")
        else:
            self._add(entry.path, "unreadable", entry.type, _words(error))

    def _check_mode(self, entry: Entry, status: os.stat_result) -> None:
        mode = status.st_mode & self._mode_mask
        if entry.mode != UNKNOWN and mode != entry.mode & self._mode_mask:
            self._add(entry.path, "mode", f"{entry.mode & self._mode_mask:04o}", f"{mode:04o}")

    # Files

    def _file(self, fd: int, name: str, entry: Entry) -> None:
        self.compared.files += 1
        reading = self._reads is not None and self._reads(entry)
        try:
            if not reading:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                self._check_status(entry, status)
                self._teller.add_file()
                return
            file = os.open(name, _FLAGS, dir_fd=fd)
        except OSError as error:
            self._gone_or_unreadable(entry, error)
            self._teller.add_file()
            return
        self._read(file, entry)

    def _read(self, file: int, entry: Entry) -> None:
        """Read an open file, which is closed by whoever reads it."""
        kept = False
        try:
            status = os.fstat(file)
            if not self._check_status(entry, status):
                self._teller.add_file()
                return
            size = status.st_size
            if size <= _SMALL:
                self._judge(entry, self._read_small(file, size))
            elif size < CHUNK:
                self._judge(entry, self._hash(file, size))
            else:
                kept = True
                self._lane.add(
                    lambda: self._hash_and_close(file, size),
                    lambda hashed: self._judge(entry, hashed),
                    lambda: os.close(file),
                )
        finally:
            if not kept:
                os.close(file)

    def _read_small(self, file: int, size: int) -> _Hashed:
        try:
            data = os.read(file, size) if size else b""
            while len(data) < size and (more := os.read(file, size - len(data))):
                data += more
        except OSError as error:
            return _Hashed("", 0, error)
        self._teller.add_bytes(len(data))
        made = hashlib.sha256(data) if self._algorithm == "sha256" else hashlib.md5(data, usedforsecurity=False)
        return _Hashed(made.hexdigest(), len(data))

    def _hash(self, file: int, size: int) -> _Hashed:
        try:
            return _Hashed(*hash_file(file, size, self._algorithm, self._teller.add_bytes))
        except OSError as error:
            return _Hashed("", 0, error)

    def _hash_and_close(self, file: int, size: int) -> _Hashed:
        try:
            return self._hash(file, size)
        finally:
            os.close(file)

    def _judge(self, entry: Entry, hashed: _Hashed) -> None:
        compared = self.compared
        compared.files_read += 1
        compared.bytes_read += hashed.size
        if hashed.error is not None:
            self._add(entry.path, "unreadable", "file", _words(hashed.error))
        elif entry.size not in {UNKNOWN, hashed.size}:
            self._add(entry.path, "truncated", f"{entry.size} bytes", f"{hashed.size} bytes")
        elif hashed.digest != entry.digest:
            self._add(entry.path, "corrupt", f"{self._algorithm} {entry.digest}", hashed.digest)
        self._teller.add_file()

    def _check_status(self, entry: Entry, status: os.stat_result) -> bool:
        """Compare what the system says of a file; whether its bytes can still tell something."""
        if not stat.S_ISREG(status.st_mode):
            self._add(entry.path, "type", "file", "something else since it was listed")
            return False
        if entry.mode != UNKNOWN:
            if status.st_mode & self._mode_mask != entry.mode & self._mode_mask:
                self._check_mode(entry, status)
            if status.st_nlink > 1 or entry.group is not None:
                self._check_names(entry, status)
        if entry.size == UNKNOWN or status.st_size == entry.size:
            return True
        kind: DamageKind = "truncated" if status.st_size < entry.size else "grown"
        self._add(entry.path, kind, f"{entry.size} bytes", f"{status.st_size} bytes")
        return False

    def _check_names(self, entry: Entry, status: os.stat_result) -> None:
        """Names of one file must be that, and names of two files two."""
        inode = (status.st_dev, status.st_ino)
        other = self._inodes.setdefault(inode, entry)
        if entry.group is None or other.group != entry.group:
            if other is not entry:
                self._add(entry.path, "link", "a file of its own", f"one file with {other.path!a}")
            if entry.group is None:
                return
        first, named = self._groups.setdefault(entry.group, (inode, entry))
        if first != inode:
            self._add(entry.path, "link", f"one file with {named.path!a}", "a file of its own")


def _type_of(listed: os.DirEntry[str]) -> str:
    try:
        if listed.is_symlink():
            return "link"
        if listed.is_dir(follow_symlinks=False):
            return "dir"
        return "file" if listed.is_file(follow_symlinks=False) else "special file"
    except OSError as error:
        return _words(error)


def _words(error: OSError) -> str:
    return error.strerror or str(error)
