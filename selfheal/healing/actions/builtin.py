"""The actions that ship."""

from __future__ import annotations

from selfheal.healing.actions.backups import Backup, Restore, VerifyBackup
from selfheal.healing.actions.diagnosing import CheckUpstream, Profile, TightenMonitoring
from selfheal.healing.actions.freeing import CleanTemp, ResetDependency, TrimMemory
from selfheal.healing.actions.processes import EndIdle, ForceCleanup
from selfheal.healing.actions.protocol import Action
from selfheal.healing.actions.queues import RedistributeTasks, ReorderTasks
from selfheal.healing.actions.registry import ActionRegistry
from selfheal.healing.actions.services import RestartDependants, RestartIfCritical, RestartService
from selfheal.healing.actions.suspending import PrepareRestart, ResumeLowPriority, StopOptional, SuspendLowPriority
from selfheal.healing.actions.switching import ClearCache, EnableCache, FallbackLlm
from selfheal.healing.actions.telling import Log, Notify, Snapshot
from selfheal.healing.actions.turning import RateLimit, ScaleWorkers

_BUILTIN: tuple[type[Action], ...] = (
    Log,
    RateLimit,
    RestartIfCritical,
    ClearCache,
    RestartService,
    FallbackLlm,
    Notify,
    EnableCache,
    ScaleWorkers,
    RedistributeTasks,
    Snapshot,
    SuspendLowPriority,
    ResumeLowPriority,
    Profile,
    ResetDependency,
    ReorderTasks,
    ForceCleanup,
    TightenMonitoring,
    RestartDependants,
    CheckUpstream,
    CleanTemp,
    EndIdle,
    TrimMemory,
    StopOptional,
    PrepareRestart,
    Backup,
    VerifyBackup,
    Restore,
)


def builtin_actions() -> ActionRegistry:
    """A new registry with all actions that selfheal ships, to add one's own to."""
    return ActionRegistry(_BUILTIN)
