"""One section copied into a backup that is being made."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from selfheal.backup.copying import Copied, SourceError, copy_content, set_status
from selfheal.backup.databases import DatabaseCopyError, copy_database, open_here
from selfheal.backup.entries import Entry, Skipped
from selfheal.backup.hashing import CHUNK, Lane, hash_file
from selfheal.backup.paths import ROOT, Below, Found
from selfheal.backup.progress import Teller
from selfheal.backup.scanning import Scan

_GONE = "gone before it was read"


class SectionCopy:
    """Copies what a scan found, and keeps the entries of it in order.

    Args:
        source: where it is.
        target: an empty directory of the backup.
        scan: what was found.
        step: called with a name before each step after which a crash would leave something else behind.
        teller: told how far it is.
        first_group: number of the first group of names of one file.
    """

    def __init__(
        self,
        source: Below,
        target: Below,
        scan: Scan,
        *,
        step: Callable[[str], object],
        teller: Teller,
        first_group: int = 1,
    ) -> None:
        self._source, self._target, self._scan = source, target, scan
        self._step, self._teller = step, teller
        self.entries: dict[str, Entry | None] = {}
        self.skipped: list[Skipped] = list(scan.skipped)
        self.unstable: list[str] = []
        self.problems: list[str] = []
        self.next_group = first_group
        self._firsts: dict[tuple[int, int], str] = {}
        self._groups: dict[str, int] = {}
        self._lane = Lane(idle=teller.look)

    def run(self) -> tuple[Entry, ...]:
        """Copy all of it.

        Raises:
            OSError: if the target cannot be written.
        """
        directories = []
        with self._lane:
            for found in self._scan.found:
                self._copy(found)
                if found.is_directory:
                    directories.append(found)
            self._lane.drain()
        for found in reversed(directories):
            self._finish_directory(found)
        self._teller.end()
        return tuple(entry for entry in self.entries.values() if entry is not None)

    def _copy(self, found: Found) -> None:
        path, mode = found.path, found.status.st_mode
        above = path.rpartition("/")[0]
        if above and self.entries.get(above) is None:
            self.skipped.append(Skipped(path, f"its directory is not there: {_GONE}"))
            return
        self.entries[path] = None  # keeps its place
        if path == ROOT:
            self.entries[path] = _entry(found.path, "dir", found.status)
        elif stat.S_ISDIR(mode):
            self._target.mkdir(path)
            self.entries[path] = _entry(path, "dir", found.status)
        elif stat.S_ISLNK(mode):
            self._copy_link(found)
        else:
            self._copy_file(found)

    def _finish_directory(self, found: Found) -> None:
        """Owner, permissions and time, which the making of what is in it would have changed."""
        status = found.status
        fd = self._target.directory("" if found.path == ROOT else found.path)
        set_status(fd, status)

    def _copy_link(self, found: Found) -> None:
        path, status = found.path, found.status
        try:
            link = self._source.readlink(path)
        except OSError as error:
            self._skip(path, error)
            return
        self._target.symlink(link, path)
        above, name = self._target.parent(path)
        with contextlib.suppress(PermissionError):
            os.chown(name, status.st_uid, status.st_gid, dir_fd=above, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=above, follow_symlinks=False)
        self.entries[path] = _entry(path, "link", status, link=link)

    def _skip(self, path: str, error: OSError) -> None:
        self.entries[path] = None
        gone = isinstance(error, FileNotFoundError)
        self.skipped.append(Skipped(path, _GONE if gone else f"unreadable: {error.strerror or error}"))
        self._teller.add_file()

    # Files

    def _copy_file(self, found: Found) -> None:
        path = found.path
        if open_here(found.status):
            self._copy_open_database(found)
            return
        try:
            source = self._source.open(path)
        except OSError as error:
            self._skip(path, error)
            return
        status = os.fstat(source)
        try:
            if not stat.S_ISREG(status.st_mode):
                self._skip(path, OSError(0, "it became something else than a file"))
            elif status.st_nlink > 1 and self._link(path, status):
                self._teller.add_bytes(status.st_size)
                self._teller.add_file()
            elif self._scan.is_database(path, source):
                self._copy_database(path, status)
            else:
                self._begin(path, source, status)
                return  # who copies it closes it
        except SourceError as error:
            self._skip(path, error)
        os.close(source)

    def _link(self, path: str, status: os.stat_result) -> bool:
        """Make a further name of a file that was copied already; whether it was."""
        first = self._firsts.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        self._lane.drain()  # the first may still be under way
        entry = self.entries.get(first)
        if entry is None:
            return False
        self._step("hard link made")
        self._target.link(first, path)
        group = self._groups.get(first)
        if group is None:
            group = self._groups[first] = self.next_group
            self.next_group += 1
            self.entries[first] = _grouped(entry, first, group)
        self.entries[path] = _grouped(entry, path, group)
        return True

    def _begin(self, path: str, source: int, status: os.stat_result) -> None:
        try:
            self._step("file begun")
            target = self._target.create(path)
        except BaseException:
            os.close(source)
            raise

        def close() -> None:
            os.close(source)
            os.close(target)

        def work() -> Copied | SourceError:
            try:
                copied = copy_content(source, target, told=self._teller.add_bytes)
                set_status(target, copied.status)
                return copied
            except SourceError as error:
                return error
            finally:
                close()

        if status.st_size < CHUNK:
            self._end(path, work())
        else:
            self._lane.add(work, lambda copied: self._end(path, copied), close)

    def _end(self, path: str, copied: Copied | SourceError) -> None:
        if isinstance(copied, SourceError):
            above, name = self._target.parent(path)
            os.unlink(name, dir_fd=above)
            self._skip(path, copied)
            return
        if not copied.stable:
            self.unstable.append(path)
        self.entries[path] = _entry(path, "file", copied.status, size=copied.size, digest=copied.digest)
        self._step("file copied")
        self._teller.add_file()

    # Databases

    def _copy_open_database(self, found: Found) -> None:
        """One that this process has open: by SQLite or not at all, since opening it here would harm it."""
        if found.status.st_nlink > 1 and self._link(found.path, found.status):
            self._teller.add_bytes(found.status.st_size)
            self._teller.add_file()
            return
        self._copy_database(found.path, found.status, here=True)

    def _copy_database(self, path: str, status: os.stat_result, *, here: bool = False) -> None:
        self._step("database begun")
        os.close(self._target.create(path))
        source, name = self._source.parent(path)
        target, _ = self._target.parent(path)
        try:
            copy_database(source, name, target, name)
        except DatabaseCopyError as error:
            if here:
                above, name = self._target.parent(path)
                os.unlink(name, dir_fd=above)
                self._skip(path, OSError(errno.EBUSY, f"it is open in this process, and not to be had: {error}"))
            else:
                self._copy_as_files(path, error)
            return
        target = self._target.open(path, os.O_RDWR)
        try:
            size = os.fstat(target).st_size
            digest, _ = hash_file(target, size, "sha256", self._teller.add_bytes)
            set_status(target, status)
        finally:
            os.close(target)
        self.entries[path] = _entry(path, "file", status, size=size, digest=digest)
        self._step("database copied")
        self._teller.add_file()

    def _copy_as_files(self, path: str, why: DatabaseCopyError) -> None:
        """The database and what is beside it, byte by byte: SQLite repairs such a set when it opens it."""
        self.problems.append(f"{path!r}: copied like any file, not as a database: {why}")
        beside = self._scan.companions.get(path, [])
        names = [path, *(found.path for found in beside)]
        above, name = self._target.parent(path)
        os.unlink(name, dir_fd=above)
        for each in names:
            try:
                source = self._source.open(each)
            except FileNotFoundError:
                continue  # one beside it that has served its purpose
            except OSError as error:
                self._skip(each, error)
                continue
            self.entries[each] = None
            self._begin(each, source, os.fstat(source))
        if why.busy:
            self.unstable += [each for each in names if each not in self.unstable]


def _entry(
    path: str, kind: str, status: os.stat_result, *, size: int = 0, digest: str | None = None, link: str | None = None
) -> Entry:
    return Entry(
        path,
        "dir" if kind == "dir" else "link" if kind == "link" else "file",
        mode=stat.S_IMODE(status.st_mode),
        size=size,
        mtime_ns=status.st_mtime_ns,
        link=link,
        digest=digest,
        uid=status.st_uid,
        gid=status.st_gid,
    )


def _grouped(entry: Entry, path: str, group: int) -> Entry:
    return Entry(
        path,
        "file",
        mode=entry.mode,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        group=group,
        digest=entry.digest,
        uid=entry.uid,
        gid=entry.gid,
    )
