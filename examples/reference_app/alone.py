"""One process at a time for a state directory: the service, or whoever restores it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process uses the state directory."""


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Hold the pid file of a state directory. The lock is the kernel's, so a crash leaves nothing to clean up.

    Raises:
        AlreadyRunningError: if another process holds it.
    """
    with (state_dir / "app.pid").open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.seek(0)
            raise AlreadyRunningError(f"process {held.read().strip()} already uses {state_dir}") from error
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        try:
            yield
        finally:
            held.truncate(0)
