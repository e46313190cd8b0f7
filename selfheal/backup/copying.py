"""Files copied: the bytes written are the bytes hashed, holes stay holes, and a change meanwhile is noticed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

import attrs

from selfheal.backup.hashing import CHUNK, Digest, Extent, add_zeros, extents, new_digest
from selfheal.clock import SYSTEM_CLOCK, Clock

RETRIES = 2
"""How often a file is read anew that changed while it was read."""
_TICK = 0.02
"""Seconds within which two changes of a file may bear the same time: the clock of file systems has coarse ticks."""


class SourceError(OSError):
    """The source could not be read; the target is not to blame."""


@attrs.frozen
class Copied:
    """What was written of a file.

    Args:
        status: of the source, as it was before it was read.
        size: bytes written.
        digest: of these bytes.
        stable: whether the source was the same before and after it was read.
    """

    status: os.stat_result
    size: int
    digest: str
    stable: bool


def copy_content(
    source: int,
    target: int,
    *,
    algorithm: str = "sha256",
    told: Callable[[int], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Copied:
    """Copy an open file into another that is empty, up to three times if it changes meanwhile.

    Args:
        source: read from its beginning to the size it has at that time, not further: a file that grows has an end.
        target: open for writing; what is in it after an attempt that did not count is cut.
        algorithm: of the digest.
        told: called with a number of bytes each time so many have been copied.
        clock: waits some milliseconds where a file was changed so recently that a further change could not be seen. It
            must be the one that the file system goes by.

    Raises:
        SourceError: if the source cannot be read.
        OSError: if the target cannot be written.
    """
    for attempt in range(RETRIES + 1):
        before = _look(source)
        if 0.0 <= clock.wall() - before.st_mtime < _TICK:
            clock.sleep(_TICK)
        digest = new_digest(algorithm)
        size = _pass_on(source, target, before.st_size, digest, told if attempt == 0 else None)
        after = _look(source)
        stable = size == before.st_size and _version(before) == _version(after)
        if stable:
            break
        if attempt < RETRIES:
            os.ftruncate(target, 0)
    return Copied(before, size, digest.hexdigest(), stable)


def _look(fd: int) -> os.stat_result:
    try:
        return os.fstat(fd)
    except OSError as error:
        raise SourceError(error.errno, error.strerror) from error


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _pass_on(source: int, target: int, size: int, digest: Digest, told: Callable[[int], object] | None) -> int:
    buffer = memoryview(bytearray(min(CHUNK, max(size, 1))))
    at = 0
    for extent in _extents(source, size):
        if extent.hole:
            add_zeros(digest, extent.end - extent.start, told)
            at = extent.end
        else:
            at = _pass_data(source, target, extent.start, extent.end, digest, buffer, told)
            if at < extent.end:
                break
    os.ftruncate(target, at)
    return at


def _pass_data(
    source: int,
    target: int,
    start: int,
    end: int,
    digest: Digest,
    buffer: memoryview,
    told: Callable[[int], object] | None,
) -> int:
    at = start
    while at < end:
        try:
            count = os.preadv(source, [buffer[: end - at]], at)
        except OSError as error:
            raise SourceError(error.errno, error.strerror) from error
        if not count:
            break
        piece = buffer[:count]
        written = 0
        while written < count:
            written += os.pwrite(target, piece[written:], at + written)
        digest.update(piece)
        at += count
        if told is not None:
            told(count)
    return at


def _extents(source: int, size: int) -> Iterator[Extent]:
    try:
        yield from extents(source, size)
    except OSError as error:
        raise SourceError(error.errno, error.strerror) from error


def set_status(fd: int, status: os.stat_result) -> None:
    """Give an open file the owner, the permissions and the time of another.

    Raises:
        OSError: if that is refused, apart from the owner, which only root may set.
    """
    with contextlib.suppress(PermissionError):
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
