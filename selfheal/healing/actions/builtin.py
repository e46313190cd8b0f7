"""The actions that ship."""

from __future__ import annotations

from selfheal.healing.actions.protocol import Action
from selfheal.healing.actions.queues import RedistributeTasks
from selfheal.healing.actions.registry import ActionRegistry
from selfheal.healing.actions.services import RestartIfCritical, RestartService
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
)


def builtin_actions() -> ActionRegistry:
    """A new registry with all actions that selfheal ships, to add one's own to."""
    return ActionRegistry(_BUILTIN)
