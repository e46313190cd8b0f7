"""What the shell asks of whoever keeps the tasks: the machine in memory, or the file."""

from __future__ import annotations

import math
from typing import Any, Protocol

from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.options import SPAN, QueueOptions
from selfheal.resources.queue.records import Buried, Counts, DeadLetter, Delivery, QueueSnapshot, Shed

News = Buried | Shed
NEVER = math.inf


class Refused(Exception):  # noqa: N818  a verdict, which the shell turns into the error people see
    """There is no room."""

    def __init__(self, size: int, dead: int) -> None:
        super().__init__(size, dead)
        self.size = size
        self.dead = dead


class Book(Protocol):
    """Keeps tasks and decides. Calls come one at a time; ``now`` never goes back.

    Attributes:
        counts: what happened so far.
        news: what is to be told, oldest first; the owner takes it away.
    """

    counts: Counts
    news: list[News]

    def put(
        self, payload: Any, priority: int, criticality: Criticality, delay: float, dedup: str | None, now: float
    ) -> int:
        """Keep a task and answer its id; raises :class:`Refused` when there is no room."""

    def take(self, worker: str, now: float) -> Delivery | None:
        """Hand out the task that is next, if one may be handed out now."""

    def next_change(self, now: float) -> float:
        """Moment from which a take may find what it did not find now; ``inf``: only after another call."""

    def ack(self, delivery: Delivery, now: float) -> bool:
        """The task is done; tell whether that counted."""

    def nack(self, delivery: Delivery, delay: float, reason: str, now: float) -> bool:
        """The taker gives the task back; tell whether that counted."""

    def bury(self, delivery: Delivery, reason: str, now: float) -> bool:
        """The task is not to be delivered any more; tell whether that counted."""

    def extend(self, delivery: Delivery, now: float) -> Delivery | None:
        """A sign of life: the delivery with its new deadline, or ``None`` if it is over."""

    def redistribute(self, worker: str, reason: str, now: float) -> int:
        """Take all tasks away from a worker; tell how many there were."""

    def change(self, task: int, priority: int | None, criticality: Criticality | None, now: float) -> bool:
        """Give a waiting or delivered task another rank; tell whether it is there."""

    def slow_down(self, factor: float, now: float) -> bool:
        """Space non-critical deliveries; tell whether that is a change."""

    def expire(self, now: float) -> None:
        """Let everything happen that time alone brings about."""

    def dead_letters(self, now: float, wall: float) -> tuple[DeadLetter, ...]:
        """All dead letters, oldest first; ``wall`` is the wall clock at ``now``."""

    def revive(self, task: int, now: float) -> bool:
        """Put a dead letter back as if it were new; tell whether it is there."""

    def discard(self, task: int) -> bool:
        """Forget a dead letter; tell whether it was there."""

    def snapshot(self, now: float) -> QueueSnapshot:
        """Sizes and counts."""

    def close(self) -> None:
        """Let go of what is held open. What is kept stays kept, and calls may follow."""

    def after_fork(self) -> None:
        """In a forked child: let go of what is the parent's."""


def rank_of(priority: int, criticality: Criticality) -> int:
    """How far up a task stands among its own: 0 to 9 for critical and for sheddable ones, 10 to 19 for others."""
    return priority + SPAN if criticality is Criticality.DEFAULT else priority


def order_key(since: float, rank: int, options: QueueOptions) -> float:
    """What tasks are ordered by, smallest first: never changes while a task waits.

    A task gains one rank each ``age_step`` seconds. Between two tasks the gains are equal at any moment, so
    ``rank + (now - since) / age_step`` orders them as ``since - rank * age_step`` does, without ``now``.
    """
    return since - rank * options.age_step


def gap_of(factor: float, options: QueueOptions) -> float:
    """Seconds between two non-critical deliveries at a factor."""
    return (factor - 1.0) * options.slow_gap
