"""What actions ask of levers on processes, memory, files and upstreams. See :mod:`selfheal.levers.protocols`.

========================  =================================================
protocol                  shipped
========================  =================================================
``Profiling``             ``levers.StackProfiler``
``ResettingDependency``   ``levers.DependencyResets``
``HealthChecking``        ``levers.HealthChecks``
``TighteningMonitoring``  ``levers.MonitoringPace``
``CleaningTemp``          ``levers.CacheControl`` over a directory
``CleaningUp``            ``levers.ProcessCleanup``
``EndingIdle``            ``levers.IdleProcesses``
``TrimmingMemory``        ``levers.MemoryTrim``
========================  =================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs


@attrs.frozen(kw_only=True)
class ProcessMark:
    """One run of one process, told apart for good: an id alone is used again once its process is gone.

    Args:
        owner: whose it is.
        pid: its id.
        started: clock ticks after the start of the machine at which it started.
        boot: id of that run of the machine.
    """

    owner: str
    pid: int
    started: int
    boot: str

    def as_dict(self) -> dict[str, Any]:
        """The mark as JSON data."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class HealthReport:
    """What one check of one upstream found.

    Args:
        name: of the upstream.
        ok: whether it is well.
        detail: what was found, in words; without secrets.
        seconds: how long the check took.
    """

    name: str
    ok: bool
    detail: str
    seconds: float


@runtime_checkable
class Profiling(Protocol):
    """Finds out what the process does, for ``profile``."""

    def profile(self, seconds: float, reason: str, cancelled: Callable[[], bool]) -> Path:
        """Look for so long, or until ``cancelled``; return the file with what was found."""


@runtime_checkable
class ResettingDependency(Protocol):
    """Connections and clients that can be made anew, for ``reset_dependency``."""

    def reset(self, name: str, /) -> object:
        """Drop what is held of a dependency (connections, sessions, cached addresses), and begin anew; or raise."""


@runtime_checkable
class HealthChecking(Protocol):
    """Looks whether upstreams and the network are well, for ``check_upstream``."""

    def names(self) -> Sequence[str]:
        """What there is to check."""

    def check(self, name: str, /) -> HealthReport:
        """Check one. That it is not well is no error."""


@runtime_checkable
class TighteningMonitoring(Protocol):
    """How often is measured, for ``tighten_monitoring``; the old interval is put back to undo it."""

    @property
    def interval(self) -> float:
        """Seconds between two measurements."""

    def set_interval(self, seconds: float, /) -> object:
        """Measure so often from now on."""


@runtime_checkable
class CleaningTemp(Protocol):
    """Temporary files, for ``clean_temp``."""

    def clean_temp(self, older_than: float, /) -> object:
        """Remove those that were not changed for so many seconds; what comes back tells how many."""


@runtime_checkable
class CleaningUp(Protocol):
    """Processes of an owner, for ``force_cleanup``."""

    def processes(self, owner: str, /) -> Sequence[ProcessMark]:
        """Those of its processes that are alive."""

    def alive(self, process: ProcessMark, /) -> bool:
        """Whether this very run is alive."""

    def end(self, process: ProcessMark, /) -> bool:
        """End this very run, and no other of the same id; tell whether it is gone."""


@runtime_checkable
class EndingIdle(Protocol):
    """Processes that do nothing, for ``end_idle``."""

    def idle(self) -> Sequence[ProcessMark]:
        """Those that did nothing for long enough."""

    def alive(self, process: ProcessMark, /) -> bool:
        """Whether this very run is alive."""

    def end(self, process: ProcessMark, /) -> bool:
        """End this very run, and no other of the same id; tell whether it is gone."""


@runtime_checkable
class TrimmingMemory(Protocol):
    """Memory that is held and not used, for ``trim_memory``."""

    def in_use(self) -> int:
        """Bytes that the process holds."""

    def trim(self) -> object:
        """Give back what can be given back."""
