"""Copies of backups in another place: sent file by file, read back, listed, verified, fetched, thinned out."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from selfheal.backup.damages import Damage, Verification
from selfheal.backup.entries import (
    DATA_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    Manifest,
    ManifestLimits,
)
from selfheal.backup.naming import order_of, time_of
from selfheal.backup.parsing import parse_head, parse_manifest
from selfheal.backup.paths import Below
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.pruning import Pruned
from selfheal.backup.records import BackupRecord
from selfheal.backup.replicating.fetching import fetched
from selfheal.backup.replicating.files import Sending, contents, inside, look, sums_there
from selfheal.backup.replicating.places import Files
from selfheal.backup.retention import Kept, Retention, RetentionPlan
from selfheal.backup.store import BackupStore
from selfheal.backup.writing import manifest_digest
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ManifestRefusedError, NotFoundError, ReplicationError

logger = logging.getLogger("selfheal.backup")


def _nothing(step: str) -> None:
    """No fault here."""


Compared = tuple[list[Damage], int, int]
"""What was found, how many files were looked at, and how many bytes of them read."""


@attrs.frozen
class Sent:
    """What came of sending a backup.

    Args:
        id: of the backup.
        place: where it is now.
        files: that were written.
        kept: that were there already, and were read and found right.
        bytes: that were written.
        duration: seconds it took.
    """

    id: str
    place: str
    files: int
    kept: int
    bytes: int
    duration: float


class Replica:
    """A place for copies of backups; :func:`selfheal.integrations.remote_files.replica_at` makes one of an address.

    A copy is written file by file; each is read back and its digest compared with the manifest. The manifest comes
    last: what has none is no copy, and is completed when it is sent again, without what is right being written twice.
    Names that a place may not take are written with ``%``; modes and links are in the manifest, and are there again
    when it is fetched, with holes where there are zeros.

    Args:
        connect: gives the files there; called when they are first needed, and again when they do not answer.
        name: what people know it by.
        key: what manifests must be signed with; without one a signature is not looked at.
        limits: what is accepted in a manifest.
        progress: called now and then with how far it is; what it raises ends the work.
        clock: the time.
        step: for tests: called with a name before each change at the place.
    """

    def __init__(
        self,
        connect: Callable[[], Files],
        name: str,
        *,
        key: bytes | None = None,
        limits: ManifestLimits | None = None,
        progress: Callable[[Progress], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        step: Callable[[str], object] = _nothing,
    ) -> None:
        self.name = name
        self.progress = progress
        self._connect = connect
        self._key, self._limits = key, limits or ManifestLimits()
        self._clock, self._step = clock, step
        self._kept: tuple[int, Files] | None = None

    def __repr__(self) -> str:
        return f"Replica({self.name!r})"

    def names(self) -> list[str]:
        """The ids of complete copies, oldest first. Raises as :meth:`list`."""
        return [one.id for one in self.list()]

    def list(self) -> tuple[BackupRecord, ...]:
        """All copies that are complete, oldest first, by the first line of their manifests.

        Raises:
            ReplicationError: if the place cannot be read.
            MissingExtraError: if fsspec is not installed.
        """
        place = self._place()
        there = sorted((order, name) for name in place.directories() if (order := order_of(name)) is not None)
        records = (self._listed(place, name) for _, name in there)
        return tuple(record for record in records if record is not None)

    def last_copied(self) -> float | None:
        """When the newest backup was made of which there is a complete copy, wall seconds. Raises as :meth:`list`."""
        there = self.list()
        return there[-1].created if there else None

    def send(self, store: BackupStore, id: str) -> Sent:
        """Copy a backup there, and read it back.

        Raises:
            NotFoundError: if there is no such backup.
            ManifestRefusedError: if its manifest is not believed.
            ReplicationError: if it cannot be written there, is damaged here, or what arrived is not what was sent.
            MissingExtraError: if fsspec is not installed.
        """
        begun, place = self._clock.monotonic(), self._place()
        manifest = store.manifest(id)
        content = (store.path(id) / MANIFEST_NAME).read_bytes()
        there = place.files(id)
        if MANIFEST_NAME in there and b"".join(place.read(place.path(id, MANIFEST_NAME))) != content:
            self._step("manifest removed")
            place.remove(place.path(id, MANIFEST_NAME))  # another backup of this name: not whole until this one is
        sending = Sending(place, self.name, id, there, self._step)
        for section in manifest.sections:
            teller = Teller(self.progress, "sending", section.name, section.files, section.size)
            with Below.at(store.path(id) / DATA_NAME / section.name) as tree:
                for entry in contents(section):
                    sending.file(tree, section, entry, teller)
            teller.end()
        sending.text(SUMS_NAME, sums_there(manifest, content))
        sending.text(MANIFEST_NAME, content)
        self._step("sent")
        duration = self._clock.monotonic() - begun
        logger.info("backup %s is at %s: %d files in %.1f s", id, self.name, sending.written, duration)
        return Sent(id, self.name, sending.written, sending.kept, sending.bytes, duration)

    def verify(self, id: str) -> Verification:
        """Read every byte of a copy and compare it with its manifest.

        Raises:
            NotFoundError: if there is no complete copy of this name.
            ReplicationError: if the place cannot be read.
            MissingExtraError: if fsspec is not installed.
        """
        begun, place = self._clock.monotonic(), self._place()
        self._need(place, id)
        content = b"".join(place.read(place.path(id, MANIFEST_NAME)))
        digest = manifest_digest(content)
        try:
            manifest = self._parsed(content, id)
        except ManifestRefusedError as error:
            damages, files, size = [Damage("", MANIFEST_NAME, "manifest_tampered", "", error.why)], 0, 0
        else:
            damages, files, size = self._compared(place, manifest, content)
        return Verification(
            id,
            "deep",
            self._clock.wall(),
            tuple(damages),
            files=files,
            files_read=files,
            bytes_read=size,
            duration=self._clock.monotonic() - begun,
            signed=self._key is not None,
            digest=digest,
            store=self.name,
        )

    def fetch(self, id: str, store: BackupStore) -> BackupRecord:
        """Bring a copy back into a store, as it was: every byte compared with the manifest on the way.

        Raises:
            NotFoundError: if there is no complete copy of this name.
            ManifestRefusedError: if its manifest is not believed.
            ReplicationError: if the place cannot be read.
            BackupError: if the copy is damaged, the store cannot be written, or has a backup of this name.
            MissingExtraError: if fsspec is not installed.
        """
        place = self._place()
        self._need(place, id)
        content = b"".join(itertools.islice(place.read(place.path(id, MANIFEST_NAME)), self._limits.max_bytes))
        return fetched(place, store, self._parsed(content, id), content, self.progress)

    def plan_pruning(self, retention: Retention | None = None) -> RetentionPlan:
        """What :meth:`prune` would remove; nothing is. Raises as :meth:`list`.

        A complete copy whose manifest can be read counts as proven. What is not complete goes when it would not be kept
        if it were, so that nothing stays of what was cut off while it was removed.
        """
        retention = retention or Retention()
        there = self.list()
        kept = [Kept(id=one.id, created=one.created, verified=not one.damage) for one in there]
        plan = retention.plan(kept)
        halves = set(self._place().directories()) - {one.id for one in there}
        gone = {*plan.remove, *(half for half in halves if _is_useless(half, retention, kept))}
        return attrs.evolve(plan, remove=tuple(sorted(gone, key=lambda id: order_of(id) or ("", 0))))

    def prune(self, retention: Retention | None = None) -> Pruned:
        """Remove the copies that a retention does not keep, oldest first. Never the newest, nor the last proven.

        Args:
            retention: how many are kept; by default 7 days, 4 weeks, 6 months.

        Raises:
            ReplicationError: if the place cannot be read.
            MissingExtraError: if fsspec is not installed.
        """
        plan, place = self.plan_pruning(retention), self._place()
        removed, problems = [], {}
        for id in plan.remove:
            try:
                self._remove(place, id)
            except ReplicationError as error:
                problems[id] = str(error)
                logger.error("backup %s could not be removed at %s: %s", id, self.name, error)
            else:
                removed.append(id)
        return Pruned(plan, tuple(removed), problems)

    def _remove(self, place: Files, id: str) -> None:
        self._step("manifest removed")
        place.remove(place.path(id, MANIFEST_NAME))  # first: from now on it is no copy any more
        for path in place.files(id):
            self._step("file removed")
            place.remove(place.path(id, path))
        place.remove_directory(place.path(id))

    def _place(self) -> Files:
        """The place, by the connection there is, if it answers and is of this process."""
        kept, self._kept = self._kept, None
        if kept is not None and kept[0] == os.getpid():
            place = kept[1]
            with contextlib.suppress(ReplicationError):
                place.directories()
                self._kept = kept
                return place
        place = self._connect()
        self._kept = (os.getpid(), place)
        return place

    def _need(self, place: Files, id: str) -> None:
        if order_of(id) is None or MANIFEST_NAME not in place.files(id):
            raise NotFoundError(f"complete copy at {self.name} of backup", id, self.names())

    def _parsed(self, content: bytes, id: str) -> Manifest:
        where = f"{self.name}/{id}/{MANIFEST_NAME}"
        manifest = parse_manifest(content, where, self._key, limits=self._limits)
        if manifest.id != id:
            raise ManifestRefusedError(where, f"it is that of the backup {manifest.id}")
        return manifest

    def _listed(self, place: Files, name: str) -> BackupRecord | None:
        path = place.path(name, MANIFEST_NAME)
        created = time_of(name) or 0.0
        try:
            line = b"".join(b"".join(place.read(path)).partition(b"\n")[:2])
        except FileNotFoundError:
            return None
        try:
            head = parse_head(line, path)
        except ManifestRefusedError as error:
            return BackupRecord(name, created, Path(place.path(name)), damage=str(error))
        totals = head["totals"]
        where = Path(place.path(name))
        return BackupRecord(
            name, head["created"], where, totals["files"], totals["size"], totals["skipped"], totals["unstable"]
        )

    def _compared(self, place: Files, manifest: Manifest, content: bytes) -> Compared:
        there = place.files(manifest.id)
        damages: list[Damage] = []
        files = size = 0
        expected = {MANIFEST_NAME, SUMS_NAME}
        for section in manifest.sections:
            teller = Teller(self.progress, "verifying", section.name, section.files, section.size)
            for entry in contents(section):
                path = inside(section, entry)
                expected.add(path)
                damage, read = look(place, manifest, section, entry, there.get(path))
                damages += damage
                files, size = files + 1, size + read
                teller.add_bytes(read)
                teller.add_file()
            teller.end()
        sums = b"".join(place.read(place.path(manifest.id, SUMS_NAME))) if SUMS_NAME in there else None
        if sums is None:
            damages.append(Damage("", SUMS_NAME, "missing"))
        elif sums != sums_there(manifest, content):
            damages.append(Damage("", SUMS_NAME, "corrupt"))
        damages += [Damage("", path, "extra") for path in sorted(there.keys() - expected)]
        return damages, files, size


def _is_useless(half: str, retention: Retention, kept: Sequence[Kept]) -> bool:
    """Whether what is not complete would not be kept if it were."""
    created = time_of(half)
    return created is not None and half in retention.plan([*kept, Kept(id=half, created=created)]).remove
