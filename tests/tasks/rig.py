"""A registry with its threads on a virtual clock, and patience in real time for what threads do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selfheal.events import Event, EventBus
from selfheal.tasks import TaskRegistry, TaskSnapshot
from selfheal.testing import FakeClock

PATIENCE = 30.0
"""Real seconds a thread gets to do what it must."""


def until(condition: Callable[[], object]) -> bool:
    """Wait until ``condition`` holds; tell whether it came to that."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.0005)
    return True


class Rig:
    """A threaded registry on a virtual clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        bus = EventBus()
        bus.subscribe(self.events.append, inline=True)
        self.registry = TaskRegistry(clock=self.clock, events=bus, **options)
        self.gates: list[threading.Event] = []

    def gate(self) -> threading.Event:
        """An event that is set at the latest when the test ends, so that no thread stays behind."""
        made = threading.Event()
        self.gates.append(made)
        return made

    def task(self, id: str) -> TaskSnapshot:
        return next(task for task in self.registry.snapshot().tasks if task.id == id)

    def runs(self, id: str, count: int) -> bool:
        """Wait until ``id`` has ended ``count`` runs."""
        return until(lambda: self.task(id).execution_count >= count)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def threads(self) -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("selfheal"))


@contextmanager
def rig(**options: Any) -> Iterator[Rig]:
    """A rig that is taken down at the end."""
    made = Rig(**options)
    try:
        yield made
    finally:
        for gate in made.gates:
            gate.set()
        made.registry.shutdown(PATIENCE)
