"""Every shipped action keeps the contract, against real levers and against levers that only remember."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from selfheal.testing import ActionContract, ActionScene, RecordingLevers
from tests.healing.actions.scenes import BUILTIN, SCENES

ALL = [(name, make) for name, makers in SCENES.items() for make in makers]
ELSEWHERE = {"force_cleanup", "end_idle"}
"""Those that end processes have their scenes in the integration tests."""


def test_every_action_has_a_scene() -> None:
    """No shipped action is left out."""
    assert set(SCENES) | ELSEWHERE == set(BUILTIN.names())


@pytest.mark.parametrize("check", ActionContract.CHECKS)
@pytest.mark.parametrize(("name", "make"), ALL, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_shipped(name: str, make: Callable[[Path], ActionScene], check: str, tmp_path: Path) -> None:
    """Each shipped action keeps each check against real levers."""
    ActionContract(BUILTIN.get(name), lambda: make(tmp_path)).check(check)


ELEVEN = [
    "log",
    "rate_limit",
    "restart_if_critical",
    "clear_cache",
    "restart_service",
    "fallback_llm",
    "notify",
    "enable_cache",
    "scale_workers",
    "redistribute_tasks",
    "snapshot",
]


@pytest.mark.parametrize("name", [*ELEVEN, "stop_optional", "reorder_tasks", "profile"])
def test_recorded(name: str, tmp_path: Path) -> None:
    """The levers that only remember serve for each of these as real ones do."""

    def scene() -> ActionScene:
        levers = RecordingLevers(tmp_path)
        levers.queue.holders = {"api": 2}
        levers.queue.ranks = {"api": {1: 5, 2: 6}}
        levers.services.status("api")

        def look() -> object:
            told = levers.rate_limiter.rate, levers.rate_limiter.burst, levers.cache.enabled, levers.cache.entries
            served = dict(levers.services.pids), levers.fallback.active, levers.workers.size
            return *told, *served, dict(levers.queue.holders), levers.queue.priorities("api")

        return ActionScene(levers=levers, look=look)

    assert ActionContract(BUILTIN.get(name), scene).breaches() == ()
