"""What a service may use up, and what it does when there is too much to do."""

from selfheal.resources.budget import ResourceBudget
from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel, BudgetTransition
from selfheal.resources.budget_report import BudgetSnapshot
from selfheal.resources.budget_responses import ClearCaches, Do, Suspend, Throttle
from selfheal.resources.concurrency import AdaptiveLimit, Permit, Slot
from selfheal.resources.criticality import Criticality
from selfheal.resources.criticality_scope import criticality_scope, current_criticality
from selfheal.resources.limiter import RateLimiter
from selfheal.resources.limiter_settings import LimiterConfig, RateLimiterSnapshot
from selfheal.resources.limiter_vegas import AdaptiveLimitConfig, AdaptiveLimitSnapshot
from selfheal.resources.queue import DeadLetter, Delivery, QueueOptions, QueueSnapshot, TaskQueue
from selfheal.resources.shedding import LoadShedder, ShedderSnapshot
from selfheal.resources.shedding_machine import ShedderConfig
from selfheal.usage import Usage, UsageReader

__all__ = [
    "AdaptiveLimit",
    "AdaptiveLimitConfig",
    "AdaptiveLimitSnapshot",
    "BudgetConfig",
    "BudgetLevel",
    "BudgetSnapshot",
    "BudgetTransition",
    "ClearCaches",
    "Criticality",
    "DeadLetter",
    "Delivery",
    "Do",
    "LimiterConfig",
    "LoadShedder",
    "Permit",
    "QueueOptions",
    "QueueSnapshot",
    "RateLimiter",
    "RateLimiterSnapshot",
    "ResourceBudget",
    "ShedderConfig",
    "ShedderSnapshot",
    "Slot",
    "Suspend",
    "TaskQueue",
    "Throttle",
    "Usage",
    "UsageReader",
    "criticality_scope",
    "current_criticality",
]
