"""What the files of the service hold, to be compared before and after."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs

from examples.demo_restore.clients import Receipt
from examples.reference_app.places import Places


@attrs.frozen(kw_only=True)
class Contents:
    """Config, data and state as they are.

    Args:
        config: the settings.
        data: numbers and names of all documents.
        state: all other files, by name.
    """

    config: bytes
    data: frozenset[Receipt]
    state: Mapping[str, bytes]

    def like(self, old: Contents, new: Contents) -> str:
        """Section by section, whether it is as in one or in the other."""
        sides = {"old": self._as_in(old), "new": self._as_in(new)}
        told = []
        for section in ("config", "data", "state"):
            names = [side for side, same in sides.items() if same[section]]
            told.append(f"{section} {' and '.join(names) or 'neither'}")
        return ", ".join(told)

    def _as_in(self, other: Contents) -> dict[str, bool]:
        return {
            "config": self.config == other.config,
            "data": self.data == other.data,
            "state": _goes_on_from(self.state, other.state),
        }


def _goes_on_from(now: Mapping[str, bytes], before: Mapping[str, bytes]) -> bool:
    """Whether it is the same state: a service that was started may have told people something since."""
    return now.keys() == before.keys() and all(now[name].startswith(content) for name, content in before.items())


def documents_in(database: Path) -> frozenset[Receipt]:
    """Number and name of each document in a request log; read from a copy, so that nothing is left beside it."""
    with tempfile.TemporaryDirectory(prefix="selfheal-look-") as scratch:
        for file in database.parent.glob(f"{database.name}*"):
            shutil.copy(file, scratch)
        db = sqlite3.connect(Path(scratch) / database.name)
        try:
            return frozenset((int(id), str(name)) for id, name in db.execute("SELECT id, document FROM requests"))
        finally:
            db.close()


def contents_of(places: Places) -> Contents:
    """What is there now, the service being stopped."""
    return _contents(places.settings, places.requests, places.state)


def contents_of_backup(path: Path) -> Contents:
    """What is in a backup: plain files."""
    data = path / "data"
    return _contents(data / "config" / ".env.local", data / "data" / "requests.sqlite", data / "state")


def _contents(settings: Path, requests: Path, state: Path) -> Contents:
    files = [path for path in state.rglob("*") if path.is_file() and ".sqlite" not in path.name]
    return Contents(
        config=settings.read_bytes(),
        data=documents_in(requests),
        state={str(path.relative_to(state)): path.read_bytes() for path in sorted(files)},
    )
