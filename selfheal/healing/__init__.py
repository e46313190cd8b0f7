"""Healing: alerts answered under guards, recorded, and ended when it does not help.

Each name is loaded when first used: a host that has a healer of its own making loads no strategy engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.healing.action_queue import ActionQueue as ActionQueue
    from selfheal.healing.action_queue import ActionQueueConfig as ActionQueueConfig
    from selfheal.healing.action_queue import ActionQueueSnapshot as ActionQueueSnapshot
    from selfheal.healing.action_queue import QueuedAction as QueuedAction
    from selfheal.healing.alert_file import AlertFile as AlertFile
    from selfheal.healing.alert_file import AlertFileConfig as AlertFileConfig
    from selfheal.healing.alert_file import AlertFileSnapshot as AlertFileSnapshot
    from selfheal.healing.alert_file import write_alerts as write_alerts
    from selfheal.healing.engine import EngineConfig as EngineConfig
    from selfheal.healing.engine import EngineOptions as EngineOptions
    from selfheal.healing.engine import EngineSnapshot as EngineSnapshot
    from selfheal.healing.engine import Explanation as Explanation
    from selfheal.healing.engine import Measure as Measure
    from selfheal.healing.engine import Mode as Mode
    from selfheal.healing.engine import Policies as Policies
    from selfheal.healing.engine import RecoveredRun as RecoveredRun
    from selfheal.healing.engine import RecoveryReport as RecoveryReport
    from selfheal.healing.engine import StrategyEngine as StrategyEngine
    from selfheal.healing.engine import Verdict as Verdict
    from selfheal.healing.healer import Healer as Healer
    from selfheal.healing.machine import HealerConfig as HealerConfig
    from selfheal.healing.machine import HealerOptions as HealerOptions
    from selfheal.healing.records import GuardName as GuardName
    from selfheal.healing.records import HealerSnapshot as HealerSnapshot
    from selfheal.healing.records import HealingRecord as HealingRecord
    from selfheal.healing.records import HealingResult as HealingResult
    from selfheal.healing.records import Lane as Lane
    from selfheal.healing.records import Outcome as Outcome
    from selfheal.healing.strategy import CallableStrategy as CallableStrategy
    from selfheal.healing.strategy import HealingContext as HealingContext
    from selfheal.healing.strategy import Strategy as Strategy

_HOME = {
    "ActionQueue": "action_queue",
    "ActionQueueConfig": "action_queue",
    "ActionQueueSnapshot": "action_queue",
    "AlertFile": "alert_file",
    "AlertFileConfig": "alert_file",
    "AlertFileSnapshot": "alert_file",
    "CallableStrategy": "strategy",
    "EngineConfig": "engine",
    "EngineOptions": "engine",
    "EngineSnapshot": "engine",
    "Explanation": "engine",
    "GuardName": "records",
    "Healer": "healer",
    "HealerConfig": "machine",
    "HealerOptions": "machine",
    "HealerSnapshot": "records",
    "HealingContext": "strategy",
    "HealingRecord": "records",
    "HealingResult": "records",
    "Lane": "records",
    "Measure": "engine",
    "Mode": "engine",
    "Outcome": "records",
    "Policies": "engine",
    "QueuedAction": "action_queue",
    "RecoveredRun": "engine",
    "RecoveryReport": "engine",
    "Strategy": "strategy",
    "StrategyEngine": "engine",
    "Verdict": "engine",
    "write_alerts": "alert_file",
}

__all__ = [
    "ActionQueue",
    "ActionQueueConfig",
    "ActionQueueSnapshot",
    "AlertFile",
    "AlertFileConfig",
    "AlertFileSnapshot",
    "CallableStrategy",
    "EngineConfig",
    "EngineOptions",
    "EngineSnapshot",
    "Explanation",
    "GuardName",
    "Healer",
    "HealerConfig",
    "HealerOptions",
    "HealerSnapshot",
    "HealingContext",
    "HealingRecord",
    "HealingResult",
    "Lane",
    "Measure",
    "Mode",
    "Outcome",
    "Policies",
    "QueuedAction",
    "RecoveredRun",
    "RecoveryReport",
    "Strategy",
    "StrategyEngine",
    "Verdict",
    "write_alerts",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())
