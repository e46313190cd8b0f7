"""Digests of open files: holes count as zeros without being read, and large files go to a few threads."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

CHUNK = 1024 * 1024
"""Bytes that are read at once, and from which on a file is large."""
_WORKERS = 4
_ZEROS = bytes(256 * 1024)
_NO_DATA_AFTER = errno.ENXIO
_GLANCE = 0.2
"""Seconds between two looks at how far the threads are."""


class Digest(Protocol):
    """What :mod:`hashlib` makes."""

    def update(self, data: Any, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes, in hex."""


class Extent(NamedTuple):
    """A stretch of a file.

    Args:
        start: its first byte.
        end: the byte after its last.
        hole: whether it is one: it reads as zeros, and takes no room.
    """

    start: int
    end: int
    hole: bool


def new_digest(algorithm: str) -> Digest:
    """Begin a digest: ``sha256`` or ``md5``."""
    return hashlib.new(algorithm, usedforsecurity=False)


def extents(fd: int, size: int) -> Iterator[Extent]:
    """The stretches of a file up to ``size``, data and holes. It moves the position of the file.

    Raises:
        OSError: if the file cannot be asked.
    """
    if size <= 0 or os.fstat(fd).st_blocks * 512 >= size:
        yield Extent(0, max(size, 0), False)
        return
    at = 0
    while at < size:
        start = _seek(fd, at, os.SEEK_DATA, size)
        if start > at:
            yield Extent(at, start, True)
        if start >= size:
            return
        at = _seek(fd, start, os.SEEK_HOLE, size)
        yield Extent(start, at, False)


def _seek(fd: int, at: int, whence: int, size: int) -> int:
    """Where the next stretch begins; ``size`` where there is none, or at once where nothing is known of holes."""
    try:
        return min(os.lseek(fd, at, whence), size)
    except OSError as error:
        if error.errno == _NO_DATA_AFTER:
            return size
        if error.errno in {errno.EINVAL, errno.EOPNOTSUPP}:
            return at if whence == os.SEEK_DATA else size
        raise


def add_zeros(digest: Digest, count: int, told: Callable[[int], object] | None = None) -> None:
    """Add as many zeros, telling now and then how many were added since it was told last."""
    zeros = memoryview(_ZEROS)
    for start in range(0, count, 64 * CHUNK):
        length = min(64 * CHUNK, count - start)
        for left in range(length, 0, -len(zeros)):
            digest.update(zeros[:left])
        if told is not None:
            told(length)


def hash_file(fd: int, size: int, algorithm: str, told: Callable[[int], object] | None = None) -> tuple[str, int]:
    """The digest of the first ``size`` bytes of an open file.

    Args:
        fd: the file.
        size: how many bytes.
        algorithm: ``sha256`` or ``md5``.
        told: called with a number of bytes each time so many have been done.

    Returns:
        The digest in hex, and how many bytes there were: fewer where the file ends earlier.

    Raises:
        OSError: if it cannot be read.
    """
    digest = new_digest(algorithm)
    buffer = memoryview(bytearray(min(CHUNK, max(size, 1))))
    done = 0
    for extent in extents(fd, size):
        if extent.hole:
            add_zeros(digest, extent.end - extent.start, told)
            done += extent.end - extent.start
            continue
        at = extent.start
        while at < extent.end:
            count = os.preadv(fd, [buffer[: extent.end - at]], at)
            if not count:
                return digest.hexdigest(), done
            digest.update(buffer[:count])
            at += count
            done += count
            if told is not None:
                told(count)
    return digest.hexdigest(), done


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


class _Waiting(NamedTuple):
    future: Future[Any]
    then: Callable[[Any], object]
    drop: Callable[[], object]


class Lane:
    """Work on large files, some at a time; at once where there is one processor only. Ends with its ``with``.

    The digests of :mod:`hashlib` let other threads run while they take in a large piece, so that threads pay for large
    files. For small ones the handing over costs more than the work.

    Args:
        workers: threads; by default one a processor, at most 4.
        idle: called now and then while one waits for the others.
    """

    def __init__(self, workers: int | None = None, idle: Callable[[], object] | None = None) -> None:
        self._workers = min(_WORKERS, cores()) if workers is None else workers
        self._idle = idle
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[_Waiting] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        for waiting in self._waiting:
            if waiting.future.cancelled():
                waiting.drop()
        self._waiting.clear()

    def add(self, work: Callable[[], Any], then: Callable[[Any], object], drop: Callable[[], object]) -> None:
        """Do ``work`` in some thread, and call ``then`` with its result in this one, later.

        Args:
            work: what to do; it closes what it was given.
            then: what to do with what it returns.
            drop: called instead of ``work`` if it is not to be done any more; closes what it was given.

        Raises:
            BaseException: what earlier work raised.
        """
        if self._workers < 2:
            then(work())
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="selfheal-backup")
        try:
            while len(self._waiting) > self._workers:
                self._take()
        except BaseException:
            drop()
            raise
        self._waiting.append(_Waiting(self._pool.submit(work), then, drop))

    def drain(self) -> None:
        """Wait for all of it.

        Raises:
            BaseException: what it raised.
        """
        while self._waiting:
            self._take()

    def _take(self) -> None:
        from concurrent.futures import wait

        waiting = self._waiting.popleft()
        while self._idle is not None and not wait([waiting.future], _GLANCE).done:
            self._idle()
        waiting.then(waiting.future.result())
