"""What an error means for a circuit, by the host's conditions."""

from __future__ import annotations

from selfheal.policies.breaker.conditions import ask, first_met, meets, read_retry_after, tell
from selfheal.policies.breaker.config import BreakerConfig
from selfheal.policies.breaker.machine import NO_VERDICT, Outcome, Verdict


def judge(error: Exception, config: BreakerConfig, wall: float) -> tuple[Outcome, Verdict]:
    """Apply the configured conditions. They are the host's code: call this without a lock.

    Args:
        error: what a call raised.
        config: the rules.
        wall: the time now, seconds since 1970 UTC, for dates in ``Retry-After``.
    """
    if any(meets(error, condition) for condition in config.ignore):
        return Outcome.IGNORED, NO_VERDICT
    if not any(meets(error, condition, if_broken=True) for condition in config.count):
        return Outcome.IGNORED, NO_VERDICT
    wait = ask(config.retry_after, error, None) if config.retry_after else read_retry_after(error, wall)
    return Outcome.FAILURE, Verdict(
        permanent=first_met(error, config.permanent_on),
        opens=first_met(error, config.open_on) if config.open_on else None,
        retry_after=wait,
        error=tell(error),
    )
