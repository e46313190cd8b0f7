"""Conditions under which something is to be done: plain data, read strictly, compiled, and never executed as code."""

from selfheal.conditions.compiling import Evaluate, Labels, Lookup, compile_condition
from selfheal.conditions.describing import describe
from selfheal.conditions.durations import format_duration, parse_duration
from selfheal.conditions.index import ConditionIndex, Firing
from selfheal.conditions.nodes import (
    All,
    AnyOf,
    Comparison,
    Condition,
    LabelIn,
    LabelIs,
    Not,
    metrics_of,
    scaled,
)
from selfheal.conditions.samples import Samples
from selfheal.conditions.structure import condition_from, to_data
from selfheal.conditions.sugar import parse
from selfheal.conditions.trigger import Transition, TriggerMachine, TriggerState

__all__ = [
    "All",
    "AnyOf",
    "Comparison",
    "Condition",
    "ConditionIndex",
    "Evaluate",
    "Firing",
    "LabelIn",
    "LabelIs",
    "Labels",
    "Lookup",
    "Not",
    "Samples",
    "Transition",
    "TriggerMachine",
    "TriggerState",
    "compile_condition",
    "condition_from",
    "describe",
    "format_duration",
    "metrics_of",
    "parse",
    "parse_duration",
    "scaled",
    "to_data",
]
