"""What the files of the service hold, to be compared before and after."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import attrs

from examples.demo_restore.clients import Receipt
from examples.reference_app.places import Places


@attrs.frozen(kw_only=True)
class Contents:
    """Config, data and state as they are.

    Args:
        config: digest of the settings.
        data: numbers and names of all documents.
        state: digests of all other files, by name.
    """

    config: str
    data: frozenset[Receipt]
    state: tuple[tuple[str, str], ...]

    def like(self, old: Contents, new: Contents) -> str:
        """Section by section, whether it is as in one or in the other."""
        told = []
        for section in ("config", "data", "state"):
            mine = getattr(self, section)
            same = [name for name, other in (("old", old), ("new", new)) if mine == getattr(other, section)]
            told.append(f"{section} {' and '.join(same) or 'neither'}")
        return ", ".join(told)


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
    files = sorted(path for path in state.rglob("*") if path.is_file() and ".sqlite" not in path.name)
    return Contents(
        config=_digest(settings),
        data=documents_in(requests),
        state=tuple((str(path.relative_to(state)), _digest(path)) for path in files),
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
