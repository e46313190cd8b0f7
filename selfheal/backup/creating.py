"""A backup being made: under another name until it is whole and on the disk."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from selfheal.backup.entries import DATA_NAME, MANIFEST_NAME, SUMS_NAME, Manifest, ManifestLimits, SectionManifest
from selfheal.backup.naming import id_at, order_of
from selfheal.backup.paths import Below, open_root, remove_tree, sync_file_system
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.records import BackupRecord, read_records
from selfheal.backup.scanning import Scan, scan_directory, scan_file
from selfheal.backup.section_copy import SectionCopy
from selfheal.backup.sections import Section
from selfheal.backup.storage import PARTIAL, write_file
from selfheal.backup.sums import sums_bytes
from selfheal.backup.writing import manifest_bytes, manifest_digest
from selfheal.clock import Clock
from selfheal.errors import BackupError, SectionRefusedError, SelfhealError
from selfheal.events import BackupCreated, BackupFailed, EventBus
from selfheal.plain import NotPlainError, plain

logger = logging.getLogger("selfheal.backup")

_SPARE = 16 * 1024 * 1024
"""Bytes that stay free on the disk, for the manifest and for whoever else writes there."""


class Store(Protocol):
    """What making a backup needs of a :class:`~selfheal.backup.BackupStore`."""

    directory: Path
    sections: tuple[Section, ...]
    limits: ManifestLimits
    clock: Clock
    progress: Callable[[Progress], object] | None
    events: EventBus
    step: Callable[[str], object]

    def names(self) -> list[str]:
        """The ids there are, oldest first."""

    def writing(self) -> contextlib.AbstractContextManager[tuple[str, ...]]:
        """Be the one who writes."""


class Creation:
    """One backup on its way.

    Args:
        store: where to.
        key: to sign with.
    """

    def __init__(self, store: Store, key: bytes | None) -> None:
        self._store = store
        self._key = key
        self._step = store.step
        self._problems: list[str] = []
        self._next_group = 1

    def run(self) -> BackupRecord:
        """Make it; see :meth:`~selfheal.backup.BackupStore.create`."""
        store = self._store
        try:
            with store.writing():
                record = self._make()
        except SelfhealError as error:
            self._tell_failed(error)
            raise
        logger.info("backup %s: %d files, %d bytes in %.1f s", record.path, record.files, record.size, record.duration)
        store.events.publish(
            BackupCreated(
                at=store.clock.wall(),
                store=str(store.directory),
                id=record.id,
                files=record.files,
                size=record.size,
                duration=record.duration,
                skipped=record.skipped,
                unstable=record.unstable,
            )
        )
        return record

    def _tell_failed(self, error: SelfhealError) -> None:
        logger.error("no backup was made: %s", error)
        store = self._store
        store.events.publish(BackupFailed(at=store.clock.wall(), store=str(store.directory), error=str(error)))

    def _make(self) -> BackupRecord:
        store = self._store
        begun, created = store.clock.monotonic(), float(store.clock.wall())
        names = store.names()
        name = self._new_name(created, names)
        root = open_root(store.directory)
        partial = PARTIAL + name
        try:
            self._step("partial directory")
            os.mkdir(partial, 0o700, dir_fd=root)
            manifest, digest = self._fill(root, partial, name, created, names[-1] if names else None)
            self._step("rename")
            self._put_in_place(root, partial, name)
            self._step("renamed")
        except Exception:
            self._remove(root, partial)
            raise
        finally:
            os.close(root)
        return BackupRecord(
            name,
            created,
            store.directory / name,
            manifest.files,
            manifest.size,
            sum(len(section.skipped) for section in manifest.sections),
            sum(len(section.unstable) for section in manifest.sections),
            digest,
            store.clock.monotonic() - begun,
            tuple(self._problems),
        )

    def _new_name(self, created: float, names: list[str]) -> str:
        """A name after all of the same second, those among them that were verified and are removed."""
        second = order_of(id_at(created))
        taken = [order_of(name) for name in (*names, *(record.id for record in read_records(self._store.directory)))]
        same = [order[1] for order in taken if order is not None and second is not None and order[0] == second[0]]
        return id_at(created, max(same, default=0) + 1)

    def _put_in_place(self, root: int, partial: str, name: str) -> None:
        try:
            os.stat(name, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(partial, name, src_dir_fd=root, dst_dir_fd=root)
            os.fsync(root)
            return
        raise BackupError(str(self._store.directory), f"{name} came to be there meanwhile")

    def _remove(self, root: int, partial: str) -> None:
        try:
            remove_tree(root, partial)
        except OSError as error:
            logger.error("backups %s: %s stays until the next one: %s", self._store.directory, partial, error)

    def _fill(
        self, root: int, partial: str, name: str, created: float, previous_id: str | None
    ) -> tuple[Manifest, str]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with Below(os.open(partial, flags, dir_fd=root)) as tree:
            tree.mkdir(DATA_NAME)
            sections = []
            for section in self._store.sections:
                sections.append(self._section(tree, section))
                self._step("section copied")
            previous = self._previous(root, previous_id)
            manifest = Manifest(
                name,
                created,
                tuple(sections),
                previous=previous,
                previous_id=None if previous is None else previous_id,
            )
            content = manifest_bytes(manifest, self._key)
            digest = manifest_digest(content)
            self._step("sums")
            write_file(tree.root, SUMS_NAME, sums_bytes(manifest, digest))
            self._step("manifest")
            write_file(tree.root, MANIFEST_NAME, content)
            self._step("sync")
            sync_file_system(tree.root)
        return manifest, digest

    def _previous(self, root: int, previous_id: str | None) -> str | None:
        if previous_id is None:
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            with open(os.open(f"{previous_id}/{MANIFEST_NAME}", flags, dir_fd=root), "rb") as file:
                return manifest_digest(file.read(self._store.limits.max_bytes))
        except OSError as error:
            self._problem(f"the backup before this one, {previous_id}, has no readable manifest: {error.strerror}")
            return None

    def _problem(self, text: str) -> None:
        self._problems.append(text)
        logger.warning("backups %s: %s", self._store.directory, text)

    # Sections

    def _section(self, tree: Below, section: Section) -> SectionManifest:
        try:
            if section.before is not None:
                self._called(section, "before", section.before)
            return self._copied(tree, section)
        finally:
            if section.after is not None:
                try:
                    section.after()
                except Exception as error:  # what was copied is no worse for it; a host that stays paused is told of
                    self._problem(f"section {section.name!r}: its hook 'after' raised {type(error).__name__}: {error}")

    def _called(self, section: Section, hook: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            told = f"its hook {hook!r} raised {type(error).__name__}: {error}"
            raise SectionRefusedError(section.name, told) from error

    def _copied(self, tree: Below, section: Section) -> SectionManifest:
        with self._scanned(section) as (source, scan, root):
            self._refuse_too_large(tree, section, scan)
            inside = f"{DATA_NAME}/{section.name}"
            tree.mkdir(inside)
            with Below(os.dup(tree.directory(inside))) as target:
                teller = Teller(self._store.progress, "copying", section.name, scan.files, scan.size)
                copy = SectionCopy(
                    source,
                    target,
                    scan,
                    step=self._step,
                    teller=teller,
                    first_group=self._next_group,
                )
                entries = copy.run()
        self._next_group = copy.next_group
        self._judge(section, copy)
        return SectionManifest(
            section.name,
            str(section.path),
            entries,
            tuple(copy.skipped),
            tuple(copy.unstable),
            self._probed(section),
            root,
        )

    def _probed(self, section: Section) -> dict[str, Any] | None:
        if section.probe is None:
            return None
        try:
            told = plain(self._called(section, "probe", section.probe), "probe")
        except NotPlainError as error:
            raise SectionRefusedError(section.name, f"its probe gives what is no plain data: {error}") from error
        if not isinstance(told, dict):
            raise SectionRefusedError(section.name, "its probe gives something else than a mapping")
        return told

    def _judge(self, section: Section, copy: SectionCopy) -> None:
        for problem in copy.problems:
            self._problem(f"section {section.name!r}: {problem}")
        if copy.unstable and section.unstable == "fail":
            told = "files changed each time they were read: pause who writes them in the hook 'before', or exclude them"
            raise SectionRefusedError(section.name, told, copy.unstable[:100])
        for path in copy.unstable:
            logger.warning("section %s: %s changed each time it was read", section.name, ascii(path))
        for skipped in copy.skipped:
            logger.warning("section %s: %s is not in the backup: %s", section.name, ascii(skipped.path), skipped.why)

    @contextlib.contextmanager
    def _scanned(self, section: Section) -> Iterator[tuple[Below, Scan, Any]]:
        try:
            path = section.path.resolve(strict=True)
            is_file = stat.S_ISREG(path.stat().st_mode)
            source = Below.at(path.parent if is_file else path)
        except (OSError, RuntimeError) as error:
            raise SectionRefusedError(section.name, f"its path cannot be read: {error}") from error
        with source:
            try:
                if is_file:
                    scan = scan_file(source, path.name, section)
                else:
                    scan = scan_directory(source, section, self._store.limits, self._store.directory.stat())
            except OSError as error:
                raise SectionRefusedError(section.name, f"its path cannot be read: {error}") from error
            yield source, scan, "file" if is_file else "dir"

    def _refuse_too_large(self, tree: Below, section: Section, scan: Scan) -> None:
        disk = os.fstatvfs(tree.root)
        free = disk.f_bavail * disk.f_frsize
        if scan.room + _SPARE > free:
            told = f"section {section.name!r} takes {scan.room:,} bytes, and {free:,} are free on the disk"
            raise BackupError(str(self._store.directory), told)
