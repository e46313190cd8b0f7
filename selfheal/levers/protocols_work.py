"""What actions ask of levers on work: put off, stopped, reordered. See :mod:`selfheal.levers.protocols`.

====================  ==============================
protocol              shipped
====================  ==============================
``Pausing``           ``levers.LowPriorityWork``
``StoppingOptional``  ``levers.OptionalServices``
``Reordering``        ``levers.QueueOrder``
``Dependencies``      ``levers.DependencyGraph``
``PreparingRestart``  ``levers.RestartPreparation``
====================  ==============================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Pausing(Protocol):
    """Work that can wait, for ``suspend_low_priority`` and ``resume_low_priority``."""

    def active(self) -> Sequence[str]:
        """The ids of the work that is not paused."""

    def suspended(self) -> Sequence[str]:
        """The ids of what was paused through this lever and still is."""

    def suspend(self, id: str, /) -> bool:
        """Pause one; tell whether that changed anything."""

    def resume(self, id: str, /) -> bool:
        """Let one go on; tell whether that changed anything."""


@runtime_checkable
class StoppingOptional(Protocol):
    """Work that the service can do without, for ``stop_optional``."""

    def running(self) -> Sequence[str]:
        """The names of what runs of it."""

    def stop(self, name: str, reason: str, /) -> object:
        """Stop one, and keep it stopped until a person starts it."""


@runtime_checkable
class Reordering(Protocol):
    """The order of tasks that wait, for ``reorder_tasks``; the old priorities are put back to undo it."""

    def priorities(self, target: str, /) -> Mapping[int, int]:
        """The tasks that belong to a target, each with its priority (0 to 9, the higher the earlier)."""

    def reprioritise(self, task: int, *, priority: int) -> bool:
        """Give a task another priority; tell whether it is there."""


@runtime_checkable
class Dependencies(Protocol):
    """Who depends on whom, for ``restart_dependants``."""

    def dependants(self, name: str, /) -> Sequence[str]:
        """All that depend on it, directly or not, each after what it depends on itself. Without ``name``."""


@runtime_checkable
class PreparingRestart(Protocol):
    """Getting ready to be restarted, for ``prepare_restart``; cancelling undoes it."""

    @property
    def prepared(self) -> bool:
        """Whether it is ready."""

    def prepare(self, reason: str, /) -> object:
        """Get ready: take in no more work, write down what is in memory; or raise."""

    def cancel(self, reason: str, /) -> object:
        """Go on as before. Harmless where there is nothing to undo, or only part of it."""
