"""One restore at a time: of one record, and of what lies in one directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from selfheal.errors import RestoreRefusedError

LOCK = ".restore_lock"


@contextlib.contextmanager
def locked(directory: Path, targets: Iterable[Path], what: str) -> Iterator[None]:
    """Hold the directory of the record and those that hold the targets. They go free when this process ends, however.

    Raises:
        RestoreRefusedError: if somebody else holds one of them.
        OSError: if one cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        _hold(stack, os.open(directory / LOCK, flags, 0o600), directory, what)
        seen: set[tuple[int, int]] = set()
        for target in targets:
            above = next(above for above in target.parents if above.is_dir())
            fd = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) in seen:
                os.close(fd)
                continue
            seen.add((status.st_dev, status.st_ino))
            _hold(stack, fd, above, what)
        yield


def _hold(stack: contextlib.ExitStack, fd: int, where: Path, what: str) -> None:
    stack.callback(_let_go, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        why = f"another restore is at work, it holds {where}: wait until it has ended"
        raise RestoreRefusedError(what, [why]) from None


def _let_go(fd: int) -> None:
    """Unlock and close: a forked child may have the descriptor still, and would hold the lock with it."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)
