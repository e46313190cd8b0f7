"""Alerts that wait for a healing: bounded, one for each problem."""

from __future__ import annotations

import attrs

from selfheal.events import Alert, Severity

_URGENCY = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


@attrs.define
class _Waiting:
    alert: Alert
    raised: float
    order: int


class PendingAlerts:
    """A bounded set of alerts by fingerprint. Pure: the caller gives the time and holds the lock.

    Args:
        limit: alerts it holds at most.
        ttl: seconds an alert stays since it was last raised.
    """

    def __init__(self, limit: int, ttl: float) -> None:
        self._limit = limit
        self._ttl = ttl
        self._waiting: dict[str, _Waiting] = {}
        self._order = 0
        self.dropped = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, alert: Alert, now: float) -> bool:
        """Take an alert, or refresh the one of the same fingerprint, which keeps its turn.

        Returns:
            Whether it waits now; ``False`` if the set is full.
        """
        known = self._waiting.get(alert.fingerprint)
        if known is not None:
            known.alert, known.raised = alert, now
            return True
        if len(self._waiting) >= self._limit:
            self.expire(now)
        if len(self._waiting) >= self._limit:
            self.dropped += 1
            return False
        self._order += 1
        self._waiting[alert.fingerprint] = _Waiting(alert, now, self._order)
        return True

    def remove(self, fingerprint: str) -> bool:
        """Forget an alert; tell whether it was there."""
        return self._waiting.pop(fingerprint, None) is not None

    def expire(self, now: float) -> None:
        """Forget the alerts that were not raised again within their time to live."""
        old = [fingerprint for fingerprint, one in self._waiting.items() if now - one.raised > self._ttl]
        for fingerprint in old:
            del self._waiting[fingerprint]
        self.expired += len(old)

    def in_turn(self, now: float) -> list[Alert]:
        """The alerts that wait, critical ones first, then in the order in which they came."""
        self.expire(now)
        turn = sorted(self._waiting.values(), key=lambda one: (_URGENCY[one.alert.severity], one.order))
        return [one.alert for one in turn]

    def holds(self, fingerprint: str) -> bool:
        """Whether an alert of this fingerprint waits."""
        return fingerprint in self._waiting
