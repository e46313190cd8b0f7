"""What became of the requests since somebody last asked: how many failed, and how long they took."""

from __future__ import annotations

import math
import threading

import attrs


@attrs.frozen(kw_only=True)
class Looked:
    """The requests between two looks.

    Args:
        asked: times that the provider in use was asked, be it the upstream or the workers.
        failed: how many of these gave no summary.
        answered: requests that were answered, from whatever source.
        seconds: that all of those took, added up.
    """

    asked: int = 0
    failed: int = 0
    answered: int = 0
    seconds: float = 0.0

    @property
    def success_rate(self) -> float:
        """Share of the asked that gave a summary, 0 to 1; NaN if nobody was asked."""
        return 1.0 - self.failed / self.asked if self.asked else math.nan

    @property
    def latency_ms(self) -> float:
        """Mean milliseconds to an answer; NaN without one."""
        return self.seconds / self.answered * 1000 if self.answered else math.nan


class Calls:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Looked()

    def asked(self, *, failed: bool) -> None:
        """The provider in use was asked for a summary."""
        with self._lock:
            now = self._now
            self._now = attrs.evolve(now, asked=now.asked + 1, failed=now.failed + failed)

    def answered(self, seconds: float) -> None:
        """A request was answered, after so many seconds."""
        with self._lock:
            now = self._now
            self._now = attrs.evolve(now, answered=now.answered + 1, seconds=now.seconds + seconds)

    def take(self) -> Looked:
        """What was counted since the last call of this."""
        with self._lock:
            found, self._now = self._now, Looked()
        return found
