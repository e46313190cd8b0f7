"""What clearing and measuring a cache tells."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ClearReport:
    """What was removed.

    Args:
        entries: entries, or files and links of a directory, that were removed.
        bytes: bytes freed, ``None`` where they cannot be told (a cache in memory).
        failed: what could not be removed and why, the first hundred; text ``path: why``.
        failures: how many could not be removed.
    """

    entries: int
    bytes: int | None = None
    failed: tuple[str, ...] = ()
    failures: int = 0


@attrs.frozen(kw_only=True)
class CacheSize:
    """How much a cache holds.

    Args:
        entries: entries, or files and links of a directory.
        bytes: bytes held, ``None`` where they cannot be told.
    """

    entries: int
    bytes: int | None = None
