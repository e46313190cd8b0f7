"""What a registration hands back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from selfheal.tasks.snapshots import TaskSnapshot
    from selfheal.tasks.task import Task


class Registrar(Protocol):
    """What a handle asks of the registry it came from."""

    def pause(self, id: str) -> bool:
        """Hold a task back."""

    def resume(self, id: str) -> bool:
        """Let a task run again."""

    def unregister(self, id: str, *, generation: int | None = None) -> bool:
        """Take a task out."""

    def _current(self, id: str, generation: int) -> Task | None: ...

    def _tell(self, task: Task) -> TaskSnapshot: ...


class TaskHandle:
    """One registered task. It never touches a task that replaced it.

    Attributes:
        id: the task's id.
        generation: which registration of this id it is.
    """

    __slots__ = ("_registry", "generation", "id")

    def __init__(self, registry: Registrar, task_id: str, generation: int) -> None:
        self._registry = registry
        self.id = task_id
        self.generation = generation

    def __repr__(self) -> str:
        return f"TaskHandle(id={self.id!r}, generation={self.generation})"

    @property
    def current(self) -> bool:
        """Whether the task is still registered and was not replaced."""
        return self._registry._current(self.id, self.generation) is not None

    def pause(self) -> bool:
        """Hold the task back; tell whether this changed anything."""
        return self.current and self._registry.pause(self.id)

    def resume(self) -> bool:
        """Let the task run again; tell whether this changed anything."""
        return self.current and self._registry.resume(self.id)

    def unregister(self) -> bool:
        """Take the task out; tell whether it was still there."""
        return self._registry.unregister(self.id, generation=self.generation)

    def snapshot(self) -> TaskSnapshot | None:
        """How the task stands; ``None`` once it is gone or replaced."""
        task = self._registry._current(self.id, self.generation)
        return None if task is None else self._registry._tell(task)
