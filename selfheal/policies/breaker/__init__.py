"""The circuit breaker: refuses calls to what keeps failing, probes it, and knows when only a person can help."""

from selfheal.policies.breaker.breaker import DEFAULT_REGISTRY, BreakerRegistry, CircuitBreaker
from selfheal.policies.breaker.config import BreakerConfig, BreakerOptions, CountWindow, TimeWindow
from selfheal.policies.breaker.guard import Guard
from selfheal.policies.breaker.machine import BreakerState
from selfheal.policies.breaker.snapshot import BreakerSnapshot, ResetRecord

__all__ = [
    "DEFAULT_REGISTRY",
    "BreakerConfig",
    "BreakerOptions",
    "BreakerRegistry",
    "BreakerSnapshot",
    "BreakerState",
    "CircuitBreaker",
    "CountWindow",
    "Guard",
    "ResetRecord",
    "TimeWindow",
]
