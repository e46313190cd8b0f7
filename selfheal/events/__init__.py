"""What happened, as frozen records, and who wants to know.

Events are for observers (logs, metrics, dashboards, notifications). No decision of selfheal waits
for a subscriber: each subscription has its own bounded queue and a thread that lives only while
there is something to deliver, so a subscriber that raises, blocks or calls back can neither change
the caller's result nor hold it up, and nothing is left running when nothing happens.
"""

from selfheal.events.backups import BackupCreated, BackupFailed, BackupVerified
from selfheal.events.budgets import BudgetLevelChanged, BudgetResponded, LoadSheddingChanged
from selfheal.events.bus import DEFAULT_BUS, EventBus, Subscription
from selfheal.events.levers import FallbackSwitched, LeverMoved, NotificationFailed
from selfheal.events.queues import (
    PoolFailed,
    PoolScaled,
    PoolWorkerEnded,
    PoolWorkerStarted,
    QueueSlowed,
    TaskBuried,
    TaskShed,
    TasksRedistributed,
)
from selfheal.events.records import (
    ActionAudited,
    Alert,
    AlertCleared,
    ApprovalRequested,
    BreakerStateChanged,
    ClockJumped,
    DormancyEntered,
    DormancyLeft,
    Event,
    HealingFinished,
    ResumeLooksPossible,
    Severity,
    TaskFailed,
    TaskOverdue,
    WorkersExhausted,
)
from selfheal.events.restores import RestoreFinished, RestoreRolledBack, RestoreStarted
from selfheal.events.strategies import StrategiesRefused, StrategiesReloaded
from selfheal.events.supervision import (
    WorkerAdopted,
    WorkerEnding,
    WorkerExited,
    WorkerReadinessChanged,
    WorkerStateChanged,
)

__all__ = [
    "ActionAudited",
    "Alert",
    "AlertCleared",
    "ApprovalRequested",
    "BackupCreated",
    "BackupFailed",
    "BackupVerified",
    "BreakerStateChanged",
    "BudgetLevelChanged",
    "BudgetResponded",
    "ClockJumped",
    "DEFAULT_BUS",
    "DormancyEntered",
    "DormancyLeft",
    "Event",
    "EventBus",
    "FallbackSwitched",
    "HealingFinished",
    "LeverMoved",
    "LoadSheddingChanged",
    "NotificationFailed",
    "PoolFailed",
    "PoolScaled",
    "PoolWorkerEnded",
    "PoolWorkerStarted",
    "QueueSlowed",
    "RestoreFinished",
    "RestoreRolledBack",
    "RestoreStarted",
    "ResumeLooksPossible",
    "Severity",
    "StrategiesRefused",
    "StrategiesReloaded",
    "Subscription",
    "TaskBuried",
    "TaskFailed",
    "TaskOverdue",
    "TaskShed",
    "TasksRedistributed",
    "WorkerAdopted",
    "WorkerEnding",
    "WorkerExited",
    "WorkerReadinessChanged",
    "WorkerStateChanged",
    "WorkersExhausted",
]
