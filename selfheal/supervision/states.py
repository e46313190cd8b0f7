"""The words in which a worker's life is told."""

from __future__ import annotations

import enum
import math

import attrs

NEVER = math.inf


class WorkerState(enum.StrEnum):
    """Where a worker stands."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class Ending(enum.StrEnum):
    """Why a live process was told to end."""

    STOP = "stop"
    RESTART = "restart"
    HUNG = "hung"
    UNHEALTHY = "unhealthy"
    START_TIMEOUT = "start-timeout"


class Order(enum.StrEnum):
    """What the machine wants done to the process."""

    SPAWN = "spawn"
    TERM = "term"
    KILL = "kill"


class Fate(enum.StrEnum):
    """What became of a worker while nobody watched."""

    ALIVE = "alive"
    GONE = "gone"
    NO_PROCESS = "no-process"
    """There was none to lose: it was not running, or the machine was started anew."""


@attrs.frozen
class Move:
    """One change of state."""

    old: WorkerState
    new: WorkerState
    reason: str
    by: str = ""


@attrs.frozen(kw_only=True)
class Memory:
    """What outlives the supervisor. Times are ages and waits in seconds, so that no clock is carried over."""

    state: WorkerState
    reason: str = ""
    held: bool = False
    ending: Ending | None = None
    restarts: tuple[float, ...] = ()
    retry_in: float = 0.0
    uptime: float = 0.0
    good_seen: bool = False
    total_restarts: int = 0
