"""What the task registry raises."""

from __future__ import annotations

from collections.abc import Iterable

from selfheal.errors.base import SelfhealError


class TaskError(SelfhealError):
    """Base of the task registry's errors."""


class TaskLimitError(TaskError):
    """The registry holds as many tasks as it may.

    Attributes:
        task_id: the task that was refused.
        limit: how many tasks the registry may hold.
        held: ids of the tasks it holds, in order of registration.
    """

    def __init__(self, task_id: str, limit: int, held: Iterable[str]) -> None:
        self.task_id = task_id
        self.limit = limit
        self.held = tuple(held)
        super().__init__(task_id, limit, self.held)

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} refused: the registry holds {len(self.held)} tasks, its limit is {self.limit}: "
            f"{', '.join(self.held)}. Unregister one, or raise max_tasks."
        )


class TaskExistsError(TaskError):
    """A task of this id is registered and ``replace=False``.

    Attributes:
        task_id: the id.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} is registered already. Unregister it first, or pass replace=True."


class RegistryStoppedError(TaskError):
    """The registry was shut down.

    Attributes:
        task_id: the task that was refused.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} refused: the registry has been shut down. Make a new TaskRegistry."
