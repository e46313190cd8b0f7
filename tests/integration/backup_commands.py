"""``selfheal backup`` as a process that stands still in the middle of its work, until it is interrupted.

The first arguments are the module whose progress is waited at and for what is being done; the others are those of
``selfheal``. It says ``waiting`` on stderr once it is there.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterator

from selfheal.backup import Progress
from selfheal.cli import main


@contextlib.contextmanager
def waiting(chosen: object) -> Iterator[Callable[[Progress], None]]:
    """In place of what shows progress: stand still when it is told of the first time."""

    def tell(progress: Progress) -> None:
        if progress.doing == sys.argv[2]:
            sys.stderr.write("waiting\n")
            sys.stderr.flush()
            while True:  # a signal that comes just before a call that waits would not end it
                time.sleep(0.05)

    yield tell


if __name__ == "__main__":
    importlib.import_module(f"selfheal.cli.backup.{sys.argv[1]}").showing = waiting  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[3:]))
