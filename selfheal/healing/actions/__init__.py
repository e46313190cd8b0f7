"""What a healing can do: actions, each pulling levers of the host."""

from __future__ import annotations

from selfheal.healing.actions.builtin import builtin_actions
from selfheal.healing.actions.callables import ActionDeclaration
from selfheal.healing.actions.protocol import (
    Action,
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    NoParams,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
)
from selfheal.healing.actions.registry import ActionRegistry

__all__ = [
    "Action",
    "ActionCall",
    "ActionDeclaration",
    "ActionRegistry",
    "BaseAction",
    "Effect",
    "LeverNeed",
    "NoParams",
    "Plan",
    "Probed",
    "Receipt",
    "Repeat",
    "Skip",
    "builtin_actions",
]
