"""The API keys the gateway may use, read live: edit ``.env.local`` and the next call sees it.

A key is a secret. It leaves this module only in an ``Authorization`` header; everything people see
is a count.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import attrs
from dotenv import dotenv_values

logger = logging.getLogger("reference_app.keys")

VARIABLE = "SUMMARY_API_KEYS"


class NoActiveKeysError(Exception):
    """There is no key left to call the provider with.

    Attributes:
        total: keys configured.
        failed: of these, keys the provider has refused.
    """

    def __init__(self, total: int, failed: int) -> None:
        super().__init__(total, failed)
        self.total = total
        self.failed = failed

    def __str__(self) -> str:
        return f"no active api keys: {self.total} configured, {self.failed} refused; put a valid one in {VARIABLE}"


@attrs.frozen
class ApiKey:
    """One key. Its text is in no ``repr``, so that it gets into no log by accident."""

    secret: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class KeyCounts:
    """How many keys there are: ``total = active + failed``."""

    total: int
    active: int
    failed: int


class KeyPool:
    """The keys in :data:`VARIABLE`, separated by commas: from the environment, then ``.env.local``, then ``.env``.

    Args:
        directory: where the two files are looked for.
        environ: the environment; read live.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._directory = directory
        self._environ = environ
        self._lock = threading.Lock()
        self._refused: frozenset[ApiKey] = frozenset()
        self._turn = itertools.count()

    def all(self) -> tuple[ApiKey, ...]:
        """Every key configured at this moment, each once, in order."""
        names = (name.strip() for name in self._configured().split(","))
        return tuple(dict.fromkeys(ApiKey(name) for name in names if name))

    def active(self) -> tuple[ApiKey, ...]:
        """The keys that were not refused, beginning with another one each time, so that they share the load."""
        refused = self._refused
        usable = [key for key in self.all() if key not in refused]
        first = next(self._turn) % len(usable) if usable else 0
        return tuple(usable[first:] + usable[:first])

    def need_active(self) -> tuple[ApiKey, ...]:
        """:meth:`active`, which must not be empty.

        Raises:
            NoActiveKeysError: if there is none.
        """
        usable = self.active()
        if not usable:
            counts = self.counts()
            raise NoActiveKeysError(counts.total, counts.failed)
        return usable

    def refused(self) -> tuple[ApiKey, ...]:
        """The configured keys that the provider has refused."""
        refused = self._refused
        return tuple(key for key in self.all() if key in refused)

    def mark(self, key: ApiKey, accepted: bool) -> None:
        """Note what the provider said about ``key``. Keys that are configured no more are forgotten."""
        known = frozenset(self.all())
        with self._lock:
            self._refused = (self._refused - {key} if accepted else self._refused | {key}) & known

    def counts(self) -> KeyCounts:
        """The numbers of this moment."""
        keys = self.all()
        refused = self._refused
        failed = sum(1 for key in keys if key in refused)
        return KeyCounts(total=len(keys), active=len(keys) - failed, failed=failed)

    def _configured(self) -> str:
        if VARIABLE in self._environ:
            return self._environ[VARIABLE]
        for name in (".env.local", ".env"):
            try:
                found = dotenv_values(self._directory / name, interpolate=False)
            except (OSError, UnicodeDecodeError) as error:
                logger.error("%s cannot be read, so there are no keys: %s", name, error)
                return ""
            if VARIABLE in found:
                return found[VARIABLE] or ""
        return ""
