"""What a rate limiter may be told, and what it tells."""

from __future__ import annotations

import math

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between, name


@attrs.frozen(kw_only=True)
class LimiterConfig:
    """The settings of a :class:`~selfheal.resources.RateLimiter`.

    Args:
        rate: tokens that come in a second.
        burst: tokens a full bucket holds; ``None``: those of one second, at least 1.
        name: for errors, events and snapshots.
        max_keys: keys kept at most.
        max_waiting: callers that may wait.

    Raises:
        ConfigError: if a value is out of range.
    """

    rate: float = attrs.field(validator=between(1e-6, 1e9, "a second"))
    burst: float | None = attrs.field(default=None, validator=between(1.0, 1e9, optional=True))
    name: str = attrs.field(default="limiter", validator=name)
    max_keys: int = attrs.field(default=10_000, validator=between(1, 10_000_000))
    max_waiting: int = attrs.field(default=10_000, validator=between(0, 10_000_000))

    @property
    def size(self) -> float:
        """Tokens a full bucket holds."""
        return max(1.0, self.rate) if self.burst is None else self.burst


@attrs.frozen(kw_only=True)
class RateLimiterSnapshot:
    """A rate limiter at one moment. Counts are since it was made.

    Args:
        name: of the limiter.
        rate: tokens that come in a second.
        burst: tokens a full bucket holds.
        available: tokens at hand for callers without a key.
        keys: buckets that are kept.
        waiting: callers that wait.
        admitted: requests that got their tokens.
        refused: requests that did not.
    """

    name: str
    rate: float
    burst: float
    available: float
    keys: int
    waiting: int
    admitted: int
    refused: int


def check_amount(n: object) -> None:
    """Accept a finite number above 0.

    Raises:
        ConfigError: else.
    """
    if not isinstance(n, int | float) or isinstance(n, bool) or not 0 < n < math.inf:
        raise ConfigError("n of a rate limiter", n, "a finite number above 0", "1")


def check_timeout(timeout: object) -> None:
    """Accept 0 or more seconds, or ``None``.

    Raises:
        ConfigError: else.
    """
    if timeout is None:
        return
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
        raise ConfigError("timeout of a limiter", timeout, "0 or more seconds, or None", "None")
