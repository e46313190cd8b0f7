"""Where the app keeps what: one directory, in it a part for each section of a backup, and beside them what is in none.

::

    .env.local         config: keys and switches
    data/              data: the request log
    state/             state: the dormancy record, notifications, snapshots
    journal.jsonl      journal: what was healed
    backups/           the store; best elsewhere, see ``--backups``
    restores/          the record of a restore under way, and the report of the last
    provider/ indexer/ belong to these processes, which make it anew
"""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen
class Places:
    """The paths below a state directory.

    Args:
        root: the state directory.
    """

    root: Path

    @property
    def settings(self) -> Path:
        """Keys and switches."""
        return self.root / ".env.local"

    @property
    def data(self) -> Path:
        """The directory of the request log."""
        return self.root / "data"

    @property
    def requests(self) -> Path:
        """The request log."""
        return self.data / "requests.sqlite"

    @property
    def state(self) -> Path:
        """The directory of what must outlive a restart beside the data."""
        return self.root / "state"

    @property
    def dormancy(self) -> Path:
        """The dormancy record."""
        return self.state / "state.sqlite"

    @property
    def journal(self) -> Path:
        """What was healed, as it is being written."""
        return self.root / "journal.jsonl"

    @property
    def backups(self) -> Path:
        """The store, where nothing else was said."""
        return self.root / "backups"

    @property
    def restores(self) -> Path:
        """The record of a restore under way, and the report of the last."""
        return self.root / "restores"

    def make(self) -> None:
        """Make the directories that are not there, for their owner alone.

        Raises:
            OSError: if one cannot be made.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (self.data, self.state, self.restores):
            part.mkdir(mode=0o700, exist_ok=True)
