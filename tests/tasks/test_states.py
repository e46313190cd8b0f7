"""The state diagram of the documentation is the machine."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

from selfheal.tasks.schedule import NEVER, Schedule

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tasks.md"

STEPS: tuple[Callable[[Schedule, float], object], ...] = (
    lambda s, now: s.fire(now) if s.due <= now else None,
    lambda s, now: s.begin(now),
    lambda s, now: s.end(s.run, now),
    lambda s, now: s.abandon(s.run, now),
    lambda s, now: s.release(s.run - 1, now),
    lambda s, now: s.unblock(now),
    lambda s, now: s.pause(),
    lambda s, now: s.resume(now),
)


def moves() -> set[tuple[str, str]]:
    """All moves between phases in any run of six steps, in time or late, over all kinds of tasks."""
    seen: set[tuple[str, str]] = set()
    runs = [
        Schedule(1000.0, every, grace=5.0, skip_late=late, buffer_one=buffer, blocked=blocked)
        for every in (10.0, NEVER)
        for late in (True, False)
        for buffer in (True, False)
        for blocked in (True, False)
    ]
    now = 1000.0
    for _ in range(6):
        after = {}
        for schedule in runs:
            for step in STEPS:
                for wait in (0.0, 6.0):
                    moved = copy.copy(schedule)
                    step(moved, now + wait)
                    if moved.phase is not schedule.phase:
                        seen.add((schedule.phase.value, moved.phase.value))
                    key = (moved.phase, moved.due, moved.every, moved.skip_late, moved.buffer_one)
                    after[key, moved.buffered, moved.paused] = moved
        runs = list(after.values())
        now += 10.0
    return seen


def test_the_diagram_draws_every_move_and_no_other() -> None:
    """What the page draws between two phases is exactly what the machine does."""
    drawn = set(re.findall(r"^    (\w+) --> (\w+):", PAGE.read_text(encoding="utf-8"), re.M))

    assert drawn == moves()
