"""Repeats and floods of notifications held back: a pure machine, no clock, no lock."""

from __future__ import annotations

from collections import OrderedDict, deque

import attrs

from selfheal.validators import between

_MOST_REMEMBERED = 10_000


@attrs.frozen(kw_only=True)
class NotifiersConfig:
    """When notifications are held back.

    Args:
        dedup_for: seconds in which the same notification is delivered once; 0: each is.
        most: notifications delivered at most in ``per`` seconds.
        per: those seconds.

    Raises:
        ConfigError: if a value is out of range.
    """

    dedup_for: float = attrs.field(default=300.0, validator=between(0.0, 604_800.0, "s"))
    most: int = attrs.field(default=20, validator=between(1, 1_000_000))
    per: float = attrs.field(default=60.0, validator=between(0.1, 86_400.0, "s"))


class Gate:
    """Holds back what was told already, and what is too much: a pure machine."""

    def __init__(self, config: NotifiersConfig) -> None:
        self.config = config
        self._told: OrderedDict[str, float] = OrderedDict()
        self._times: deque[float] = deque()
        self.held = 0

    def pass_through(self, fingerprint: str, now: float) -> str:
        """Why a notification is held back at ``now``; empty if it is not."""
        while self._told and (next(iter(self._told.values())) <= now - self.config.dedup_for):
            self._told.popitem(last=False)
        while self._times and self._times[0] <= now - self.config.per:
            self._times.popleft()
        if fingerprint in self._told:
            self.held += 1
            return "repeated"
        if len(self._times) >= self.config.most:
            self.held += 1
            return "too many"
        self._times.append(now)
        if self.config.dedup_for > 0:
            self._told[fingerprint] = now
            if len(self._told) > _MOST_REMEMBERED:
                self._told.popitem(last=False)
        return ""

    def forget(self, fingerprint: str) -> None:
        """It was not delivered after all: the same may be tried again."""
        self._told.pop(fingerprint, None)
