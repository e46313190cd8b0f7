"""What tests of strategies are made of: short files, all levers a host can have, and what is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from selfheal.errors import InvalidConfigError
from selfheal.healing.actions import ActionRegistry, builtin_actions
from selfheal.healing.strategies import StrategySet

ACTIONS: ActionRegistry = builtin_actions()
SOON = 0.050
"""Seconds of the processor that reading any file may take."""


def strategy(**settings: Any) -> dict[str, Any]:
    """The least that a strategy needs, and what is given."""
    return {"name": "a", "alerts": ["x"], "actions": ["log"], **settings}


def file_of(*strategies: Any, **top: Any) -> dict[str, Any]:
    """What a file with these strategies holds."""
    return {"version": 1, "strategies": list(strategies), **top}


def made(*strategies: Any) -> StrategySet:
    """The set of these strategies."""
    return StrategySet.from_data(file_of(*strategies))


def told(data: Any, **host: Any) -> list[str]:
    """All that is said against what a file holds."""
    with pytest.raises(InvalidConfigError) as caught:
        StrategySet.from_data(data, **host)
    return [str(problem) for problem in caught.value.problems]


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds of the quickest of up to seven tries: the machine may be busy with something else."""
    best = float("inf")
    for _ in range(7):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
        if best <= SOON:
            break
    return best


def all_levers(actions: ActionRegistry = ACTIONS) -> dict[str, object]:
    """Something for each role that an action has, with the methods that it asks for and nothing in them."""
    return {need.role: _idle(need.protocol) for action in actions for need in action.needs}


def _idle(protocol: type) -> object:
    members = {name: None for name in dir(protocol) if not name.startswith("_")}
    return type(f"Idle{protocol.__name__}", (), {name: lambda *_: None for name in members})()
