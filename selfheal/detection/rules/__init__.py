"""Rules: what is the matter, found by conditions, counts and trends that a person wrote down."""

from selfheal.detection.rules.findings import Finding
from selfheal.detection.rules.loading import DEFAULT_RULES, load_rules, rules_from, shipped_rules
from selfheal.detection.rules.specs import (
    BreakerRule,
    CascadeRule,
    CpuSpikeRule,
    LatencyRule,
    LeakRule,
    ProcessRule,
    RuleSpec,
    TaskFailureRule,
    ThresholdRule,
)
from selfheal.detection.rules.watching import RuleWatch

__all__ = [
    "BreakerRule",
    "CascadeRule",
    "CpuSpikeRule",
    "DEFAULT_RULES",
    "Finding",
    "LatencyRule",
    "LeakRule",
    "ProcessRule",
    "RuleSpec",
    "RuleWatch",
    "TaskFailureRule",
    "ThresholdRule",
    "load_rules",
    "rules_from",
    "shipped_rules",
]
