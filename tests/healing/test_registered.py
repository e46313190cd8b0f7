"""A healer with the real task registry: both on the virtual clock."""

from __future__ import annotations

import asyncio

from selfheal import TaskRegistry
from selfheal.events import Alert
from selfheal.healing import Outcome
from tests.healing.rig import ALERT, Rig


def test_the_registry_heals_at_the_healers_pace() -> None:
    """Ten seconds apart, the healing task answers what waits, at most as often as the backoff allows, then stops."""
    rig = Rig(preventive=lambda: None)
    rig.says = False
    registry = TaskRegistry(clock=rig.clock, events=rig.events, start=False)
    rig.healer.register(registry)
    for _ in range(300):
        rig.healer.submit(ALERT)
        rig.clock.advance(10)
        registry.run_due()

    assert rig.dormancy.is_dormant
    assert rig.healer.snapshot().failed_healings == 10
    snapshot = {task.id: task for task in registry.snapshot().tasks}
    assert snapshot["healing"].execution_count == 300
    assert snapshot["preventive-healing"].execution_count == 5
    assert snapshot["healing"].failure_count == snapshot["preventive-healing"].failure_count == 0
    registry.shutdown()


def test_the_registry_runs_async_healings() -> None:
    """An async strategy is run by the registry's event loop."""
    loops: list[bool] = []

    async def heal(alert: Alert) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop().is_running())

    rig = Rig(heal=heal)
    registry = TaskRegistry(clock=rig.clock, events=rig.events, start=False)
    try:
        rig.healer.register(registry)
        rig.healer.submit(ALERT)
        rig.clock.advance(10)
        registry.run_due()
        assert loops == [True]
        assert rig.healer.history[-1].outcome is Outcome.HEALED
    finally:
        registry.shutdown()
