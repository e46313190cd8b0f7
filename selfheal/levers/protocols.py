"""What actions ask of a lever: narrow, so that a host can bring its own.

Each is satisfied by something that selfheal ships, and by any object of the host that has the methods.

=====================  ==============================================================
protocol               shipped
=====================  ==============================================================
``RateLimiting``       ``resources.RateLimiter``
``Caching``            ``levers.CacheControl``, ``levers.SwitchableCache``
``ServiceControl``     ``supervision.Supervisor``
``Fallback``           ``levers.FallbackSwitch``
``Scaling``            ``supervision.WorkerPool``
``TaskRedistribution`` ``resources.TaskQueue``
``Notifying``          ``levers.Notifiers`` and each notifier
``Snapshotting``       ``levers.Snapshotter``
=====================  ==============================================================

Further ones are in :mod:`selfheal.levers.protocols_work` and :mod:`selfheal.levers.protocols_system`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from selfheal.levers.notify import Notification


@runtime_checkable
class RateLimiting(Protocol):
    """Slows calls down, for ``rate_limit``; the old values are put back to undo it."""

    @property
    def rate(self) -> float:
        """Tokens that come in a second."""

    @property
    def burst(self) -> float:
        """Tokens that may be taken at once."""

    def set_rate(self, rate: float, burst: float | None = None) -> None:
        """Go by another rate from now on."""


@runtime_checkable
class Caching(Protocol):
    """A cache, for ``enable_cache`` and ``clear_cache``."""

    @property
    def enabled(self) -> bool:
        """Whether it is on."""

    def enable(self) -> bool:
        """Switch it on; tell whether it was off."""

    def disable(self) -> bool:
        """Switch it off; tell whether it was on."""

    def clear(self) -> object:
        """Empty it; what comes back tells how much went."""

    def size(self) -> object:
        """How much it holds."""


@runtime_checkable
class ServiceControl(Protocol):
    """Services by name, for ``restart_service`` and ``restart_if_critical``."""

    def restart(self, name: str, /) -> object:
        """Stop the service and start it again."""

    def status(self, name: str, /) -> object:
        """How it is."""


@runtime_checkable
class Fallback(Protocol):
    """Providers in order, for ``fallback_llm``; going back undoes it."""

    @property
    def active(self) -> str:
        """The provider in use."""

    def switch(self, to: str | None = None, *, reason: str) -> str:
        """Use another one: the named one, or the next."""

    def return_to(self, reason: str) -> str:
        """Use the preferred one again."""


class Sized(Protocol):
    """Tells a number of workers."""

    @property
    def size(self) -> int:
        """How many there are to be."""


@runtime_checkable
class Scaling(Protocol):
    """Workers in a number, for ``scale_workers``; the old number is put back to undo it."""

    def snapshot(self) -> Sized:
        """How many there are to be, as ``size``, beside whatever else there is to tell."""

    def scale(self, n: int, /) -> int:
        """Have ``n`` workers; return how many there will be."""


@runtime_checkable
class TaskRedistribution(Protocol):
    """Work in hand, for ``redistribute_tasks``."""

    def redistribute(self, worker: str, /) -> int:
        """Give what a worker has in hand to others; return how many tasks."""


@runtime_checkable
class Notifying(Protocol):
    """Tells people, for ``notify``."""

    def notify(self, notification: Notification) -> None:
        """Deliver, or raise."""


@runtime_checkable
class Snapshotting(Protocol):
    """Keeps what is to be seen now, for ``snapshot``."""

    def snapshot(self, reason: str) -> Path:
        """Take a snapshot; return the file."""
