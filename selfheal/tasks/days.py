"""A set of days that stays small. Pure."""

from __future__ import annotations

from bisect import bisect_right


class Days:
    """Days by ordinal number, kept as ranges: a task that ran each day for ten years holds one of them."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, day: int) -> bool:
        at = bisect_right(self._firsts, day) - 1
        return at >= 0 and day <= self._lasts[at]

    def add(self, day: int) -> None:
        """Take ``day`` in."""
        if day in self:
            return
        at = bisect_right(self._firsts, day)
        self._firsts.insert(at, day)
        self._lasts.insert(at, day)
        for left in (at, at - 1):  # grown together with the range after it, and then with the one before
            if 0 <= left < len(self._firsts) - 1 and self._lasts[left] + 1 == self._firsts[left + 1]:
                self._lasts[left] = self._lasts.pop(left + 1)
                del self._firsts[left + 1]

    def free_from(self, day: int) -> int:
        """The first day from ``day`` on that is not in the set."""
        at = bisect_right(self._firsts, day) - 1
        return self._lasts[at] + 1 if at >= 0 and day <= self._lasts[at] else day

    def free_until(self, day: int) -> int:
        """The last day up to ``day`` that is not in the set."""
        at = bisect_right(self._firsts, day) - 1
        return self._firsts[at] - 1 if at >= 0 and day <= self._lasts[at] else day

    def count(self, first: int, last: int) -> int:
        """How many days from ``first`` to ``last``, both included, are in the set."""
        ranges = zip(self._firsts, self._lasts, strict=True)
        return sum(max(min(last, end) - max(first, begin) + 1, 0) for begin, end in ranges)
