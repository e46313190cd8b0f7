"""Background work of a service: clocked callables in one place, with an end to every one of them."""

from selfheal.tasks.handle import TaskHandle
from selfheal.tasks.options import RegistryOptions, TaskOptions
from selfheal.tasks.registry import TaskRegistry
from selfheal.tasks.snapshots import RegistrySnapshot, RegistryState, ShutdownReport, TaskSnapshot, load_grade
from selfheal.tasks.task import cancel_requested

__all__ = [
    "RegistryOptions",
    "RegistrySnapshot",
    "RegistryState",
    "ShutdownReport",
    "TaskHandle",
    "TaskOptions",
    "TaskRegistry",
    "TaskSnapshot",
    "cancel_requested",
    "load_grade",
]
