"""The door of the service: who comes too often, or when there is too much to do, is told when to come again."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from selfheal.errors import BudgetExceededError, LoadShedError
from selfheal.events import EventBus
from selfheal.resources import Criticality, LoadShedder, RateLimiter, ResourceBudget

ROOM = 64
"""Requests that may be inside at once. As they fill it, sheddable ones are turned away first."""
LONGEST_DELAY = 5.0
"""Seconds that the budget may keep a request waiting."""


class TurnedAwayError(Exception):
    """A request is not let in.

    Attributes:
        status: 429 if its sender comes too often, 503 if there is too much to do.
        error: why, in words.
        retry_after: whole seconds until asking again may help.
    """

    def __init__(self, status: int, error: str, retry_after: float) -> None:
        super().__init__(status, error, retry_after)
        self.status = status
        self.error = error
        self.retry_after = max(math.ceil(retry_after), 1)


class Door:
    """Lets requests in, after three questions: is this sender too fast, is it full, is the machine busy?

    Args:
        rate: requests a second of each sender.
        burst: requests of each sender at once.
        budget: of CPU and memory.
        events: where limiter and shedder tell what they do.
    """

    def __init__(self, rate: float, burst: float, budget: ResourceBudget, events: EventBus) -> None:
        self.limiter = RateLimiter(rate, burst, name="door", events=events)
        self.shedder = LoadShedder("door", utilization=lambda: self._inside / ROOM, events=events)
        self._budget = budget
        self._inside = 0

    @asynccontextmanager
    async def enter(self, sender: str, criticality: Criticality) -> AsyncIterator[None]:
        """Be inside for the length of the block.

        Raises:
            TurnedAwayError: if it is not let in.
        """
        if not self.limiter.try_acquire(key=sender):
            wait = self.limiter.retry_after(key=sender)
            raise TurnedAwayError(429, f"more than {self.limiter.rate:g} requests a second from {sender}", wait)
        try:
            self.shedder.check(criticality)
        except LoadShedError as shed:
            raise TurnedAwayError(503, str(shed), 1.0) from shed
        self._inside += 1
        try:
            await self._budget.aadmit(criticality, LONGEST_DELAY)
            yield
        except BudgetExceededError as over:
            raise TurnedAwayError(503, str(over), over.retry_after) from over
        finally:
            self._inside -= 1

    def section(self) -> dict[str, Any]:
        """The door, for the status."""
        limiter, shedder = self.limiter.snapshot(), self.shedder.snapshot()
        return {
            "rate": limiter.rate,
            "burst": limiter.burst,
            "admitted": limiter.admitted,
            "tooOften": limiter.refused,
            "inside": self._inside,
            "room": ROOM,
            "shed": dict(shedder.shed),
        }
