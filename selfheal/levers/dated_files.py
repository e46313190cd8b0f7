"""Files of one kind in a directory, named by their time: whole or not there, and no more than are to be kept."""

from __future__ import annotations

import datetime
import re
import threading
from pathlib import Path

from selfheal.durable import Sync, replace_file
from selfheal.forking import track


class DatedFiles:
    """Writes files such as ``snapshot-20300131T220000.000Z-000001-queue-stuck.json``.

    Args:
        directory: where they are; it must exist.
        kind: the first word of their names.
        ending: what their names end with.
        keep: how many are kept; the oldest goes.
        sync: what a loss of power leaves of one; see :func:`~selfheal.durable.replace_file`.
    """

    def __init__(self, directory: Path, kind: str, ending: str, *, keep: int, sync: Sync) -> None:
        self.directory = directory
        self._kind, self._ending, self._keep = kind, ending, keep
        self._sync: Sync = sync
        self._name = re.compile(rf"{kind}-\d{{8}}T\d{{6}}\.\d{{3}}Z-\d{{6}}-[a-z0-9-]*\.{ending}")
        self._lock = threading.Lock()
        self._number = 0
        track(self, DatedFiles._in_child)

    def write(self, wall: float, reason: str, data: bytes) -> Path:
        """Write one, for its owner alone, and remove those that are too many.

        Args:
            wall: its time, wall-clock seconds since 1970 UTC.
            reason: why; in its name, shortened.
            data: all of it.

        Raises:
            OSError: if it cannot be written.
        """
        moment = datetime.datetime.fromtimestamp(wall, datetime.UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"
        slug = re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:40].strip("-")
        with self._lock:
            self._number += 1  # keeps two of one millisecond apart
            path = self.directory / f"{self._kind}-{stamp}-{self._number % 1_000_000:06d}-{slug}.{self._ending}"
            replace_file(path, data, sync=self._sync, draft=f".{self._kind}.new")
            for old in self.all()[: -self._keep]:
                old.unlink(missing_ok=True)
        return path

    def all(self) -> list[Path]:
        """Those there are, oldest first."""
        return sorted(path for path in self.directory.iterdir() if self._is_one(path))

    def _is_one(self, path: Path) -> bool:
        return self._name.fullmatch(path.name) is not None and not path.is_symlink()

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._lock = threading.Lock()
