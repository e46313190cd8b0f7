"""What happened to resource budgets, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class BudgetLevelChanged(Event):
    """A resource budget went from one level to another.

    Args:
        budget: its name.
        old: level it left: ``NORMAL``, ``SLOW`` or ``SHED``.
        new: level it entered.
        reason: why.
        cpu: smoothed percent of the CPU that may be used, or ``None`` where it is not known.
        memory: the same of memory.
    """

    budget: str
    old: str
    new: str
    reason: str
    cpu: float | None = None
    memory: float | None = None


@attrs.frozen(kw_only=True)
class BudgetResponded(Event):
    """A budget did something about the load, or undid it.

    Args:
        budget: its name.
        response: name of the response.
        step: ``engage`` or ``release``.
        detail: what came of it, in words.
        error: what it raised, as text; empty where it did not.
    """

    budget: str
    response: str
    step: str
    detail: str = ""
    error: str = ""


@attrs.frozen(kw_only=True)
class LoadSheddingChanged(Event):
    """A load shedder began to shed requests of a class, or ended it. Not one event a request.

    Args:
        shedder: its name.
        criticality: the class.
        shedding: whether it does from now on.
        chance: the share of requests of that class that is shed now, 0 to 1.
        reason: why.
    """

    shedder: str
    criticality: str
    shedding: bool
    chance: float
    reason: str
