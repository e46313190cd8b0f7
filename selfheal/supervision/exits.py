"""How a worker's process ended, told apart. Pure, but for reading how often the kernel ran out of memory."""

from __future__ import annotations

import enum
import os
import signal as signals
from collections.abc import Collection
from pathlib import Path

import attrs


class ExitKind(enum.StrEnum):
    """What an end means for what happens next."""

    CLEAN = "clean"
    """It ended with one of its success codes."""
    CRASH = "crash"
    """It ended with another code."""
    NO_RESTART = "no-restart"
    """It ended with a code that says that starting it again does not help."""
    KILLED = "killed"
    """A signal ended it that the supervisor did not send."""
    OUT_OF_MEMORY = "out-of-memory"
    """The kernel killed it because memory ran out."""
    ENDED = "ended"
    """The supervisor ended it."""
    UNKNOWN = "unknown"
    """It ended as a child of somebody else, so that its status cannot be read."""
    NOT_STARTED = "not-started"
    """There never was a process: the command could not be run."""


@attrs.frozen(kw_only=True)
class Exit:
    """One end of a worker's process.

    Args:
        kind: what it means.
        code: the exit code; ``None`` where a signal ended it or the code is not known.
        signal: name of the signal that ended it (``"SIGSEGV"``), or ``None``.
        detail: more, in words, or empty.
    """

    kind: ExitKind
    code: int | None = None
    signal: str | None = None
    detail: str = ""

    def __str__(self) -> str:
        if self.kind is ExitKind.NOT_STARTED:
            return f"could not be started: {self.detail}"
        if self.kind is ExitKind.OUT_OF_MEMORY:
            return "killed because memory ran out"
        if self.signal is not None:
            return f"killed by {self.signal}"
        if self.code is not None:
            return f"exit code {self.code}"
        return self.detail or "ended, its exit code is not known"


def signal_name(number: int) -> str:
    """``SIGTERM`` for 15; ``signal 64`` for one without a name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def classify(
    status: os.waitid_result | None,
    *,
    success: Collection[int] = (0,),
    no_restart: Collection[int] = (),
    ended: bool = False,
    memory_ran_out: bool = False,
) -> Exit:
    """Tell what an end means.

    Args:
        status: what ``waitid`` said; ``None`` where it is not known.
        success: codes of a clean end.
        no_restart: codes that say that starting again does not help.
        ended: whether the supervisor had told the process to end.
        memory_ran_out: whether the kernel killed something for want of memory meanwhile.
    """
    if status is None:
        return Exit(kind=ExitKind.ENDED if ended else ExitKind.UNKNOWN)
    if status.si_code != os.CLD_EXITED:
        name = signal_name(status.si_status)
        if ended:
            return Exit(kind=ExitKind.ENDED, signal=name)
        starved = memory_ran_out and status.si_status == signals.SIGKILL
        return Exit(kind=ExitKind.OUT_OF_MEMORY if starved else ExitKind.KILLED, signal=name)
    code = status.si_status
    if ended:
        return Exit(kind=ExitKind.ENDED, code=code)
    if code in no_restart:
        return Exit(kind=ExitKind.NO_RESTART, code=code)
    return Exit(kind=ExitKind.CLEAN if code in success else ExitKind.CRASH, code=code)


@attrs.frozen(kw_only=True)
class MemoryKills:
    """How often the kernel has killed for want of memory. Only differences mean something.

    Args:
        group: path of the cgroup that was looked at; empty where there is none of its own.
        below: in this cgroup and those below it; ``None`` where that is not known.
        machine: at all; 0 where that is not known.
    """

    group: str = ""
    below: int | None = None
    machine: int = 0

    @classmethod
    def seen(cls, pid: int, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> MemoryKills:
        """As ``pid`` sees it from its cgroup, of version 2. What version 1 counts is in the machine's count too."""
        group = _group(pid, proc)
        below = _counter(cgroups / group.lstrip("/") / "memory.events") if group else None
        return cls(group=group, below=below, machine=_counter(proc / "vmstat") or 0)

    def concern(self, before: MemoryKills, pid: int, proc: Path = Path("/proc")) -> bool:
        """Whether there were more since ``before`` that may concern ``pid``, be it dead and not reaped.

        Where ``pid`` is in the group, those below it count: what happens to others is no concern. A process that has
        moved elsewhere may be concerned by any.
        """
        if self.below is None or before.below is None or not f"{_group(pid, proc)}/".startswith(f"{self.group}/"):
            return self.machine > before.machine
        return self.below > before.below


def _group(pid: int, proc: Path) -> str:
    """The cgroup of a process, of version 2; empty for the root, or where it cannot be told."""
    for line in _lines(proc / str(pid) / "cgroup"):
        hierarchy, _, path = line.partition("::")
        if hierarchy == "0":
            return path.removesuffix(" (deleted)").rstrip("/")
    return ""


def _counter(file: Path) -> int | None:
    return next((int(line.split()[1]) for line in _lines(file) if line.startswith("oom_kill ")), None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # it does not tell, as on a kernel without cgroups
        return []
