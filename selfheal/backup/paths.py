"""Files reached by directory descriptors: nothing on the way may be a link, and nothing is left by ``..``.

A path given as text is looked up anew at each use, and who can rename a directory in between leads it elsewhere. Here
each directory is opened below the one before it with ``O_NOFOLLOW``, so what is opened lies below the root, whatever
happens to names meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_KEPT = 48
"""Directories of one chain that are kept open; of what is deeper only the last one is."""
LONGEST_NAME = 255
"""Bytes of one component that file systems take."""
LONGEST_PATH = 65_536
"""Characters of a relative path. Systems take 4,096 bytes at once; what is deeper is reached step by step."""
ROOT = "."
"""The path of the root itself."""


def why_refused(path: str) -> str | None:
    """Say why a relative path of a manifest is not accepted; ``None`` where it is.

    >>> why_refused("etc/app.toml"), why_refused("../passwd")
    (None, "it has a component '..'")
    """
    if not path:
        return "it is empty"
    if "\0" in path:
        return "it has a NUL"
    if path[0] == "/":
        return "it is absolute"
    if len(path) > LONGEST_PATH:
        return f"it is longer than {LONGEST_PATH:,} characters"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return f"it has a component {part!r}"
        if len(part) > LONGEST_NAME // 4 and len(part.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
            return f"a component is longer than {LONGEST_NAME} bytes"
    if path.isascii():
        return None
    try:
        good = os.fsdecode(os.fsencode(path)) == path
    except UnicodeEncodeError:
        good = False
    return None if good else "it is not how a file name is written as text"


def open_root(path: str | os.PathLike[str]) -> int:
    """Open a directory that a person named. Links are followed here, and nowhere below.

    Raises:
        OSError: if it cannot be opened or is no directory.
    """
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


class Below:
    """What lies below one directory, by relative paths. Not safe from several threads.

    Args:
        root: its descriptor. It is closed with this.

    All of its methods raise :class:`OSError` as the system gives it; a link on the way is ``ENOTDIR`` or ``ELOOP``.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self._chain: list[tuple[str, int]] = []
        self._deep: tuple[str, int] | None = None
        self._last: tuple[str, int] = ("", root)

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """What lies below the directory of this name; see :func:`open_root`."""
        return cls(open_root(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all descriptors. Once."""
        self._forget()
        if self.root >= 0:
            os.close(self.root)
            self.root = -1

    def _forget(self) -> None:
        self._shorten(0)
        if self._deep is not None:
            os.close(self._deep[1])
            self._deep = None
        self._last = ("", self.root)

    def directory(self, path: str) -> int:
        """A descriptor of a directory below; it belongs to this one: do not close it, use it before the next call."""
        if path == self._last[0]:
            return self._last[1]
        parts = [] if path in {"", ROOT} else path.split("/")
        fd = self._open_chain(parts[:_KEPT])
        if len(parts) > _KEPT:
            fd = self._open_deep(path, fd, parts[_KEPT:])
        self._last = (path, fd)
        return fd

    def _open_chain(self, parts: list[str]) -> int:
        same = 0
        for part, (name, _) in zip(parts, self._chain, strict=False):
            if part != name:
                break
            same += 1
        self._shorten(same)
        fd = self._chain[-1][1] if self._chain else self.root
        for part in parts[same:]:
            fd = os.open(part, _DIRECTORY, dir_fd=fd)
            self._chain.append((part, fd))
        return fd

    def _shorten(self, length: int) -> None:
        self._last = ("", self.root)
        while len(self._chain) > length:
            os.close(self._chain.pop()[1])

    def _open_deep(self, path: str, above: int, parts: list[str]) -> int:
        if self._deep is not None and path.startswith(f"{self._deep[0]}/"):
            above = self._deep[1]
            parts = path[len(self._deep[0]) + 1 :].split("/")
        fd = above
        for part in parts:
            deeper = os.open(part, _DIRECTORY, dir_fd=fd)
            if fd not in {above, self._deep and self._deep[1]}:
                os.close(fd)
            fd = deeper
        if self._deep is not None:
            os.close(self._deep[1])
        self._deep = (path, fd)
        return fd

    def parent(self, path: str) -> tuple[int, str]:
        """The directory something is in, and its name there, for calls with ``dir_fd``."""
        above, _, name = path.rpartition("/")
        return self.directory(above), name

    def lstat(self, path: str) -> os.stat_result:
        """What there is at a path, a link being a link."""
        if path == ROOT:
            return os.fstat(self.root)
        above, name = self.parent(path)
        return os.stat(name, dir_fd=above, follow_symlinks=False)

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """Open a file that is there; never a link, never waiting for the other end of a pipe."""
        above, name = self.parent(path)
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=above)

    def create(self, path: str, mode: int = 0o600) -> int:
        """Make a file where there is nothing, open for reading and writing."""
        above, name = self.parent(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=above)

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        """Make a directory where there is nothing."""
        above, name = self.parent(path)
        os.mkdir(name, mode, dir_fd=above)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link where there is nothing."""
        above, name = self.parent(path)
        os.symlink(target, name, dir_fd=above)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""
        above, name = self.parent(path)
        return os.readlink(name, dir_fd=above)

    def link(self, there: str, path: str) -> None:
        """Make a second name of a file, where there is nothing."""
        source, old = self.parent(there)
        source = os.dup(source)
        try:
            above, name = self.parent(path)
            os.link(old, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
        finally:
            os.close(source)

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(os.listdir(self.directory(path)))


class Found(NamedTuple):
    """Something in a tree.

    Args:
        path: relative to the root of the tree.
        status: what ``lstat`` says.
    """

    path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is one; a link to one is not."""
        return stat.S_ISDIR(self.status.st_mode)


def walk(
    tree: Below,
    *,
    enter: Callable[[Found], bool] = lambda found: True,
    failed: Callable[[str, OSError], object] | None = None,
    path: str = "",
) -> Iterator[Found]:
    """Everything below a directory, each before what it contains, by name; links are not followed.

    Args:
        tree: where.
        enter: asked about everything found, before it is given out; what it refuses is left out, with all below.
        failed: told of what cannot be looked at (path and error), which is then left out; else it is raised.
        path: begin at this directory, which is itself not given out.

    Raises:
        OSError: if something cannot be looked at and nobody wants to be told.
    """
    pending = [path]
    while pending:
        here = pending.pop()
        found = _look_into(tree, here, failed)
        below = [each for each in found if enter(each)]
        deeper = [each.path for each in below if each.is_directory]
        if not deeper:
            yield from below
            continue
        # A directory is followed by what is in it: what comes after it waits, as names, on the stack.
        yield from below
        pending.extend(reversed(deeper))


def _look_into(tree: Below, here: str, failed: Callable[[str, OSError], object] | None) -> list[Found]:
    found = []
    try:
        with os.scandir(tree.directory(here)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{here}/{entry.name}" if here else entry.name
                try:
                    found.append(Found(path, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue  # gone since the directory was read: it is not there
                except OSError as error:
                    _tell(path, error, failed)
    except OSError as error:
        _tell(here or ROOT, error, failed)
    return found


def _tell(path: str, error: OSError, failed: Callable[[str, OSError], object] | None) -> None:
    if failed is None:
        raise error
    failed(path, error)


def remove_tree(parent: int, name: str) -> None:
    """Remove a file, or a directory with all below it, without following links. What is not there is well.

    Raises:
        OSError: if something cannot be removed.
    """
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if status.st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)
    with Below(os.open(name, _DIRECTORY, dir_fd=parent)) as tree:
        directories = []
        for found in walk(tree, enter=lambda found: _make_passable(tree, found)):
            if found.is_directory:
                directories.append(found.path)
            else:
                above, last = tree.parent(found.path)
                os.unlink(last, dir_fd=above)
        for path in reversed(directories):
            above, last = tree.parent(path)
            os.rmdir(last, dir_fd=above)
    os.rmdir(name, dir_fd=parent)


def _make_passable(tree: Below, found: Found) -> bool:
    if found.is_directory and found.status.st_mode & 0o700 != 0o700:
        above, name = tree.parent(found.path)
        os.chmod(name, 0o700, dir_fd=above)
    return True


def sync_file_system(fd: int) -> None:
    """Have everything that was written to the file system of an open file on the disk, in one go.

    Raises:
        OSError: if the disk refuses. Then nothing that was written since the last time is safe.
    """
    import ctypes  # 10 ms: only who writes backups pays

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
