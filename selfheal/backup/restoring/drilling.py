"""A restore tried aside: everything that a real one does, to somewhere that nobody uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from selfheal.backup.progress import Progress
from selfheal.backup.restoring.planning import Backups
from selfheal.backup.restoring.restorer import Restorer
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.events import EventBus


class Drilling:
    """Restores a backup aside, for :func:`~selfheal.backup.verify` by ``kind="restore"``. Nobody is told of it.

    Args:
        store: where it is.
        progress: told how far it is; what it raises ends the restore.
        clock: the time.
    """

    def __init__(
        self, store: Backups, progress: Callable[[Progress], object] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._store, self._progress, self._clock = store, progress, clock

    def restore(self, id: str, scratch: Path) -> Mapping[str, Path]:
        """Restore all sections below a directory; give the place of each.

        Raises:
            RestoreError: if they could not be.
            OSError: if the directory cannot be written.
        """
        record, below = scratch / "record", scratch / "restored"
        record.mkdir()
        below.mkdir()
        restorer = Restorer(
            self._store,
            record,
            keep_previous=False,
            compare_hashes=False,
            progress=self._progress,
            clock=self._clock,
            events=EventBus(),
        )
        places = {section.name: below / section.name for section in self._store.manifest(id).sections}
        restorer.restore(restorer.plan(id, targets=places))
        return places
