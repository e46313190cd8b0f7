"""Summaries that were bought before, by what was summarised."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict


class SummaryCache:
    """The newest summaries of the provider. Switched off at the start.

    The key is a hash of the text, so that the cache holds summaries and not the documents. It has the four methods by
    which a :class:`selfheal.levers.CacheControl` moves it: a cache of your own needs no more.

    Args:
        entries: summaries it holds at most; the least recently used goes first.
        enabled: whether it is switched on.
    """

    def __init__(self, entries: int = 1000, *, enabled: bool = False) -> None:
        self._entries = entries
        self._enabled = enabled
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, str] = OrderedDict()
        self.hits = 0

    def get(self, text: str, sentences: int) -> str | None:
        """The summary that was kept, if it is switched on and there is one."""
        if not self._enabled:
            return None
        key = _key(text, sentences)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                self.hits += 1
            return found

    def keep(self, text: str, sentences: int, summary: str) -> None:
        """Keep a summary, if it is switched on."""
        key = _key(text, sentences)
        with self._lock:
            if self._enabled:
                self._kept[key] = summary
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

    def __len__(self) -> int:
        return len(self._kept)


def _key(text: str, sentences: int) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}/{sentences}"
