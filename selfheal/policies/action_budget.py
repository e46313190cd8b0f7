"""So many automatic actions an hour, whatever they are about. Pure: the caller gives the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from selfheal.errors import ConfigError
from selfheal.policies.refusal import Refusal
from selfheal.policies.steady import SteadyTime, elapsed
from selfheal.validators import between

HOUR = 3600.0


@attrs.frozen(kw_only=True)
class ActionBudgetConfig:
    """How many automatic actions there may be.

    Args:
        per_hour: at most in any 3600 s; 1 to 100000.

    Raises:
        ConfigError: if it is out of range.
    """

    per_hour: int = attrs.field(default=60, validator=between(1, 100_000))


@attrs.frozen(kw_only=True)
class ActionBudgetSnapshot:
    """What is left.

    Args:
        per_hour: actions at most in any 3600 s.
        spent: in the last 3600 s.
        remaining: how many may begin now.
        retry_in: seconds until one may; 0 if now.
        refused: how many times there was not enough left.
    """

    per_hour: int
    spent: int
    remaining: int
    retry_in: float
    refused: int


class ActionBudget:
    """At most ``per_hour`` actions in any 3600 s, over all strategies, targets and levels.

    It is debited when an action is intended and never given back: an action that failed was one. A wall clock set
    back and a restart with :meth:`restore` do not loosen the bound. Not thread-safe: the owner holds a lock.

    Args:
        per_hour: actions at most in any 3600 s; 1 to 100000. Or an :class:`ActionBudgetConfig`.

    Raises:
        ConfigError: if it is out of range.

    >>> budget = ActionBudget(per_hour=2)
    >>> budget.spend(1_700_000_000.0), budget.spend(1_700_000_060.0), budget.spend(1_700_000_120.0)
    (True, True, False)
    >>> budget.remaining(1_700_003_600.0)
    1
    """

    def __init__(self, per_hour: int | ActionBudgetConfig = 60) -> None:
        self.config = per_hour if isinstance(per_hour, ActionBudgetConfig) else ActionBudgetConfig(per_hour=per_hour)
        self.refused = 0
        self._time = SteadyTime()
        self._spent: deque[float] = deque()

    def remaining(self, wall: float, *, now: float | None = None) -> int:
        """How many actions may begin at ``wall`` (seconds since 1970 UTC; ``now``: monotonic seconds, if at hand)."""
        return self._left(self._time.at(wall, now))

    def check(self, wall: float, n: int = 1, *, now: float | None = None) -> Refusal | None:
        """Whether ``n`` actions may begin; a refusal of kind ``"budget"`` if not. Spends nothing.

        Its ``retry_in`` is ``None`` if ``n`` is more than there ever are.
        """
        return self._standing(_whole(n), self._time.at(wall, now))

    def spend(self, wall: float, n: int = 1, *, now: float | None = None) -> bool:
        """Debit ``n`` actions, all or none.

        Args:
            wall: wall-clock seconds since 1970 UTC.
            n: how many; 0 or more.
            now: monotonic seconds of the same moment, so that a wall clock set forward gives nothing back.

        Returns:
            Whether there were enough left.

        Raises:
            ConfigError: if ``n`` is not an integer of 0 or more.
        """
        at = self._time.at(wall, now)
        if self._standing(_whole(n), at) is not None:
            self.refused += 1
            return False
        self._spent.extend([at] * n)
        return True

    def restore(self, times: Iterable[float], wall: float, *, now: float | None = None) -> None:
        """Take over what was spent in an earlier life of the process.

        Args:
            times: wall-clock second of each action, in any order; one in the future is taken as spent just now. If
                they are more than the budget, nothing is left until enough of them are an hour old.
            wall: wall-clock seconds since 1970 UTC.
            now: monotonic seconds of the same moment.
        """
        at = self._time.at(wall, now)
        told = (at - elapsed(moment, wall) for moment in times)
        recent = sorted([*self._spent, *(moment for moment in told if moment + HOUR > at)])
        self._spent = deque(recent[-self.config.per_hour :])  # of more than that, the latest decide

    def snapshot(self, wall: float, *, now: float | None = None) -> ActionBudgetSnapshot:
        """What is left now."""
        at = self._time.at(wall, now)
        left = self._left(at)
        refusal = self._standing(1, at)
        return ActionBudgetSnapshot(
            per_hour=self.config.per_hour,
            spent=self.config.per_hour - left,
            remaining=left,
            retry_in=0.0 if refusal is None else refusal.retry_in or 0.0,
            refused=self.refused,
        )

    def _left(self, at: float) -> int:
        while self._spent and self._spent[0] + HOUR <= at:
            self._spent.popleft()
        return self.config.per_hour - len(self._spent)

    def _standing(self, n: int, at: float) -> Refusal | None:
        missing = n - self._left(at)
        if missing <= 0:
            return None
        most = f"at most {self.config.per_hour} automatic actions may begin in an hour"
        if n > self.config.per_hour:
            return Refusal(kind="budget", reason=f"{most}, never {n}")
        told = f"{most}; {len(self._spent)} did, so {n} more may not"
        return Refusal(kind="budget", reason=told, retry_in=self._spent[missing - 1] + HOUR - at)


def _whole(n: object) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ConfigError("n of ActionBudget", n, "an integer of 0 or more", "1")
    return n
