"""Putting a full file aside. Each step leaves a journal that can be read and opened, should it be the last."""

from __future__ import annotations

import logging
import os

from selfheal.durable import sync_directory
from selfheal.journal.places import Places, open_to_append
from selfheal.journal.settings import JournalConfig

logger = logging.getLogger("selfheal.journal")


def rotate(places: Places, fd: int, seq: int, rules: JournalConfig) -> int:
    """Give the file its lasting name, begin a new one, and remove what is too old.

    Args:
        places: where the files are.
        fd: the file, open; it stays so.
        seq: number of the last entry.
        rules: what is kept and flushed.

    Returns:
        The new file, open.

    Raises:
        OSError: if it could not be done. Then all is as before.
    """
    if rules.sync != "never":
        os.fdatasync(fd)
    rotated = places.rotated()
    target = places.named(max([seq, *(number + 1 for number, _ in rotated)]))
    fresh = open_to_append(places.next, anew=True)
    try:
        os.rename(places.path, target)
        os.rename(places.next, places.path)
    except BaseException:
        os.close(fresh)
        if target.exists():
            os.rename(target, places.path)
        raise
    _tidy(places, rules)
    return fresh


def _tidy(places: Places, rules: JournalConfig) -> None:
    """What may fail without harm to the journal, now that the new file is in place."""
    try:
        for _, path in places.rotated()[: -rules.keep]:
            path.unlink(missing_ok=True)
        if rules.sync != "never":
            sync_directory(places.path.parent)
    except OSError as error:
        logger.warning("journal %s: after its rotation: %s", places.path, error)
