"""The page draws the moves that the machine makes, all of them and no other."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

from selfheal.supervision.configs import RestartPolicy, When, WorkerConfig
from selfheal.supervision.exits import Exit, ExitKind
from selfheal.supervision.machine import WorkerMachine
from selfheal.supervision.states import Order

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "supervisor.md"
CRASH, CLEAN = Exit(kind=ExitKind.CRASH, code=1), Exit(kind=ExitKind.CLEAN, code=0)
Step = Callable[[WorkerMachine, float], object]

STEPS: list[Step] = [
    lambda m, now: m.start(now),
    lambda m, now: m.stop(now, "why"),
    lambda m, now: m.restart(now, "why"),
    lambda m, now: m.reset(now, "why"),
    lambda m, now: m.tick(now),
    lambda m, now: m.exited(now, CRASH) if m.alive else None,
    lambda m, now: m.exited(now, CLEAN) if m.alive else None,
]


def test_the_diagram_is_the_machine() -> None:
    """Any six steps make exactly the drawn moves."""
    drawn = set(re.findall(r"^    (\w+) --> (\w+):", PAGE.read_text(), re.M))
    policy = RestartPolicy(when=When.ON_FAILURE, intensity=1)
    seen, runs = set(), [WorkerMachine(WorkerConfig(command=["x"], restart=policy), 1000.0)]
    for number in range(1, 7):
        now, after = 1000.0 + 2.0 * number, {}
        for machine in runs:
            for step in STEPS:
                moved = copy.deepcopy(machine)
                if step(moved, now) is Order.SPAWN:
                    moved.spawned(now)
                seen |= {(move.old.value, move.new.value) for move in moved.moves}
                moved.moves.clear()
                after[moved.state, moved.ending, moved.alive, moved.held, moved.restarts(now)] = moved
        runs = list(after.values())

    assert seen == drawn
