"""The files of one copy: sent, read back, compared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from selfheal.backup.damages import Damage, DamageKind
from selfheal.backup.entries import DATA_NAME, Entry, Manifest, SectionManifest
from selfheal.backup.hashing import CHUNK
from selfheal.backup.paths import Below
from selfheal.backup.progress import Teller
from selfheal.backup.replicating.naming import place_name
from selfheal.backup.replicating.places import Files
from selfheal.backup.sums import sums_bytes
from selfheal.backup.writing import manifest_digest
from selfheal.errors import ReplicationError


class Sending:
    """The files of one backup on their way.

    Args:
        place: where to.
        name: what people know it by.
        id: of the backup.
        there: the files of it that are there already, with their sizes.
        step: called with a name before each change.
    """

    def __init__(
        self, place: Files, name: str, id: str, there: Mapping[str, int], step: Callable[[str], object]
    ) -> None:
        self._place, self._name, self._id, self._there, self._step = place, name, id, there, step
        self.written = self.kept = self.bytes = 0

    def file(self, tree: Below, section: SectionManifest, entry: Entry, teller: Teller) -> None:
        """Send one, unless it is there and right."""
        name = inside(section, entry)
        path = self._place.path(self._id, name)
        if self._there.get(name) == entry.size and self._digest(path) == entry.digest:
            self.kept += 1
            teller.add_bytes(entry.size)
            teller.add_file()
            return
        self._step("file")
        digest = hashlib.sha256()
        self._place.write(path, _hashed(_local(tree, entry.path), digest), teller.add_bytes)
        if digest.hexdigest() != entry.digest:
            raise ReplicationError(self._name, f"{entry.path!a} is damaged in the store here: it was not sent whole")
        if self._digest(path) != entry.digest:
            raise ReplicationError(self._name, f"what arrived of {entry.path!a} is not what was sent")
        self.written += 1
        self.bytes += entry.size
        teller.add_file()

    def text(self, name: str, content: bytes) -> None:
        """Send something small, and read it back."""
        path = self._place.path(self._id, name)
        self._step(name)
        self._place.write(path, iter([content]))
        if b"".join(self._place.read(path)) != content:
            raise ReplicationError(self._name, f"what arrived of {name} is not what was sent")

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._place.read(path):
            digest.update(chunk)
        return digest.hexdigest()


def contents(section: SectionManifest) -> Iterator[Entry]:
    """The files of a section whose content there is: of those that are one file, the first."""
    groups: set[int] = set()
    for entry in section.entries:
        if entry.type != "file" or entry.group in groups:
            continue
        if entry.group is not None:
            groups.add(entry.group)
        yield entry


def look(
    place: Files, manifest: Manifest, section: SectionManifest, entry: Entry, size: int | None
) -> tuple[list[Damage], int]:
    """What is wrong with one file there, and how many bytes of it were read; ``size`` is what the place says."""
    if size is None:
        return [Damage(section.name, entry.path, "missing")], 0
    if size != entry.size:
        kind: DamageKind = "truncated" if size < entry.size else "grown"
        return [Damage(section.name, entry.path, kind, f"{entry.size} bytes", f"{size} bytes")], 0
    digest = hashlib.new(manifest.algorithm)
    try:
        for chunk in place.read(place.path(manifest.id, inside(section, entry))):
            digest.update(chunk)
    except FileNotFoundError:
        return [Damage(section.name, entry.path, "missing")], 0
    found = digest.hexdigest()
    return ([] if found == entry.digest else [Damage(section.name, entry.path, "corrupt")]), size


def inside(section: SectionManifest, entry: Entry) -> str:
    """Where a file is in a copy."""
    return f"{DATA_NAME}/{section.name}/{place_name(entry.path)}"


def sums_there(manifest: Manifest, content: bytes) -> bytes:
    """The file of sums, by the names there: each content once."""
    named = attrs.evolve(
        manifest,
        sections=tuple(
            attrs.evolve(one, entries=tuple(attrs.evolve(e, path=place_name(e.path)) for e in contents(one)))
            for one in manifest.sections
        ),
    )
    return sums_bytes(named, manifest_digest(content))


def _local(tree: Below, path: str) -> Iterator[bytes]:
    fd = tree.open(path)
    try:
        while chunk := os.read(fd, CHUNK):
            yield chunk
    finally:
        os.close(fd)


def _hashed(chunks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
