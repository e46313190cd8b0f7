"""What was still there after everything had been told to end."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import attrs
import psutil

from selfheal.clock import SYSTEM_CLOCK


@attrs.frozen(kw_only=True)
class StopReport:
    """What was still there after everything had been told to end.

    Args:
        tasks: ids of registered tasks that still run.
        threads: names of threads beside the main one.
        processes: ids of child processes.
    """

    tasks: tuple[str, ...]
    threads: tuple[str, ...]
    processes: tuple[int, ...]

    @classmethod
    def of(cls, still_running: Iterable[str], grace: float) -> StopReport:
        """Look around; threads have ``grace`` seconds to end."""
        return cls(
            tasks=tuple(still_running),
            threads=_other_threads(grace),
            processes=tuple(child.pid for child in psutil.Process().children(recursive=True)),
        )

    @property
    def clean(self) -> bool:
        """Whether nothing was."""
        return not (self.tasks or self.threads or self.processes)

    def __str__(self) -> str:
        if self.clean:
            return "stopped clean: 0 tasks, 0 threads and 0 child processes left"
        return f"STOPPED WITH LEFTOVERS: tasks {self.tasks}, threads {self.threads}, child processes {self.processes}"


def _other_threads(grace: float) -> tuple[str, ...]:
    """Threads beside this one that do not end within ``grace`` seconds."""
    deadline = SYSTEM_CLOCK.monotonic() + grace
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(deadline - SYSTEM_CLOCK.monotonic(), 0.0))
    return tuple(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
