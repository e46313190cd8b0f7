"""Which problems are answered with which actions: records, files, and the strategies that ship."""

from __future__ import annotations

from selfheal.healing.strategies.schema import schema_text, strategy_schema
from selfheal.healing.strategies.sets import StrategySet
from selfheal.healing.strategies.shipping import shipped
from selfheal.healing.strategies.specs import (
    Level,
    LevelSpec,
    OnFailure,
    StepSpec,
    StrategySpec,
    VerifyBy,
    VerifySpec,
)
from selfheal.healing.strategies.watching import StrategyFile

__all__ = [
    "Level",
    "LevelSpec",
    "OnFailure",
    "StepSpec",
    "StrategyFile",
    "StrategySet",
    "StrategySpec",
    "VerifyBy",
    "VerifySpec",
    "schema_text",
    "shipped",
    "strategy_schema",
]
