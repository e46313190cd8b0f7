"""A backup verified: quickly by what the system says of it, deeply by every byte, or by restoring it aside."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from selfheal.backup.comparing import Compared, Comparison
from selfheal.backup.damages import Damage, Kind, Verification, kind_of
from selfheal.backup.entries import (
    DATA_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    Entry,
    Manifest,
    ManifestLimits,
    SectionManifest,
)
from selfheal.backup.parsing import parse_head, read_bounded
from selfheal.backup.paths import ROOT, Below
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.records import VerificationRecord, append_record
from selfheal.backup.reporting import write_report
from selfheal.backup.restoring.drilling import Drilling
from selfheal.backup.rolling import next_part, part_of
from selfheal.backup.sums import sums_bytes
from selfheal.backup.writing import manifest_digest
from selfheal.errors import BackupError, ConfigError, ManifestRefusedError
from selfheal.events import BackupVerified

if TYPE_CHECKING:
    from selfheal.backup.store import BackupStore

logger = logging.getLogger("selfheal.backup")

Drill = Callable[[str, Path], Mapping[str, Path]]
"""Restores a backup, by its id, below an empty directory; gives the place of each section."""

_AS_RESTORED = 0o1777
"""Permission bits that a restored file has as it had them; setuid and setgid are not restored."""


def verify(
    store: BackupStore,
    id: str = "latest",
    kind: str = "deep",
    *,
    share: int = 7,
    drill: Drill | None = None,
    scratch: Path | str | None = None,
    progress: Callable[[Progress], object] | None = None,
    record: bool = True,
    reports: Path | str | None = None,
) -> Verification:
    """Verify a backup. Everything that is not as its manifest says is told, and nothing else; times do not count.

    Args:
        store: where it is.
        id: which; see :meth:`~selfheal.backup.BackupStore.get`.
        kind: ``"quick"``: is everything there, and of the right type, size and permissions; ``"deep"``: every byte too;
            ``"rolling"``: the bytes of one part of ``share``, the one that was not read for longest, so that ``share``
            runs read every byte; ``"restore"``: restored aside, and what came of that is read.
        share: in how many parts a rolling one reads all.
        drill: restores for ``"restore"``; by default all that a real restore does, aside.
        scratch: where; a directory with room for all of it. Emptied afterwards. By default one for temporary files.
        progress: called now and then with how far it is; what it raises ends the verification.
        record: whether it is written down in the store, with a report, and published.
        reports: directory of the report; by default that of the store.

    Raises:
        NotFoundError: if there is no such backup.
        BackupError: if the store cannot be read, or the backup was removed meanwhile.
        ConfigError: if a value is not accepted.
    """
    checked = kind_of(kind)
    if share < 1:
        raise ConfigError("verify.share", share, "1 or more", "7")
    if checked == "restore" and drill is None:
        drill = Drilling(store, progress, clock=store.clock).restore
    run = _Run(store, store.get(id).id, checked, share, progress)
    verification = run.verify(drill, None if scratch is None else Path(scratch))
    if record:
        _record(store, verification, store.directory if reports is None else Path(reports))
    return verification


class _Run:
    """One verification."""

    def __init__(
        self, store: BackupStore, id: str, kind: Kind, share: int, progress: Callable[[Progress], object] | None
    ) -> None:
        self._store, self._id, self._kind = store, id, kind
        self._progress = progress if progress is not None else store.progress
        self._compared = Compared()
        self._share = share if kind == "rolling" else 0
        self._records = store.records
        self._part = next_part(self._records, id, share) if kind == "rolling" else 0

    def verify(self, drill: Drill | None, scratch: Path | None) -> Verification:
        store, clock = self._store, self._store.clock
        begun = clock.monotonic()
        try:
            tree = Below.at(store.directory / self._id)
        except OSError as error:
            raise self._gone(error.strerror or "it cannot be opened") from error
        with tree:
            manifest, digest = self._manifest()
            if manifest is not None:
                self._top(tree, manifest, digest)
                for section in manifest.sections:
                    self._section(tree, section, manifest.algorithm)
                if drill is not None and self._kind == "restore" and not self._compared.damages:
                    self._drill(drill, manifest, scratch)
            self._still_there(tree)
        return Verification(
            self._id,
            self._kind,
            clock.wall(),
            tuple(sorted(self._compared.damages, key=lambda damage: (damage.section, damage.path))),
            self._compared.files,
            self._compared.files_read,
            self._compared.bytes_read,
            clock.monotonic() - begun,
            self._share,
            self._part,
            store.signs,
            digest,
            0 if manifest is None else sum(len(section.entries) for section in manifest.sections),
            str(store.directory),
        )

    def _gone(self, why: str) -> BackupError:
        return BackupError(str(self._store.directory / self._id), f"the backup cannot be verified: {why}")

    def _still_there(self, tree: Below) -> None:
        """A backup that is removed meanwhile is not damaged."""
        try:
            there = os.path.samestat(os.stat(self._store.directory / self._id), os.fstat(tree.root))
        except OSError:
            there = False
        if not there:
            raise self._gone("it was removed meanwhile, or the store went away")

    def _add(self, damage: Damage) -> None:
        self._compared.damages.append(damage)

    # The manifest

    def _manifest(self) -> tuple[Manifest | None, str]:
        try:
            manifest, digest = self._store.read(self._id)
        except FileNotFoundError:
            self._add(Damage("", MANIFEST_NAME, "missing", "the manifest: nothing can be verified without it"))
        except ManifestRefusedError as error:
            told = f"{error.entry!a}: {error.why}" if error.entry else error.why
            self._add(Damage("", MANIFEST_NAME, "manifest_tampered", "a manifest as it was written", told))
        except OSError as error:
            self._add(Damage("", MANIFEST_NAME, "unreadable", "the manifest", error.strerror or str(error)))
        else:
            self._chain(digest)
            return manifest, digest
        return None, ""

    def _chain(self, digest: str) -> None:
        """What the next backup, and earlier verifications, say this manifest was."""
        told = {record.digest: "an earlier verification" for record in self._records if record.id == self._id}
        told |= {claimed: f"the backup {name}" for name, claimed in self._claims()}
        for other, who in told.items():
            if other and other != digest:
                self._add(Damage("", MANIFEST_NAME, "manifest_tampered", f"{other}, as {who} says", digest))

    def _claims(self) -> list[tuple[str, str]]:
        claims = []
        for name in self._store.names():
            path = self._store.directory / name / MANIFEST_NAME
            try:
                head = parse_head(_first_line(path), str(path))
                if head["previous_id"] == self._id and head["previous"] and _whole(path, self._store.limits):
                    claims.append((name, head["previous"]))
            except (OSError, ManifestRefusedError) as error:
                logger.warning("backup %s: its word about the one before it does not count: %s", name, error)
        return claims

    # The files

    def _top(self, tree: Below, manifest: Manifest, digest: str) -> None:
        there = set(tree.names(""))
        for name in sorted(there - {MANIFEST_NAME, SUMS_NAME, DATA_NAME}):
            self._add(Damage("", name, "extra"))
        if manifest.algorithm == "sha256":
            self._sums(tree, sums_bytes(manifest, digest))
        if DATA_NAME in there:
            try:
                for name in sorted(set(tree.names(DATA_NAME)) - {section.name for section in manifest.sections}):
                    self._add(Damage("", f"{DATA_NAME}/{name}", "extra"))
            except OSError as error:
                self._add(Damage("", DATA_NAME, "unreadable", "a directory", error.strerror or str(error)))

    def _sums(self, tree: Below, expected: bytes) -> None:
        try:
            with open(tree.open(SUMS_NAME), "rb") as file:
                same = file.read(len(expected) + 1) == expected
        except FileNotFoundError:
            self._add(Damage("", SUMS_NAME, "missing"))
        except OSError as error:
            self._add(Damage("", SUMS_NAME, "unreadable", "", error.strerror or str(error)))
        else:
            if not same:
                self._add(Damage("", SUMS_NAME, "corrupt", "what the manifest says", "something else"))

    def _reads(self, section: SectionManifest) -> Callable[[Entry], bool] | None:
        if self._kind == "rolling":
            return lambda entry: part_of(section.name, entry.path, self._share) == self._part
        return (lambda entry: True) if self._kind == "deep" else None

    def _section(self, tree: Below, section: SectionManifest, algorithm: str) -> None:
        try:
            fd = os.dup(tree.directory(f"{DATA_NAME}/{section.name}"))
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._add(Damage(section.name, ROOT, "missing", "the directory of the section"))
            else:
                told = error.strerror or str(error)
                self._add(Damage(section.name, ROOT, "unreadable", "the directory of the section", told))
            below = (entry for entry in section.entries if entry.path != ROOT)
            self._compared.damages += [Damage(section.name, entry.path, "missing", entry.type) for entry in below]
            return
        with Below(fd) as below_tree:
            self._compare(below_tree, section, self._reads(section), algorithm)

    def _compare(
        self,
        tree: Below,
        section: SectionManifest,
        reads: Callable[[Entry], bool] | None,
        algorithm: str,
        mode_mask: int = 0o7777,
        extras: bool = True,
    ) -> None:
        read = [entry for entry in section.entries if entry.type == "file" and reads is not None and reads(entry)]
        size = sum(max(entry.size, 0) for entry in read)
        Comparison(
            tree,
            section,
            reads=reads,
            algorithm=algorithm,
            teller=Teller(self._progress, "verifying", section.name, section.files, size),
            compared=self._compared,
            mode_mask=mode_mask,
            extras=extras,
        ).run()

    def _drill(self, drill: Drill, manifest: Manifest, scratch: Path | None) -> None:
        with tempfile.TemporaryDirectory(prefix="selfheal-drill-", dir=scratch) as directory:
            places = drill(self._id, Path(directory))
            for section in manifest.sections:
                place = places.get(section.name)
                if place is None or not os.path.lexists(place):
                    self._add(Damage(section.name, ROOT, "missing", "a restored section", "none"))
                    continue
                single = section.root == "file"
                if single:
                    entries = tuple(attrs.evolve(entry, path=place.name) for entry in section.entries)
                    section = attrs.evolve(section, entries=entries)
                with Below.at(place.parent if single else place) as tree:
                    self._compare(tree, section, lambda entry: True, manifest.algorithm, _AS_RESTORED, not single)


def _first_line(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.readline(65_536)


def _whole(path: Path, limits: ManifestLimits) -> bool:
    """Whether a manifest is the one that the file of checksums beside it means: else its word does not count."""
    digest = manifest_digest(read_bounded(path, limits))
    return _first_line(path.with_name(SUMS_NAME)).startswith(f"{digest}  ".encode("ascii"))


def _record(store: BackupStore, verification: Verification, reports: Path) -> None:
    try:
        append_record(
            store.directory,
            VerificationRecord(
                verification.id,
                verification.kind,
                verification.at,
                verification.ok,
                verification.counts,
                verification.files,
                verification.bytes_read,
                verification.duration,
                verification.share,
                verification.part,
                verification.digest,
            ),
        )
        write_report(verification, reports)
    except OSError as error:  # a store may be mounted for reading only; what was found counts none the less
        logger.error("backups %s: the verification is not written down: %s", store.directory, error)
    level = logging.INFO if verification.ok else logging.ERROR
    logger.log(level, "backup %s verified (%s): %s", verification.id, verification.kind, dict(verification.counts))
    store.events.publish(
        BackupVerified(
            at=verification.at,
            store=str(store.directory),
            id=verification.id,
            kind=verification.kind,
            sound=verification.ok,
            damages=len(verification.damages),
            duration=verification.duration,
        )
    )
