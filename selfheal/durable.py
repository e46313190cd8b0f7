"""Files that are there whole or not at all, whoever reads or dies meanwhile.

A file is written beside its place and renamed into it. What a killed process left unfinished is removed by the next
write of that file, so that such files do not pile up; what a live one has under way is left to it, and nobody waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Literal

Sync = Literal["none", "content", "all"]
"""What is on the disk when a file has been replaced; see :func:`replace_file`."""

_DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST = 230
"""Bytes of a file's name that its draft has in its own, which may have 255."""


def replace_file(
    path: str | os.PathLike[str],
    content: bytes,
    *,
    mode: int | None = 0o600,
    sync: Sync = "all",
    draft: str = "",
    step: Callable[[str], object] = lambda name: None,
) -> None:
    """Put a file in the place of the one there may be. A reader sees the old one or the new one, never a half.

    Several may write the same file at once: that of the last one to be done stays. A symbolic link at ``path`` is
    replaced, and what it points to is not touched; links on the way are followed.

    Args:
        path: the file; its directory has to be there.
        content: all of it.
        mode: its permissions, whatever the umask says; ``None``: those of the file there is, else 0600.
        sync: what a loss of power leaves: with ``all`` the new file, once this has returned; with ``content`` the old
            or the new one; with ``none`` perhaps an empty one. Only ``all`` needs a directory that may be read.
        draft: name of the unfinished file in the same directory; by default ``.<name>.new``. To be given where each
            file has a name of its own, so that the next write finds what a killed process left. While a live process
            has one of this name, others get something behind.
        step: called with ``before``, ``within``, ``written`` and ``after``, for tests that end the process there.

    Raises:
        OSError: if it cannot be written. What was there before still is, and nothing is left beside it; only if the
            very last step of ``all`` failed, the sync of the directory, is the new one there already.
    """
    above, name = os.path.split(os.fspath(path))
    directory = os.open(above or ".", (os.O_RDONLY if sync == "all" else os.O_PATH) | _DIRECTORY)
    try:
        step("before")
        fd, beside = _begin(directory, draft or f".{os.fsencode(name)[:_LONGEST].decode(errors='ignore')}.new")
        try:
            _fill(fd, content, _mode_of(directory, name) if mode is None else mode)
            step("within")
            if sync != "none":
                os.fsync(fd)
            os.replace(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):  # why it was not written is what counts
                if _is_at(fd, directory, beside):
                    os.unlink(beside, dir_fd=directory)
            raise
        finally:
            os.close(fd)
        step("written")
        if sync == "all":
            os.fsync(directory)
        step("after")
    finally:
        os.close(directory)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Have the names in a directory on the disk, so that they survive a loss of power.

    Raises:
        OSError: if it cannot be opened or flushed.
    """
    fd = os.open(path, os.O_RDONLY | _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _begin(directory: int, draft: str) -> tuple[int, str]:
    """A new file that nobody else writes: its descriptor and its name."""
    name = draft
    while (fd := _draft(directory, name)) is None:
        name = f"{draft}.{os.urandom(6).hex()}"
    return fd, name


def _draft(directory: int, name: str) -> int | None:
    """Make a draft, in place of one that a killed process left; ``None`` if there is one of somebody else."""
    try:
        fd = os.open(name, _NEW, 0o600, dir_fd=directory)
    except FileExistsError:
        if not _cleared(directory, name):
            return None
        try:
            fd = os.open(name, _NEW, 0o600, dir_fd=directory)
        except FileExistsError:
            return None
    try:
        if _is_held(fd, where_none=True) and _is_at(fd, directory, name):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _cleared(directory: int, name: str) -> bool:
    """Remove a draft that no live process holds; tell whether that was done. Its content is never used again."""
    try:
        fd = os.open(name, _OLD, dir_fd=directory)
    except OSError:  # a link, a directory, of somebody else, or just gone
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not _is_held(fd, where_none=False):
            return False
        if _is_at(fd, directory, name):
            os.unlink(name, dir_fd=directory)
            return True
        return False
    except PermissionError:  # that of somebody else in a directory of all
        return False
    finally:
        os.close(fd)


def _is_held(fd: int, *, where_none: bool) -> bool:
    """Lock a draft, if nobody has. Who has the lock may rename and remove it; it goes when its process does.

    Args:
        fd: the draft.
        where_none: the answer on a file system that has no locks. No draft is taken for a left one there.
    """
    import fcntl  # only who writes pays

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return where_none and error.errno != errno.EWOULDBLOCK
    return True


def _is_at(fd: int, directory: int, name: str) -> bool:
    """Whether a name is still that of an open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _fill(fd: int, content: bytes, mode: int) -> None:
    if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
        with contextlib.suppress(PermissionError):  # of a file system that has no permissions
            os.fchmod(fd, mode)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
        file.flush()


def _mode_of(directory: int, name: str) -> int:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0o600
    return found & 0o777 if stat.S_ISREG(found) else 0o600
