"""The latest answers of a healer: attempts one by one, repeated refusals counted together."""

from __future__ import annotations

from collections import deque

import attrs

from selfheal.healing.records import HealingRecord, Outcome


class History:
    """Bounded, and refusals cannot push attempts out. Pure: the caller holds the lock.

    Args:
        limit: attempts remembered, and refusals remembered apart from them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._order = 0
        self._attempts: deque[tuple[int, HealingRecord]] = deque(maxlen=limit)
        self._refusals: dict[int, HealingRecord] = {}
        self._standing: dict[str, int] = {}

    def add(self, record: HealingRecord) -> tuple[HealingRecord, bool]:
        """Remember a record.

        Returns:
            The record as remembered, and whether it is news: a refusal that repeats the latest answer to
            the same alert only raises that one's ``count``.
        """
        fingerprint = record.alert.fingerprint
        place = self._standing.get(fingerprint)
        if record.outcome is not Outcome.REFUSED:
            self._standing.pop(fingerprint, None)
            self._order += 1
            self._attempts.append((self._order, record))
            return record, True
        if place is not None and _same(self._refusals[place], record):
            before = self._refusals[place]
            record = attrs.evolve(record, started=before.started, count=before.count + 1, last=record.started)
            self._refusals[place] = record
            return record, False
        self._order += 1
        self._refusals[self._order] = record
        self._standing[fingerprint] = self._order
        if len(self._refusals) > self._limit:
            self._forget_oldest()
        return record, True

    def records(self) -> tuple[HealingRecord, ...]:
        """What is remembered, oldest first."""
        return tuple(record for _, record in sorted([*self._attempts, *self._refusals.items()], key=lambda at: at[0]))

    def _forget_oldest(self) -> None:
        place = next(iter(self._refusals))
        fingerprint = self._refusals.pop(place).alert.fingerprint
        if self._standing.get(fingerprint) == place:
            del self._standing[fingerprint]


def _same(one: HealingRecord, other: HealingRecord) -> bool:
    return (one.guard, one.strategy) == (other.guard, other.strategy)
