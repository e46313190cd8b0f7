"""The gate of a resource budget: threads and coroutines wait here until they may begin."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

from selfheal.clock import Clock
from selfheal.errors import BudgetExceededError
from selfheal.resources.budget_admission import AdmissionMachine, Admitted, Conditions, Refused, Tally, Ticket, Wait
from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel
from selfheal.resources.criticality import Criticality
from selfheal.resources.limiter_waiting import CoroutinePlace, Place, ThreadPlace

_TICK = 0.001
"""Seconds that a wait lasts at least, so that a rounded time cannot make it spin."""


class Gate:
    """Lets work through, keeps it waiting, or refuses it.

    Args:
        name: of the budget, for messages.
        config: the rates and times.
        clock: the time it goes by.
        level: asked, with the time, for the level and the hard limit that is reached; quick, and takes no lock.
    """

    def __init__(
        self,
        name: str,
        config: BudgetConfig,
        clock: Clock,
        level: Callable[[float], tuple[BudgetLevel, str | None]],
    ) -> None:
        self._name = name
        self._clock = clock
        self._level = level
        self._lock = threading.Lock()
        self._machine = AdmissionMachine(config)
        self._places: dict[Ticket, Place] = {}

    def enter(self, criticality: Criticality, timeout: float | None) -> None:
        """Return when the work may begin.

        Raises:
            BudgetExceededError: if it may not.
        """
        ticket = self._arrive(criticality, timeout)
        if ticket is None:
            return
        place = ThreadPlace(self._clock)
        self._take_place(ticket, place)
        try:
            while (seconds := self._seconds(ticket)) is not None:
                place.wait(seconds)
        finally:
            self._leave(ticket)

    async def aenter(self, criticality: Criticality, timeout: float | None) -> None:
        """The same for a coroutine."""
        ticket = self._arrive(criticality, timeout)
        if ticket is None:
            return
        try:
            place = CoroutinePlace(self._clock)
            self._take_place(ticket, place)
            while (seconds := self._seconds(ticket)) is not None:
                await place.wait(seconds)
        finally:
            self._leave(ticket)

    def wake_all(self) -> None:
        """Have all that wait ask again: the level has changed."""
        with self._lock:
            places = list(self._places.items())
        for ticket, place in places:
            self._wake(ticket, place)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._machine.waiting

    def tallies(self) -> dict[str, Tally]:
        """What became of the work so far, by class: copies."""
        with self._lock:
            return {criticality.value: copy.copy(tally) for criticality, tally in self._machine.tallies.items()}

    def start_over(self) -> None:
        """In a forked child: those who waited are in the parent."""
        self._lock = threading.Lock()
        for ticket in self._machine.tickets():
            self._machine.leave(ticket)
        self._places = {}

    def _conditions(self) -> Conditions:
        now = self._clock.monotonic()
        return Conditions(now, *self._level(now))

    def _arrive(self, criticality: Criticality, timeout: float | None) -> Ticket | None:
        it = self._conditions()
        with self._lock:
            verdict = self._machine.arrive(criticality, timeout, it)
        if isinstance(verdict, Ticket):
            return verdict
        self._settle(criticality, verdict, it.level)
        return None

    def _take_place(self, ticket: Ticket, place: Place) -> None:
        with self._lock:
            self._places[ticket] = place

    def _seconds(self, ticket: Ticket) -> float | None:
        """How long to wait before asking again; ``None`` when it may begin."""
        it = self._conditions()
        with self._lock:
            verdict = self._machine.poll(ticket, it)
        if isinstance(verdict, Wait):
            return max(verdict.until - it.now, _TICK)
        self._settle(ticket.criticality, verdict, it.level)
        return None

    def _settle(self, criticality: Criticality, verdict: Admitted | Refused, level: BudgetLevel) -> None:
        if isinstance(verdict, Refused):
            waited, retry_after, why = verdict
            raise BudgetExceededError(self._name, criticality.value, level.value, waited, retry_after, why)

    def _leave(self, ticket: Ticket) -> None:
        """Give the place back, however the wait ended, and tell the next in line."""
        with self._lock:
            self._machine.leave(ticket)
            self._places.pop(ticket, None)
            first = self._machine.first(self._clock.monotonic())
            place = None if first is None else self._places.get(first)
        if first is not None and place is not None:
            self._wake(first, place)

    def _wake(self, ticket: Ticket, place: Place) -> None:
        if not place.wake():  # its event loop is closed: nobody will ever ask for this ticket again
            self._leave(ticket)
