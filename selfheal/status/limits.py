"""How many automatic attempts an hour can hold, computed from the configuration."""

from __future__ import annotations

from collections.abc import Callable

HOUR = 3600.0


def failing_attempts_per_hour(failure_limit: int, delay: Callable[[int], float]) -> int:
    """Attempts that fit in one hour while every one of them fails, however quick each is.

    The n-th failure is followed by a wait of ``delay(n)`` seconds, and ``failure_limit`` failures end all
    attempts until a person resumes; so the first ``failure_limit`` waits are all that there is to count.

    Args:
        failure_limit: consecutive failures after which healing goes dormant.
        delay: seconds of wait after the n-th failure in a row, without jitter.
    """
    waited = 0.0
    for failures in range(1, failure_limit):
        waited += delay(failures)
        if waited >= HOUR:
            return failures
    return failure_limit
