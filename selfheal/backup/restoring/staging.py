"""A section copied from the store to beside its target, and the bytes that arrived compared with the manifest."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

import attrs

from selfheal.backup.entries import UNKNOWN, Entry, SectionManifest
from selfheal.backup.hashing import CHUNK, extents, hash_file
from selfheal.backup.paths import ROOT, Below, why_refused
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.restoring.exchanging import Step, no_step
from selfheal.backup.restoring.words import count
from selfheal.errors import BackupError

_MOST_DAMAGES = 100
_PRIVILEGED = stat.S_ISUID | stat.S_ISGID


Tell = Callable[[Progress], object]


class Source(Protocol):
    """Where the files of a section are read: a :class:`~selfheal.backup.paths.Below`, or anything like it."""

    def open(self, path: str) -> int:
        """Open one for reading."""

    def lstat(self, path: str) -> os.stat_result:
        """What it is."""


@attrs.define
class Staged:
    """What came of copying a section.

    Args:
        stripped: paths that had setuid or setgid, which were not given to them.
        strangers: paths whose owner could not be kept.
    """

    stripped: list[str] = attrs.Factory(list)
    strangers: list[str] = attrs.Factory(list)

    def notes(self, section: str) -> Iterator[str]:
        """What a person has to know of it."""
        if self.stripped:
            some = ", ".join(map(ascii, self.stripped[:10]))
            yield f"{section}: setuid or setgid was not restored for {count(len(self.stripped), 'name')}: {some}"
        if self.strangers:
            yield (
                f"{section}: no leave to keep the owner of {count(len(self.strangers), 'name')}, "
                f"{self.strangers[0]!a} the first"
            )


def stage(
    section: SectionManifest,
    source: Source,
    tree: Below,
    algorithm: str,
    *,
    name: str | None = None,
    dress_root: bool = True,
    privileges: bool = False,
    progress: Tell | None = None,
    step: Step = no_step,
) -> Staged:
    """Copy a section, and compare what was written with the manifest.

    Args:
        section: what is to be copied.
        source: its directory in the store.
        tree: an empty directory: nothing outside of it is written, whatever the manifest says.
        algorithm: of the digests.
        name: another name for the file of a section that is one file.
        dress_root: whether ``tree`` itself gets mode and time of the directory of the section.
        privileges: give setuid and setgid too.
        progress: told now and then; what it raises ends the copying.
        step: called between any two changes.

    Raises:
        BackupError: if the backup is damaged, with the names of what is.
        OSError: if something cannot be written.
    """
    copying = _Copying(section, source, tree, algorithm, name, progress, step)
    copying.privileged = 0 if privileges else _PRIVILEGED
    for entry in section.entries:
        copying.take(entry)
    copying.finish(dress_root)
    return copying.staged


class _Damage(Exception):  # noqa: N818 - it never leaves this module
    """Something is not in the store as the manifest says."""


class _Copying:
    def __init__(
        self,
        section: SectionManifest,
        source: Source,
        tree: Below,
        algorithm: str,
        name: str | None,
        progress: Tell | None,
        step: Step,
    ) -> None:
        self.staged = Staged()
        self.privileged = _PRIVILEGED
        self._section = section
        self._source, self._tree, self._algorithm, self._name = source, tree, algorithm, name
        self._teller, self._step = Teller(progress, "restoring", section.name, section.files, section.size), step
        self._groups: dict[int, tuple[str, Entry]] = {}
        self._damages: list[str] = []

    def take(self, entry: Entry) -> None:
        """One more entry."""
        why = None if entry.path == ROOT else why_refused(entry.path)
        if why is not None:
            raise BackupError(f"section {self._section.name!r}", f"{entry.path!a} is no path in it: {why}")
        try:
            match entry.type:
                case "dir":
                    if entry.path != ROOT:
                        self._tree.mkdir(entry.path)
                case "link":
                    self._link(entry)
                case "file":
                    self._file(entry)
        except _Damage as damage:
            self._damages.append(f"{entry.path!a} {damage}")
            if len(self._damages) >= _MOST_DAMAGES:
                self._refuse("or more ")
        self._step(f"staged {entry.type}")

    def finish(self, dress_root: bool) -> None:
        """Directories get their modes and times at last, from the innermost: until then things are put in them."""
        if self._damages:
            self._refuse()
        self._teller.end()
        for entry in reversed(self._section.entries):
            if entry.type == "dir" and (dress_root or entry.path != ROOT):
                fd = self._tree.root if entry.path == ROOT else self._tree.directory(entry.path)
                self._dress(fd, entry, self._source_stat(entry))
        self._step("directories finished")

    def _refuse(self, more: str = "") -> NoReturn:
        some = "; ".join(self._damages[:10])
        raise BackupError(
            f"section {self._section.name!r} of the backup",
            f"{count(len(self._damages), 'name')} {more}damaged: {some}. Restore an older backup, "
            "or copy what is whole by hand",
        )

    def _link(self, entry: Entry) -> None:
        self._tree.symlink(entry.link or "", entry.path)
        above, name = self._tree.parent(entry.path)
        self._own(entry, lambda uid, gid: os.chown(name, uid, gid, dir_fd=above, follow_symlinks=False))
        if entry.mtime_ns != UNKNOWN:
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=above, follow_symlinks=False)

    def _file(self, entry: Entry) -> None:
        first = self._groups.get(entry.group) if entry.group is not None else None
        if first is not None:
            path, other = first
            if (other.digest, other.size) != (entry.digest, entry.size):
                raise _Damage(f"and {path!a} are said to be one file, with different content")
            self._tree.link(path, entry.path)
        else:
            path = self._name or entry.path
            self._copy(entry, path)
            if entry.group is not None:
                self._groups[entry.group] = (path, entry)
        if first is not None:
            self._teller.add_bytes(max(entry.size, 0))
        self._teller.add_file()

    def _copy(self, entry: Entry, path: str) -> None:
        there = self._open(entry)
        try:
            seen = os.fstat(there)
            if not stat.S_ISREG(seen.st_mode):
                raise _Damage("is no file in the store")
            if entry.size not in (UNKNOWN, seen.st_size):
                raise _Damage(f"has {seen.st_size} bytes, {entry.size} in the manifest")
            here = self._tree.create(path)
            try:
                self._step("file made")
                self._pour(there, here, seen.st_size)
                self._step("file filled")
                self._compare(here, entry, seen.st_size)
                self._dress(here, entry, seen)
            finally:
                os.close(here)
        finally:
            os.close(there)

    def _compare(self, here: int, entry: Entry, size: int) -> None:
        """What arrived, read back, with the manifest."""
        found, _ = hash_file(here, size, self._algorithm)
        if entry.digest is not None and found != entry.digest:
            told = f"{self._algorithm} {found[:16]}..., {entry.digest[:16]}... in the manifest"
            raise _Damage(f"is corrupt: {told}")

    def _open(self, entry: Entry) -> int:
        try:
            return self._source.open(entry.path)
        except FileNotFoundError:
            raise _Damage("is missing") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
                raise
            raise _Damage(f"cannot be read: {error.strerror}") from None

    def _source_stat(self, entry: Entry) -> os.stat_result | None:
        try:
            return self._source.lstat(entry.path) if entry.mode == UNKNOWN else None
        except OSError:
            return None

    def _pour(self, there: int, here: int, size: int) -> None:
        """Copy the data of a file, leaving its holes out."""
        for extent in extents(there, size):
            at = extent.start
            while at < extent.end and not extent.hole:
                try:
                    chunk = os.pread(there, min(CHUNK, extent.end - at), at)
                except OSError as error:
                    raise _Damage(f"cannot be read: {error.strerror}") from None
                if not chunk:
                    raise _Damage("became shorter while it was copied")
                _write(here, chunk, at)
                at += len(chunk)
                self._teller.add_bytes(len(chunk))
            self._teller.add_bytes(extent.end - at)
        os.ftruncate(here, size)

    def _dress(self, fd: int, entry: Entry, seen: os.stat_result | None) -> None:
        """Give owner, mode and time, in the order in which they do not undo one another."""
        self._own(entry, lambda uid, gid: os.chown(fd, uid, gid))
        mode = entry.mode if entry.mode != UNKNOWN else (seen.st_mode if seen is not None else None)
        if mode is not None:
            if mode & self.privileged:
                self.staged.stripped.append(entry.path)
            os.chmod(fd, stat.S_IMODE(mode) & ~self.privileged)
        if entry.mtime_ns != UNKNOWN:
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _own(self, entry: Entry, chown: Callable[[int, int], object]) -> None:
        if (entry.uid, entry.gid) in ((UNKNOWN, UNKNOWN), (os.geteuid(), os.getegid())):
            return
        try:
            chown(entry.uid, entry.gid)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            self.staged.strangers.append(entry.path)


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
