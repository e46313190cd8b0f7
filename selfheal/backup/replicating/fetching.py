"""A copy brought back into a store: under another name until it is whole, compared and on the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from selfheal.backup.entries import DATA_NAME, MANIFEST_NAME, SUMS_NAME, Manifest
from selfheal.backup.paths import Below, open_root, remove_tree, sync_file_system
from selfheal.backup.progress import Progress
from selfheal.backup.records import BackupRecord
from selfheal.backup.replicating.naming import place_name
from selfheal.backup.replicating.places import Files
from selfheal.backup.restoring.staging import stage
from selfheal.backup.storage import PARTIAL, write_file
from selfheal.backup.store import BackupStore
from selfheal.backup.sums import sums_bytes
from selfheal.backup.writing import manifest_digest
from selfheal.errors import BackupError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096


class Downloads:
    """The files of one section of a copy, each as an open file here when it is asked for.

    Args:
        place: where they are.
        above: the directory of the section there.
        scratch: where they are kept while they are open, without a name.
    """

    def __init__(self, place: Files, above: str, scratch: Path) -> None:
        self._place, self._above, self._scratch = place, above, scratch

    def open(self, path: str) -> int:
        """One of them, from its beginning; blocks of zeros are holes.

        Raises:
            FileNotFoundError: if there is none.
            ReplicationError: if it cannot be read.
        """
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            size = 0
            for chunk in self._place.read(f"{self._above}/{place_name(path)}"):
                for at in range(0, len(chunk), _BLOCK):
                    block = chunk[at : at + _BLOCK]
                    if block.strip(b"\0"):
                        os.pwrite(file.fileno(), block, size + at)
                size += len(chunk)
            os.ftruncate(file.fileno(), size)
            return os.dup(file.fileno())

    def lstat(self, path: str) -> os.stat_result:
        """Not known there."""
        raise FileNotFoundError(path)


def fetched(
    place: Files,
    store: BackupStore,
    manifest: Manifest,
    content: bytes,
    progress: Callable[[Progress], object] | None,
) -> BackupRecord:
    """Bring it back.

    Args:
        place: where the copy is.
        store: where it goes.
        manifest: what is in it.
        content: of the file of the manifest, which is kept as it is.
        progress: told now and then how far it is.

    Raises:
        BackupError: if the copy is damaged, the store cannot be written, or has a backup of this name.
        ReplicationError: if the place cannot be read.
    """
    begun = store.clock.monotonic()
    with store.writing():
        if manifest.id in store.names():
            raise BackupError(str(store.directory), f"there is a backup {manifest.id} already")
        root = open_root(store.directory)
        partial = PARTIAL + manifest.id
        try:
            os.mkdir(partial, 0o700, dir_fd=root)
            with Below(os.open(partial, _DIRECTORY, dir_fd=root)) as tree:
                _fill(tree, place, store.directory, manifest, content, progress)
                sync_file_system(tree.root)
            store.step("rename")
            os.rename(partial, manifest.id, src_dir_fd=root, dst_dir_fd=root)
            os.fsync(root)
        except Exception:
            remove_tree(root, partial)
            raise
        finally:
            os.close(root)
    totals = manifest.files, manifest.size
    digest, duration = manifest_digest(content), store.clock.monotonic() - begun
    return BackupRecord(
        manifest.id, manifest.created, store.directory / manifest.id, *totals, digest=digest, duration=duration
    )


def _fill(
    tree: Below,
    place: Files,
    scratch: Path,
    manifest: Manifest,
    content: bytes,
    progress: Callable[[Progress], object] | None,
) -> None:
    tree.mkdir(DATA_NAME)
    for section in manifest.sections:
        inside = f"{DATA_NAME}/{section.name}"
        tree.mkdir(inside)
        source = Downloads(place, place.path(manifest.id, DATA_NAME, section.name), scratch)
        with Below(os.dup(tree.directory(inside))) as target:
            stage(section, source, target, manifest.algorithm, privileges=True, progress=progress)
    write_file(tree.root, SUMS_NAME, sums_bytes(manifest, manifest_digest(content)))
    write_file(tree.root, MANIFEST_NAME, content)
