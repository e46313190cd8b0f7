"""Healing: alerts answered under guards, recorded, and ended when it does not help."""

from selfheal.healing.action_queue import ActionQueue, ActionQueueConfig, ActionQueueSnapshot, QueuedAction
from selfheal.healing.alert_file import AlertFile, AlertFileConfig, AlertFileSnapshot, write_alerts
from selfheal.healing.healer import Healer
from selfheal.healing.machine import HealerConfig, HealerOptions
from selfheal.healing.records import GuardName, HealerSnapshot, HealingRecord, HealingResult, Lane, Outcome
from selfheal.healing.strategy import CallableStrategy, HealingContext, Strategy

__all__ = [
    "ActionQueue",
    "ActionQueueConfig",
    "ActionQueueSnapshot",
    "AlertFile",
    "AlertFileConfig",
    "AlertFileSnapshot",
    "CallableStrategy",
    "GuardName",
    "Healer",
    "HealerConfig",
    "HealerOptions",
    "HealerSnapshot",
    "HealingContext",
    "HealingRecord",
    "HealingResult",
    "Lane",
    "Outcome",
    "QueuedAction",
    "Strategy",
    "write_alerts",
]
