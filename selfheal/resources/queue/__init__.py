"""A priority queue for work that must not be lost, in memory or in a SQLite file."""

from selfheal.resources.queue.options import QueueOptions
from selfheal.resources.queue.queue import TaskQueue
from selfheal.resources.queue.records import DeadLetter, Delivery, QueueSnapshot

__all__ = ["DeadLetter", "Delivery", "QueueOptions", "QueueSnapshot", "TaskQueue"]
