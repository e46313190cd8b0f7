"""A child process that ends with the process that started it, however that died."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


def when_gone(parent: int, do: Callable[[], object]) -> None:
    """Call ``do``, in a thread of its own, when process ``parent``, which started this one, is gone."""
    watched = os.pidfd_open(parent)

    def watch() -> None:
        # A process that died before it was opened has left this one to somebody else.
        if os.getppid() == parent:
            select.select([watched], [], [])
        do()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
