"""What happened to supervised worker processes, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class WorkerStateChanged(Event):
    """A supervised worker moved from one state to another.

    Args:
        worker: its name.
        old: state it left.
        new: state it entered.
        reason: why.
        by: who, where a person did it; else empty.
    """

    worker: str
    old: str
    new: str
    reason: str
    by: str = ""


@attrs.frozen(kw_only=True)
class WorkerExited(Event):
    """The process of a supervised worker ended.

    Args:
        worker: its name.
        pid: its process id.
        kind: ``clean``, ``crash``, ``no-restart``, ``killed``, ``out-of-memory``, ``ended`` or ``unknown``.
        code: exit code, or ``None``.
        signal: name of the signal that ended it, or ``None``.
        uptime: seconds it was up.
    """

    worker: str
    pid: int
    kind: str
    code: int | None
    signal: str | None
    uptime: float


@attrs.frozen(kw_only=True)
class WorkerEnding(Event):
    """The process of a supervised worker was told to end.

    Args:
        worker: its name.
        pid: its process id.
        ending: ``stop``, ``restart``, ``hung``, ``unhealthy`` or ``start-timeout``.
        forced: whether it was killed because it did not end within its grace.
    """

    worker: str
    pid: int
    ending: str
    forced: bool


@attrs.frozen(kw_only=True)
class WorkerAdopted(Event):
    """A worker that an earlier supervisor had started was found alive and is watched again.

    Args:
        worker: its name.
        pid: its process id.
    """

    worker: str
    pid: int


@attrs.frozen(kw_only=True)
class WorkerReadinessChanged(Event):
    """A worker can take work, or no longer can.

    Args:
        worker: its name.
        ready: whether it can.
        detail: what the check found.
    """

    worker: str
    ready: bool
    detail: str
