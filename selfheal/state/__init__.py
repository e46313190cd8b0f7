"""Where records live: small JSON objects by key, in memory or in a file that survives a crash."""

from selfheal.state.sqlite import SQLiteStore
from selfheal.state.store import MemoryStore, Store

__all__ = ["MemoryStore", "SQLiteStore", "Store"]
