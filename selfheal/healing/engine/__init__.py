"""Strategies put to work: planned under guards, run, verified, undone, written down."""

from __future__ import annotations

from selfheal.healing.engine.config import EngineConfig, EngineOptions, EngineSnapshot, Mode
from selfheal.healing.engine.engine import StrategyEngine
from selfheal.healing.engine.explaining import Explanation
from selfheal.healing.engine.parts import Policies
from selfheal.healing.engine.recovering import RecoveredRun, RecoveryReport
from selfheal.healing.engine.releasing import Measure
from selfheal.healing.engine.verdicts import Verdict

__all__ = [
    "EngineConfig",
    "EngineOptions",
    "EngineSnapshot",
    "Explanation",
    "Measure",
    "Mode",
    "Policies",
    "RecoveredRun",
    "RecoveryReport",
    "StrategyEngine",
    "Verdict",
]
