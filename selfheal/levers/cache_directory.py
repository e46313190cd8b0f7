"""Directories emptied without ever leaving them.

Every step goes from an open directory to a name in it (``openat`` and its like), never through a path, and
links are not followed: a link put in place of a directory while it is being emptied leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from selfheal.errors import ConfigError
from selfheal.levers.cache_records import CacheSize, ClearReport

_MAX_DEPTH = 64
"""Levels of directories; each costs a file descriptor while it is worked on."""
_MAX_TOLD = 100
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Wanted = Callable[[str, os.stat_result], bool]


@attrs.define
class _Tally:
    """What came of a walk."""

    entries: int = 0
    bytes: int = 0
    failures: int = 0
    failed: list[str] = attrs.Factory(list)

    def fail(self, path: str, why: str) -> None:
        self.failures += 1
        if len(self.failed) < _MAX_TOLD:
            self.failed.append(f"{path}: {why}")

    def count(self, seen: os.stat_result) -> None:
        self.entries += 1
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink <= 1:  # a second name elsewhere keeps the bytes
            self.bytes += seen.st_size


class CacheDirectory:
    """A directory below a declared root, to be measured and emptied.

    Args:
        path: the directory; it need not be there yet. Relative paths are taken from ``root``.
        root: an existing directory that is never left. Links in the path to it are resolved once, here.

    Raises:
        ConfigError: if ``path`` is not below ``root`` or holds ``..``, or ``root`` is no directory or that of the
            whole file system.
    """

    def __init__(self, path: Path | str, root: Path | str) -> None:
        where = "CacheControl.root"
        given = _plain_path(root, where)
        if not given.is_dir():
            raise ConfigError(where, str(root), "a directory that is there")
        self.root = given.resolve()
        if self.root == Path(self.root.anchor):
            raise ConfigError(where, str(root), "a directory of its own, not the root of the file system")
        inside = _plain_path(path, "CacheControl.cache")
        if ".." in inside.parts:
            raise ConfigError("CacheControl.cache", str(path), "a path without '..'")
        self._steps = self._below(inside)
        self.path = self.root.joinpath(*self._steps)

    def _below(self, path: Path) -> tuple[str, ...]:
        if not path.is_absolute():
            return path.parts
        for root in (self.root, Path(os.path.abspath(self.root))):
            with contextlib.suppress(ValueError):
                return path.relative_to(root).parts
        resolved = path.parent.resolve() / path.name
        with contextlib.suppress(ValueError):
            return resolved.relative_to(self.root).parts
        raise ConfigError("CacheControl.cache", str(path), f"a directory below its root {str(self.root)!r}")

    def size(self) -> CacheSize:
        """Count the files and links in it, and their bytes.

        Raises:
            OSError: if it cannot be opened; a link in its path counts as that.
        """
        tally = _Tally()
        with self._opened() as fd:
            if fd is not None:
                self._walk(fd, "", 0, tally, lambda name, seen: True, remove=False)
        return CacheSize(entries=tally.entries, bytes=tally.bytes)

    def clear(self) -> ClearReport:
        """Remove all that is in it, and leave it empty. Links are removed, not followed; mounts are left alone.

        Raises:
            OSError: if it cannot be opened; a link in its path counts as that.
        """
        return self._remove(lambda name, seen: True, directories=True)

    def clean(self, patterns: tuple[str, ...], before: float) -> ClearReport:
        """Remove files whose name fits one of ``patterns`` and that were not changed since ``before`` (wall seconds).

        Raises:
            OSError: if it cannot be opened; a link in its path counts as that.
        """

        def wanted(name: str, seen: os.stat_result) -> bool:
            fits = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
            return fits and stat.S_ISREG(seen.st_mode) and seen.st_mtime < before

        return self._remove(wanted, directories=False)

    def _remove(self, wanted: Wanted, *, directories: bool) -> ClearReport:
        tally = _Tally()
        with self._opened() as fd:
            if fd is not None:
                self._walk(fd, "", 0, tally, wanted, remove=True, directories=directories)
        return ClearReport(
            entries=tally.entries, bytes=tally.bytes, failed=tuple(tally.failed), failures=tally.failures
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """The directory, opened step by step from the root; ``None`` where it is not there."""
        fd = os.open(self.root, _OPEN)
        try:
            for step in self._steps:
                try:
                    inner = os.open(step, _OPEN, dir_fd=fd)
                except FileNotFoundError:
                    yield None
                    return
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _walk(
        self, fd: int, path: str, depth: int, tally: _Tally, wanted: Wanted, *, remove: bool, directories: bool = False
    ) -> None:
        here = os.fstat(fd)
        try:
            with os.scandir(fd) as listing:
                names = [entry.name for entry in listing]
        except OSError as error:
            tally.fail(path or ".", _why(error))
            return
        for name in names:
            inside = f"{path}/{name}" if path else name
            try:
                seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(seen.st_mode):
                    if self._descend(fd, name, inside, here, depth, tally, wanted, remove, directories) and directories:
                        os.rmdir(name, dir_fd=fd)
                elif wanted(name, seen):
                    if remove:
                        os.unlink(name, dir_fd=fd)
                    tally.count(seen)
            except FileNotFoundError:
                continue  # somebody else removed it: it is gone, as wanted
            except OSError as error:
                tally.fail(inside, _why(error))

    def _descend(
        self,
        fd: int,
        name: str,
        path: str,
        here: os.stat_result,
        depth: int,
        tally: _Tally,
        wanted: Wanted,
        remove: bool,
        directories: bool,
    ) -> bool:
        """Walk an inner directory; tell whether that was possible."""
        if depth >= _MAX_DEPTH:
            tally.fail(path, f"more than {_MAX_DEPTH} levels deep")
            return False
        inner = os.open(name, _OPEN, dir_fd=fd)
        try:
            if os.fstat(inner).st_dev != here.st_dev:
                tally.fail(path, "another file system is mounted there")
                return False
            if not _same(os.stat("..", dir_fd=inner), here):
                tally.fail(path, "it was moved elsewhere meanwhile")
                return False
            before = tally.failures
            self._walk(inner, path, depth + 1, tally, wanted, remove=remove, directories=directories)
            return tally.failures == before
        finally:
            os.close(inner)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _why(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "it became a link or a file meanwhile"
    return error.strerror or type(error).__name__


def _plain_path(path: object, where: str) -> Path:
    if not isinstance(path, str | Path) or not str(path).strip() or "\0" in str(path):
        raise ConfigError(where, path, "a path")
    return Path(path)
