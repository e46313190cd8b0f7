"""What a service may use up, and what it does when there is too much to do."""

from selfheal.resources.concurrency import AdaptiveLimit, Permit, Slot
from selfheal.resources.criticality import Criticality
from selfheal.resources.limiter import RateLimiter
from selfheal.resources.limiter_settings import LimiterConfig, RateLimiterSnapshot
from selfheal.resources.limiter_vegas import AdaptiveLimitConfig, AdaptiveLimitSnapshot
from selfheal.resources.queue import DeadLetter, Delivery, QueueOptions, QueueSnapshot, TaskQueue

__all__ = [
    "AdaptiveLimit",
    "AdaptiveLimitConfig",
    "AdaptiveLimitSnapshot",
    "Criticality",
    "DeadLetter",
    "Delivery",
    "LimiterConfig",
    "Permit",
    "QueueOptions",
    "QueueSnapshot",
    "RateLimiter",
    "RateLimiterSnapshot",
    "Slot",
    "TaskQueue",
]
