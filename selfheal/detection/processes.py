"""One process, measured again and again; a number that another process got since is noticed."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

from selfheal.errors import ConfigError

if TYPE_CHECKING:
    import psutil

_SHORTEST = 0.05
"""Seconds below which two readings say nothing about CPU: the kernel counts in ticks of 10 ms."""


class ProcessReader:
    """Reads what one process uses.

    Args:
        pid: its number.

    Attributes:
        pid: its number.
        name: what it is called.

    Raises:
        ConfigError: if there is no such process, or it cannot be looked at.
    """

    def __init__(self, pid: int) -> None:
        import psutil

        refused = ConfigError("pid", pid, "the number of a process that there is, and that can be looked at")
        if type(pid) is not int:  # psutil takes None for this very process
            raise refused
        try:
            self._process: psutil.Process = psutil.Process(pid)
            self.name = self._process.name()
        except (psutil.Error, OSError, ValueError, OverflowError):
            raise refused from None
        self.pid = pid
        self._busy: float | None = None
        self._at = -math.inf

    def __repr__(self) -> str:
        return f"ProcessReader({self.pid})"

    def read(self, now: float) -> list[tuple[str, float]] | None:
        """Metrics and values; ``None`` if the process is gone.

        Args:
            now: monotonic seconds; CPU is what was used since the reading before, so the first has none.

        Raises:
            PermissionError: if it may not be looked at.
            OSError: if it cannot be, as where no file can be opened any more.
        """
        import psutil

        try:
            if not self._process.is_running():
                return None
            with self._process.oneshot():
                return self._found(now)
        except psutil.ZombieProcess:
            return [("process_zombie", 1.0), ("process_stopped", 0.0)]
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            raise PermissionError(errno.EACCES, "no permission") from None

    def _found(self, now: float) -> list[tuple[str, float]]:
        import psutil

        status = self._process.status()
        if status == psutil.STATUS_ZOMBIE:
            return [("process_zombie", 1.0), ("process_stopped", 0.0)]
        found = [
            ("process_zombie", 0.0),
            ("process_stopped", float(status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))),
            ("process_memory_bytes", float(self._process.memory_info().rss)),
            ("process_threads", float(self._process.num_threads())),
        ]
        times = self._process.cpu_times()
        busy = times.user + times.system
        if self._busy is not None and now - self._at >= _SHORTEST:
            found.append(("process_cpu_percent", 100.0 * max(busy - self._busy, 0.0) / (now - self._at)))
        if self._busy is None or now - self._at >= _SHORTEST:
            self._busy, self._at = busy, now
        try:
            found.append(("process_fds", float(self._process.num_fds())))
        except (psutil.AccessDenied, AttributeError):  # another user's: the rest is still to be seen
            return found
        return found
