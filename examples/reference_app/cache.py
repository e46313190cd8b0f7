"""Summaries that were bought before, by what was summarised."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

from selfheal.clock import SYSTEM_CLOCK, Clock


class SummaryCache:
    """The newest summaries of the provider.

    The key is a hash of the text, so that the cache holds summaries and not the documents. It has the four methods by
    which a :class:`selfheal.levers.CacheControl` moves it: a cache of your own needs no more.

    Args:
        entries: summaries it holds at most; the least recently used goes first.
        ttl: seconds for which one is given out.
        enabled: whether it is switched on.
        clock: the time they age by.
    """

    def __init__(
        self, entries: int = 1000, ttl: float = 600.0, *, enabled: bool = True, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._entries = entries
        self._ttl = ttl
        self._clock = clock
        self._enabled = enabled
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.hits = 0

    def get(self, text: str, sentences: int) -> str | None:
        """The summary that was kept, if it is switched on and there is one that is not too old."""
        if not self._enabled:
            return None
        key = _key(text, sentences)
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None or self._clock.monotonic() - found[1] >= self._ttl:
                return None
            self._kept[key] = found
            self.hits += 1
            return found[0]

    def keep(self, text: str, sentences: int, summary: str) -> None:
        """Keep a summary, if it is switched on."""
        key = _key(text, sentences)
        with self._lock:
            if self._enabled:
                self._kept[key] = (summary, self._clock.monotonic())
                self._kept.move_to_end(key)
                if len(self._kept) > self._entries:
                    self._kept.popitem(last=False)

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""
        return self._enabled

    def enable(self) -> None:
        """Switch it on."""
        self._enabled = True

    def disable(self) -> None:
        """Switch it off, and forget all."""
        with self._lock:
            self._enabled = False
            self._kept.clear()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()

    def section(self) -> dict[str, Any]:
        """The cache, for the status."""
        return {"enabled": self.enabled, "entries": len(self), "hits": self.hits}

    def __len__(self) -> int:
        return len(self._kept)


def _key(text: str, sentences: int) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}/{sentences}"
