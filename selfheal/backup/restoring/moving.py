"""What a restore does to the disk, section by section. Each of these can be cut off anywhere and done again."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from selfheal.backup.entries import UNKNOWN, Entry
from selfheal.backup.paths import ROOT, Below, remove_tree
from selfheal.backup.restoring.exchanging import (
    OPEN_DIRECTORY,
    Item,
    Room,
    Step,
    inode,
    make_rooms,
    no_step,
    opened,
    put_strangers_aside,
    swap,
    sync_file_system,
    unswap,
    untouched,
)
from selfheal.backup.restoring.journalling import Dress, SectionRecord
from selfheal.backup.restoring.planning import SectionPlan
from selfheal.backup.restoring.staging import Staged, Tell, stage

LEFT_ALONE = "lost+found"
"""What belongs to the file system and not to the section, where the target is mounted."""
_SQLITE = b"SQLite format 3\0"
_COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: applied to another database than their own, they destroy it."""


@attrs.frozen
class Mover:
    """Moves the sections of one restore.

    Args:
        run: names the restore.
        exchange: whether exchanges in one step are tried.
        step: called between any two changes.
    """

    run: str
    exchange: bool = True
    step: Step = no_step

    def stage(self, plan: SectionPlan, section: SectionRecord, algorithm: str, progress: Tell | None) -> Staged:
        """Copy a section to beside its target, and have it on the disk.

        Raises:
            BackupError: if the backup is damaged.
            OSError: if it cannot be written.
        """
        for path in section.made:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o755)
            self.step("directory made")
        home = os.open(section.home, OPEN_DIRECTORY)
        try:
            make_rooms(home, section.work(self.run), self.step)
        finally:
            os.close(home)
        with self._room(section) as room, Below.at(plan.data) as source, self._tree(room, plan, section) as tree:
            name = Path(section.target).name if section.is_file else None
            dress = not (section.in_place or section.is_file)
            staged = stage(
                plan.section,
                source,
                tree,
                algorithm,
                name=name,
                dress_root=dress,
                progress=progress,
                step=self.step,
            )
            sync_file_system(room.new)
            self.step("staged and synced")
        return staged

    @contextlib.contextmanager
    def _tree(self, room: Room, plan: SectionPlan, section: SectionRecord) -> Iterator[Below]:
        """The directory in which the section is put together."""
        with contextlib.ExitStack() as stack:
            inside = room.new
            if not (section.is_file or section.in_place):
                name = Path(section.target).name
                os.mkdir(name, 0o700, dir_fd=room.new)
                self.step("staging directory made")
                inside = os.open(name, OPEN_DIRECTORY, dir_fd=room.new)
                stack.callback(os.close, inside)
            yield stack.enter_context(Below(os.dup(inside)))

    def listed(self, section: SectionRecord) -> SectionRecord:
        """The section with what is to be exchanged, as things are now."""
        with self._room(section) as room:
            if section.in_place:
                return attrs.evolve(section, items=self._entries(room, section))
            name = Path(section.target).name
            beside = _companions(room, name) if section.is_file else ()
            main = Item(name, inode(room.new, name), inode(room.home, name) is not None)
            return attrs.evolve(section, items=(*beside, main))

    def _entries(self, room: Room, section: SectionRecord) -> tuple[Item, ...]:
        staged = set(os.listdir(room.new))
        here = set(os.listdir(room.home)) - {section.work(self.run)}
        gone = sorted(here - staged - {LEFT_ALONE})
        return (
            *(Item(name, None, True) for name in gone),
            *(Item(name, inode(room.new, name), name in here) for name in sorted(staged)),
        )

    def swap(self, section: SectionRecord) -> None:
        """Put a section in place, as far as that is not done.

        Raises:
            RestoreStuckError: if something is in the way.
            OSError: if a rename fails.
        """
        with self._room(section) as room:
            for item in section.items:
                swap(room, item, f"section {section.name!r} ({section.target})")
            if section.root_after is not None:
                _dress(room.home, section.root_after)
            room.sync()

    def unswap(self, section: SectionRecord) -> None:
        """Put back what was in the place of a section, as far as that is not done.

        Raises:
            RestoreStuckError: if it cannot be told what is what.
            OSError: if a rename fails.
        """
        with self._room(section) as room:
            touched = not untouched(room, section.items)
            if section.in_place and touched:
                put_strangers_aside(room, (section.work(self.run), LEFT_ALONE), section.items)
            for item in section.items:  # what has no staged one comes first: with the last one back, nothing is touched
                unswap(room, item, f"section {section.name!r} ({section.target})", touched=touched)
            if section.root is not None:
                _dress(room.home, section.root)
            room.sync()

    def clean(self, section: SectionRecord, *, undone: bool) -> None:
        """Remove what lies beside a section; where it was undone, also the directories made for it.

        Raises:
            OSError: if something cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            home = os.open(section.home, OPEN_DIRECTORY)
            try:
                seen = os.fstat(home)
                self.step("before removal")
                remove_tree(home, section.work(self.run))
                self.step("removed")
                if section.in_place:
                    with contextlib.suppress(PermissionError):  # of a mount point that belongs to somebody else
                        os.utime(home, ns=(seen.st_atime_ns, seen.st_mtime_ns))
                os.fsync(home)
            finally:
                os.close(home)
        for path in reversed(section.made) if undone else ():
            with contextlib.suppress(OSError):  # somebody uses it meanwhile, or it was never made
                os.rmdir(path)
            self.step("directory removed")

    def previous(self, section: SectionRecord) -> Path:
        """Where lies what was there before: as a tree, or for a file and in place as the entries of a directory."""
        kept = Path(section.home, section.work(self.run), "previous")
        return kept if section.in_place or section.is_file else kept / Path(section.target).name

    def work(self, section: SectionRecord) -> Path:
        """The work directory."""
        return Path(section.home, section.work(self.run))

    def _room(self, section: SectionRecord) -> contextlib.AbstractContextManager[Room]:
        return opened(section.home, section.work(self.run), exchange=self.exchange, step=self.step)


def record_of(plan: SectionPlan) -> SectionRecord:
    """What is written down of a section before anything is done."""
    root = next((entry for entry in plan.section.entries if entry.path == ROOT), None)
    return SectionRecord(
        name=plan.name,
        target=str(plan.target),
        home=str(plan.home),
        in_place=plan.in_place,
        is_file=plan.section.root == "file",
        root=_before(plan.target) if plan.in_place else None,
        root_after=_after(root) if plan.in_place and root is not None else None,
        made=tuple(map(str, plan.make)),
        files=plan.section.files,
        bytes=plan.section.size,
        source=plan.section.source,
    )


def _before(target: Path) -> Dress:
    """As it is before a work directory is made in it, which changes its time."""
    seen = target.stat()
    return stat.S_IMODE(seen.st_mode), seen.st_mtime_ns, seen.st_uid, seen.st_gid


def _after(root: Entry) -> Dress:
    mode = root.mode if root.mode == UNKNOWN else stat.S_IMODE(root.mode) & ~(stat.S_ISUID | stat.S_ISGID)
    return mode, root.mtime_ns, root.uid, root.gid


def _dress(fd: int, dress: Dress) -> None:
    mode, mtime_ns, uid, gid = dress
    with contextlib.suppress(PermissionError):  # of a mount point that belongs to somebody else
        if (uid, gid) not in ((UNKNOWN, UNKNOWN), (os.geteuid(), os.getegid())):
            os.chown(fd, uid, gid)
        if mode != UNKNOWN:
            os.chmod(fd, mode)
        if mtime_ns != UNKNOWN:
            os.utime(fd, ns=(mtime_ns, mtime_ns))


def _companions(room: Room, name: str) -> tuple[Item, ...]:
    """What must not stay beside a database that is replaced: also what is not there yet, should it come to be."""
    if not any(_is_database(fd, name) for fd in (room.new, room.home)):
        return ()
    return tuple(Item(name + end, None, inode(room.home, name + end) is not None) for end in _COMPANIONS)


def _is_database(fd: int, name: str) -> bool:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(file).st_mode) and os.pread(file, len(_SQLITE), 0) == _SQLITE
    finally:
        os.close(file)
