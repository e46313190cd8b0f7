"""What resource budgets and load shedding raise."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class BudgetExceededError(SelfhealError):
    """A resource budget did not admit a piece of work. It was not begun.

    Attributes:
        budget: its name.
        criticality: of the work: ``critical``, ``default`` or ``sheddable``.
        level: where the budget stood: ``NORMAL``, ``SLOW`` or ``SHED``.
        waited: seconds it waited.
        retry_after: seconds until asking again may help.
        why: in words.
    """

    def __init__(self, budget: str, criticality: str, level: str, waited: float, retry_after: float, why: str) -> None:
        super().__init__(budget, criticality, level, waited, retry_after, why)
        self.budget = budget
        self.criticality = criticality
        self.level = level
        self.waited = waited
        self.retry_after = retry_after
        self.why = why

    def __str__(self) -> str:
        waited = f" after {self.waited:.1f} s" if self.waited > 0 else ""
        return (
            f"budget {self.budget!r} is at {self.level}: {self.criticality} work refused{waited}, {self.why}. "
            f"Retry in {self.retry_after:.1f} s."
        )


class LoadShedError(SelfhealError):
    """A request was shed: not begun, because there is too much to do.

    Attributes:
        shedder: name of the load shedder.
        criticality: of the request: ``critical``, ``default`` or ``sheddable``.
        chance: the share of such requests that is shed now, 0 to 1.
        why: in words.
    """

    def __init__(self, shedder: str, criticality: str, chance: float, why: str) -> None:
        super().__init__(shedder, criticality, chance, why)
        self.shedder = shedder
        self.criticality = criticality
        self.chance = chance
        self.why = why

    def __str__(self) -> str:
        return (
            f"shedder {self.shedder!r}: {self.criticality} request shed, {self.why}; {self.chance:.0%} of them are. "
            "Answer 'try later', and do not retry at once."
        )
