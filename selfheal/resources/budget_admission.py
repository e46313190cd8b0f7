"""Who may begin, who waits and who is refused: a pure machine, no clock, no lock, no callback, no I/O.

At NORMAL all are admitted. At SLOW and SHED critical work is admitted at once; other work takes turns, so many a
second, the most critical first and among equals the one that waits longest. Work that waits counts as one class
more critical after each ``ageing`` seconds, and is admitted when it counts as critical: nobody waits for ever, were
``max_wait`` as long as you like. At SHED sheddable work is refused, unless by its age it counts as default. Over a
hard limit nobody is admitted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import attrs

from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel
from selfheal.resources.criticality import Criticality

_RANK = {Criticality.CRITICAL: 0, Criticality.DEFAULT: 1, Criticality.SHEDDABLE: 2}


class Admitted(NamedTuple):
    """Begin. ``waited`` seconds have passed since it asked."""

    waited: float


class Refused(NamedTuple):
    """Do not begin; asking again may help after ``retry_after`` seconds."""

    waited: float
    retry_after: float
    why: str


class Wait(NamedTuple):
    """Ask again at ``until`` (monotonic seconds), or when woken."""

    until: float


class Conditions(NamedTuple):
    """How things are at the moment of asking.

    Attributes:
        now: monotonic seconds.
        level: of the budget.
        hard: which hard limit is reached, in words; ``None`` for none.
    """

    now: float
    level: BudgetLevel
    hard: str | None = None


@attrs.define(eq=False)
class Ticket:
    """One piece of work that waits.

    Attributes:
        criticality: its class.
        since: monotonic seconds when it asked.
        deadline: monotonic seconds at which it is refused.
    """

    criticality: Criticality
    since: float
    deadline: float


@attrs.define
class Tally:
    """What became of the work of one class."""

    admitted: int = 0
    delayed: int = 0
    refused: int = 0
    left: int = 0
    longest_wait: float = 0.0


class AdmissionMachine:
    """Decides who may begin. Whoever owns it keeps calls to it one at a time.

    Args:
        config: the rates and times.

    Attributes:
        tallies: what became of the work so far, by class. ``delayed`` counts those admitted that waited, ``left``
            those that gave up waiting.
    """

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.tallies = {criticality: Tally() for criticality in Criticality}
        self._waiting: dict[Criticality, dict[Ticket, None]] = {criticality: {} for criticality in Criticality}
        self._next_turn = -math.inf

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def arrive(self, criticality: Criticality, timeout: float | None, it: Conditions) -> Admitted | Refused | Ticket:
        """Ask to begin a piece of work; a :class:`Ticket` is to be polled until it is done with."""
        longest = self.config.max_wait if timeout is None else min(timeout, self.config.max_wait)
        ticket = Ticket(criticality, it.now, it.now + max(longest, 0.0))
        if it.hard is not None:
            return self._count(ticket, self._refuse(ticket, it, it.hard))
        first = self.first(it.now)
        turn = first is None or self._order(ticket, it.now) < self._order(first, it.now)
        verdict = self._judge(ticket, it, turn=turn)
        if not isinstance(verdict, Wait):
            return self._count(ticket, verdict)
        if it.now >= ticket.deadline:
            return self._count(ticket, self._refuse(ticket, it, "it would have to wait"))
        if self.waiting >= self.config.max_waiting:
            return self._count(ticket, self._refuse(ticket, it, f"{self.waiting} wait already"))
        self._waiting[criticality][ticket] = None
        return ticket

    def poll(self, ticket: Ticket, it: Conditions) -> Admitted | Refused | Wait:
        """Ask what has become of a ticket. Once it is admitted or refused it is no longer known."""
        verdict = self._judge(ticket, it, turn=self.first(it.now) is ticket)
        if isinstance(verdict, Wait):
            if it.now < ticket.deadline:
                return verdict
            verdict = self._refuse(ticket, it, "its time to wait is over")
        del self._waiting[ticket.criticality][ticket]
        return self._count(ticket, verdict)

    def leave(self, ticket: Ticket) -> bool:
        """Give up waiting; tell whether it still did."""
        if ticket not in self._waiting[ticket.criticality]:
            return False
        del self._waiting[ticket.criticality][ticket]
        self.tallies[ticket.criticality].left += 1
        return True

    def first(self, now: float) -> Ticket | None:
        """Whose turn is next."""
        # Within a class the one that came first is never behind, so only the heads are compared.
        heads = [next(iter(lane)) for lane in self._waiting.values() if lane]
        return min(heads, key=lambda ticket: self._order(ticket, now), default=None)

    def tickets(self) -> list[Ticket]:
        """All that wait."""
        return [ticket for lane in self._waiting.values() for ticket in lane]

    def _judge(self, ticket: Ticket, it: Conditions, *, turn: bool) -> Admitted | Refused | Wait:
        waited = max(it.now - ticket.since, 0.0)
        if it.hard is not None:  # it may pass while this one waits
            return Wait(ticket.deadline)
        rank = self._rank(ticket, it.now)
        if it.level is BudgetLevel.NORMAL or rank == 0:
            return Admitted(waited)
        if it.level is BudgetLevel.SHED and rank == 2:
            return self._refuse(ticket, it, "such work is not done at this level")
        if turn and it.now >= self._next_turn:
            rate = self.config.shed_rate if it.level is BudgetLevel.SHED else self.config.slow_rate
            self._next_turn = it.now + 1.0 / rate
            return Admitted(waited)
        older = ticket.since + self.config.ageing * (math.floor(waited / self.config.ageing) + 1)
        return Wait(min(ticket.deadline, older, self._next_turn if turn else math.inf))

    def _rank(self, ticket: Ticket, now: float) -> int:
        """0 counts as critical, 1 as default, 2 as sheddable."""
        return max(_RANK[ticket.criticality] - int((now - ticket.since) / self.config.ageing), 0)

    def _order(self, ticket: Ticket, now: float) -> tuple[int, float]:
        return self._rank(ticket, now), ticket.since

    def _refuse(self, ticket: Ticket, it: Conditions, why: str) -> Refused:
        over = it.hard is not None or it.level is BudgetLevel.SHED
        wait = self.config.hold if over else (self.waiting + 1) / self.config.slow_rate
        return Refused(max(it.now - ticket.since, 0.0), wait, why)

    def _count(self, ticket: Ticket, verdict: Admitted | Refused) -> Admitted | Refused:
        tally = self.tallies[ticket.criticality]
        if isinstance(verdict, Refused):
            tally.refused += 1
        else:
            tally.admitted += 1
            tally.delayed += verdict.waited > 0
            tally.longest_wait = max(tally.longest_wait, verdict.waited)
        return verdict
