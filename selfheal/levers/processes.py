"""Processes of declared owners: ended by id *and* start time, so that no innocent one can be hit."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Mapping

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, NotFoundError
from selfheal.levers.protocols_system import ProcessMark
from selfheal.processes import boot_id, is_over, stat
from selfheal.validators import between

_ABOUT = 1.0
"""Real seconds that a killed process is given to be gone."""


def _lineage() -> set[int]:
    """This process and those that it came from: never ended from here."""
    found, pid = {0, 1}, os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        about = stat(pid)
        pid = about.parent if about is not None else 1
    return found


def mark(owner: str, pid: int) -> ProcessMark | None:
    """The run of a process that has this id now; ``None`` if there is none."""
    about = stat(pid)
    if about is None or about.dead:
        return None
    return ProcessMark(owner=owner, pid=pid, started=about.started, boot=boot_id())


@attrs.frozen(kw_only=True)
class _CleanupConfig:
    grace: float = attrs.field(default=5.0, validator=between(0.0, 600.0, "s"))


class ProcessCleanup:
    """Ends processes of owners that the host declared, and no others.

    A process is pinned (a pidfd), compared by its start and the run of the machine, and only then told to end. This
    process and those it came from are never ended. Only the very processes that are named; not their children.

    >>> cleanup = ProcessCleanup({"thumbnailer": lambda: []})
    >>> cleanup.processes("thumbnailer")
    ()

    Args:
        owners: name → a callable that gives the ids of its processes.
        grace: seconds between being told to end (TERM) and being killed; 0: killed at once.

    Raises:
        ConfigError: if an owner is no callable, or ``grace`` is out of range.
    """

    def __init__(self, owners: Mapping[str, Callable[[], Iterable[int]]], *, grace: float = 5.0) -> None:
        given: Mapping[str, object] = owners
        for name, find in given.items():
            if not callable(find) or not str(name).strip():
                raise ConfigError(f"ProcessCleanup.owners[{name!r}]", find, "a callable under the name of an owner")
        self._owners = dict(owners)
        self._grace = _CleanupConfig(grace=grace).grace

    def owners(self) -> tuple[str, ...]:
        """The names that were declared."""
        return tuple(self._owners)

    def processes(self, owner: str) -> tuple[ProcessMark, ...]:
        """The live processes of an owner.

        Raises:
            NotFoundError: if it was not declared.
        """
        find = self._owners.get(owner)
        if find is None:
            raise NotFoundError("owner of processes", owner, self._owners)
        never = _lineage()
        marks = [mark(owner, pid) for pid in sorted({int(pid) for pid in find()} - never)]
        return tuple(found for found in marks if found is not None)

    def alive(self, process: ProcessMark) -> bool:
        """Whether this very run is alive; a zombie is not."""
        return mark(process.owner, process.pid) == process

    def end(self, process: ProcessMark) -> bool:
        """Tell this very run to end, and kill it after the grace; tell whether it is gone.

        Raises:
            NotFoundError: if its owner was not declared.
            ConfigError: if it is this process or one it came from.
            PermissionError: if it may not be signalled.
        """
        if process.owner not in self._owners:
            raise NotFoundError("owner of processes", process.owner, self._owners)
        if process.pid in _lineage():
            raise ConfigError("process to end", process.pid, "another one than this process and those it came from")
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive(process):
                return True
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                if self._grace:
                    signal.pidfd_send_signal(fd, signal.SIGTERM)
                    if is_over(fd, self._grace):
                        return True
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            return is_over(fd, _ABOUT)
        finally:
            os.close(fd)

    def __repr__(self) -> str:
        return f"ProcessCleanup({', '.join(self._owners)})"


@attrs.frozen(kw_only=True)
class _IdleConfig:
    idle_after: float = attrs.field(default=600.0, validator=between(0.1, 604_800.0, "s"))


class IdleProcesses:
    """Tells which processes of declared owners used no processor time for a while, and ends them.

    Have :meth:`look` called now and then, by a registered task: a process is idle once its processor time has
    stood still over ``idle_after`` seconds of looking. What was never looked at is never idle.

    Args:
        cleanup: what knows the processes and ends them.
        owners: whose may be ended when idle.
        idle_after: seconds.
        clock: the time it goes by.

    Raises:
        NotFoundError: if an owner was not declared to ``cleanup``.
        ConfigError: if ``idle_after`` is out of range.
    """

    def __init__(
        self,
        cleanup: ProcessCleanup,
        owners: Iterable[str],
        *,
        idle_after: float = 600.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._cleanup, self._owners, self._clock = cleanup, tuple(owners), clock
        self._idle_after = _IdleConfig(idle_after=idle_after).idle_after
        for owner in self._owners:
            if owner not in cleanup.owners():
                raise NotFoundError("owner of processes", owner, cleanup.owners())
        self._seen: dict[ProcessMark, tuple[int, float]] = {}

    def look(self) -> None:
        """Note who used processor time since the last look."""
        now, before, seen = self._clock.monotonic(), self._seen, dict[ProcessMark, tuple[int, float]]()
        for owner in self._owners:
            for process in self._cleanup.processes(owner):
                about = stat(process.pid)
                if about is None or about.dead or about.started != process.started:
                    continue
                cpu, since = before.get(process, (-1, now))
                seen[process] = (cpu, since) if cpu == about.cpu else (about.cpu, now)
        self._seen = seen

    def idle(self) -> tuple[ProcessMark, ...]:
        """Those that did nothing for ``idle_after`` seconds; looks once more."""
        self.look()
        now = self._clock.monotonic()
        return tuple(process for process, (_, since) in self._seen.items() if now - since >= self._idle_after)

    def alive(self, process: ProcessMark) -> bool:
        """Whether this very run is alive."""
        return self._cleanup.alive(process)

    def end(self, process: ProcessMark) -> bool:
        """End it, as :meth:`ProcessCleanup.end`."""
        return self._cleanup.end(process)

    def __repr__(self) -> str:
        return f"IdleProcesses({', '.join(self._owners)})"
