"""The daily tasks of a book. They need the wall clock, which only the scheduler looks at.

Kept apart from the heap of the others: workers fire from that one without a look at the clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.tasks.schedule import NEVER

if TYPE_CHECKING:
    from selfheal.tasks.daily import DailySchedule
    from selfheal.tasks.task import Task

LOOK_EVERY = 10.0
"""Seconds at most between two looks at the clocks while there is a daily task: nobody tells when one is set."""
_DRIFT = 0.001
"""Seconds the clocks may drift apart before due times are worked out anew; firing looks at the exact figure."""


class Dailies:
    """Daily tasks and the earliest of their due times."""

    def __init__(self) -> None:
        self.apart = 0.0
        self._applied = 0.0
        self._next = NEVER
        self._tasks: dict[Task, DailySchedule] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def plan(self, task: Task, schedule: DailySchedule) -> None:
        """Note when ``task`` is due next."""
        self._tasks[task] = schedule
        self._next = min(self._next, schedule.due)

    def drop(self, task: Task) -> None:
        """``task`` is gone."""
        self._tasks.pop(task, None)

    def next(self) -> float:
        """A time before which none is due; ``NEVER`` if there is none."""
        return self._next

    def look(self, now: float, apart: float) -> bool:
        """The clocks are ``apart`` seconds apart. Tell whether due times changed."""
        self.apart = apart
        if abs(apart - self._applied) <= _DRIFT:
            return False
        self._applied = apart
        for schedule in self._tasks.values():
            schedule.look(now, apart)
        self._sum_up()
        return bool(self._tasks)

    def fire(self, now: float) -> list[Task]:
        """Fire what is due by ``now``; give the tasks that are to run."""
        wanted = []
        for task, schedule in self._tasks.items():
            if schedule.due <= now:
                schedule.apart = self.apart
                if schedule.fire(now):
                    wanted.append(task)
        self._sum_up()
        return wanted

    def clear(self) -> None:
        """Hold no task."""
        self._tasks.clear()
        self._next = NEVER

    def _sum_up(self) -> None:
        self._next = min((schedule.due for schedule in self._tasks.values()), default=NEVER)
