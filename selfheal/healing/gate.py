"""What more a healing may have to pass than its healer's own guards: a place for the strategy engine to stand in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import attrs

from selfheal.events import Alert
from selfheal.healing.machine import Refused
from selfheal.healing.records import Lane
from selfheal.healing.strategy import Strategy


def _nothing() -> None:
    """There is nothing to give back."""


@attrs.frozen(kw_only=True)
class Reserved:
    """What was taken for a healing that may begin, and what stands against it.

    Args:
        paced: grace period or hourly budget of the strategy; asked after the backoff.
        placed: blast radius, held targets and target locks, in this order; asked after the healer's hourly budget.
        release: gives back what was taken; called once, at the end of the healing, or when it does not begin.
        begun: called once when it begins.
    """

    paced: Sequence[Refused] = ()
    placed: Sequence[Refused] = ()
    release: Callable[[], None] = _nothing
    begun: Callable[[], None] = _nothing


class Gate(Protocol):
    """Further guards of a healer. Quick; they hold no lock while they call others."""

    def standing(self) -> Refused | None:
        """What stands against every healing, also one in progress."""

    def before_breaker(self, lane: Lane, alert: Alert, strategy: Strategy, /) -> Iterator[Refused]:
        """Protected target, silence, inhibition, a missing approval: one after the other. Takes nothing."""

    def reserve(self, lane: Lane, alert: Alert, strategy: Strategy, /, *, take: bool = True) -> Reserved:
        """Take what this healing needs for itself alone; or only tell what stands against it."""


class OpenGate:
    """A :class:`Gate` that lets everything pass."""

    def standing(self) -> Refused | None:
        """Nothing."""
        return None

    def before_breaker(self, lane: Lane, alert: Alert, strategy: Strategy) -> Iterator[Refused]:
        """Nothing."""
        return iter(())

    def reserve(self, lane: Lane, alert: Alert, strategy: Strategy, *, take: bool = True) -> Reserved:
        """Nothing is taken."""
        return Reserved()
