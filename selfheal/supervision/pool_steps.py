"""What a pool's machine answers and keeps: steps to be done, how a worker ended, and the worker itself."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from selfheal.resources import Delivery
from selfheal.supervision.pool_records import WorkerPhase


class Start(NamedTuple):
    """Start a worker of this name."""

    worker: str


class Stop(NamedTuple):
    """Tell an idle worker to end."""

    worker: str


class Kill(NamedTuple):
    """End a worker by force."""

    worker: str


class Ping(NamedTuple):
    """Ask an idle worker whether it is there."""

    worker: str


Step = Start | Stop | Kill | Ping


class Ending(NamedTuple):
    """How a worker ended.

    Attributes:
        how: ``stopped``, ``crashed``, ``hung``, ``refused`` or ``killed``.
        delivery: the task it left unfinished, or ``None``.
        failed: whether the pool gave up because of it.
    """

    how: str
    delivery: Delivery | None
    failed: bool


@attrs.define
class Worker:
    """One worker as the machine sees it. Times are monotonic seconds."""

    name: str
    began: float
    restart: bool
    phase: WorkerPhase = WorkerPhase.STARTING
    pid: int = 0
    retiring: bool = False
    fate: str = ""
    sign: float = 0.0
    pinged: float | None = None
    ending: float = 0.0
    killed: bool = False
    given: float = 0.0
    delivery: Delivery | None = None
    done: int = 0
    failed: int = 0
