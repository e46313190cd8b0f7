"""What a healing can do: actions, each pulling levers of the host."""

from __future__ import annotations

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
    Skip,
)

__all__ = [
    "Action",
    "ActionCall",
    "BaseAction",
    "Effect",
    "LeverNeed",
    "NoParams",
    "Plan",
    "Probed",
    "Receipt",
    "Skip",
]
