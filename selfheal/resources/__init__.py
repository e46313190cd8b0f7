"""What a service may use up, and what it does when there is too much to do."""

from selfheal.resources.limiter import RateLimiter
from selfheal.resources.limiter_settings import LimiterConfig, RateLimiterSnapshot

__all__ = ["LimiterConfig", "RateLimiter", "RateLimiterSnapshot"]
