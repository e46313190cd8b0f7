"""What was staged put in the place of what is there, and back, by renames alone; each can be repeated after a crash.

Beside the target lies a work directory with three rooms::

    new/        what was staged, under the names it is to have
    previous/   what was there before
    aside/      what somebody put in the place meanwhile, found by a rollback

Where things are tells how far it went. Only one case needs more: after an exchange, and before the next rename, old and
new are in each other's place under the same names. The inode of what was staged, written down before, tells them apart.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator

import attrs

from selfheal.errors import RestoreStuckError

Step = Callable[[str], object]
"""Called with a name between any two changes on the disk; what tests die at."""

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ROOMS = ("new", "previous", "aside")
_EXCHANGE = 2
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


def no_step(name: str) -> None:
    """Do nothing between steps."""


@attrs.frozen
class Item:
    """A name that is exchanged.

    Args:
        name: in the directory.
        staged: inode of what is to be there, ``None`` where the backup has nothing of this name.
        had: whether there was something before.
    """

    name: str
    staged: int | None
    had: bool


@attrs.frozen
class Room:
    """The open directories between which things move; and how."""

    home: int
    new: int
    previous: int
    aside: int
    exchange: bool = True
    step: Step = no_step

    def sync(self) -> None:
        """Make all renames so far survive a loss of power."""
        for fd in (self.new, self.previous, self.aside, self.home):
            os.fsync(fd)
        self.step("renames synced")


def make_rooms(home: int, work: str, step: Step = no_step) -> None:
    """Make a work directory that nobody else can enter.

    Raises:
        OSError: if it cannot be made, or something of that name is there.
    """
    os.mkdir(work, 0o700, dir_fd=home)
    step("work directory made")
    fd = os.open(work, OPEN_DIRECTORY, dir_fd=home)
    try:
        for name in ROOMS:
            os.mkdir(name, 0o700, dir_fd=fd)
            step("room made")
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened(home: str, work: str, *, exchange: bool = True, step: Step = no_step) -> Iterator[Room]:
    """Open the directory of the target and the rooms of the work directory in it.

    Raises:
        OSError: if one of them is not there, or is a link.
    """
    with contextlib.ExitStack() as stack:

        def enter(name: str, inside: int | None = None) -> int:
            fd = os.open(name, OPEN_DIRECTORY, dir_fd=inside)
            stack.callback(os.close, fd)
            return fd

        at = enter(home)
        below = enter(work, at)
        new, previous, aside = (enter(name, below) for name in ROOMS)
        yield Room(at, new, previous, aside, exchange, step)


def swap(room: Room, item: Item, what: str) -> None:
    """Put in place what was staged, and what was there before into ``previous``. Does nothing where that is done.

    Raises:
        RestoreStuckError: if something is in the way.
        OSError: if a rename fails.
    """
    name, waiting = item.name, inode(room.new, item.name)
    if item.staged is None:
        if inode(room.home, name) is not None and inode(room.previous, name) is None:
            _rename(room, room.home, room.previous, name)
        return
    if waiting == item.staged:
        if inode(room.home, name) is not None:
            if inode(room.previous, name) is not None:
                raise stuck(what, f"{name!r} is in its place and in 'previous'")
            if _exchange(room, room.new, room.home, name):
                _rename(room, room.new, room.previous, name)
                return
            _rename(room, room.home, room.previous, name)
        _rename(room, room.new, room.home, name)
    elif waiting is not None:
        _tidy(room, item, what)


def unswap(room: Room, item: Item, what: str, *, touched: bool = True) -> None:
    """Put back what was there before, and what is there now into ``new`` or ``aside``. Does nothing where that is done.

    Args:
        room: where.
        item: what.
        what: names the section in errors.
        touched: whether anything of the section was exchanged. If not, what is there is what was there.

    Raises:
        RestoreStuckError: if it cannot be told what is what.
        OSError: if a rename fails.
    """
    name = item.name
    waiting, here, kept = inode(room.new, name), inode(room.home, name), inode(room.previous, name)
    if kept is not None and kept == item.staged:
        _rename(room, room.previous, room.new, name)
        return
    if waiting is not None and waiting != item.staged:
        _tidy(room, item, what)
        kept = inode(room.previous, name)
    if kept is not None:
        if here is None:
            _rename(room, room.previous, room.home, name)
        elif here != item.staged:
            _put_aside(room, name)
            _rename(room, room.previous, room.home, name)
        elif _exchange(room, room.previous, room.home, name):
            _rename(room, room.previous, room.new, name)
        else:
            _rename(room, room.home, room.new, name)
            _rename(room, room.previous, room.home, name)
    elif not item.had and here is not None and waiting is None and touched:
        if here == item.staged:
            _rename(room, room.home, room.new, name)
        else:
            _put_aside(room, name)


def put_strangers_aside(room: Room, names: Collection[str], items: Iterable[Item]) -> None:
    """Move away what came into a directory since its entries were exchanged.

    Args:
        room: where.
        names: what is to be left where it is, beside the items.
        items: what was exchanged.
    """
    known = {item.name for item in items} | set(names)
    for name in sorted(os.listdir(room.home)):
        if name not in known:
            _put_aside(room, name)


def untouched(room: Room, items: Iterable[Item]) -> bool:
    """Whether nothing of what was staged has left its room."""
    return all(inode(room.new, item.name) == item.staged for item in items if item.staged is not None)


def inode(fd: int, name: str) -> int | None:
    """The inode of a name, ``None`` where there is none."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None


def stuck(what: str, why: str) -> RestoreStuckError:
    """An error for what should not be so."""
    advice = "Look at the rooms 'new', 'previous' and 'aside' of the work directory, move the right one into its place"
    return RestoreStuckError(what, why, f"{advice}, and call recover() again, or remove the work directory.")


def _tidy(room: Room, item: Item, what: str) -> None:
    """After an exchange: what came out of it goes to where it is kept."""
    if inode(room.home, item.name) != item.staged or inode(room.previous, item.name) is not None:
        raise stuck(what, f"it cannot be told whether {item.name!r} in its place is the old or the restored one")
    _rename(room, room.new, room.previous, item.name)


def _put_aside(room: Room, name: str) -> None:
    free = next(free for free in _names(name) if inode(room.aside, free) is None)
    os.rename(name, free, src_dir_fd=room.home, dst_dir_fd=room.aside)
    room.step("put aside")


def _names(name: str) -> Iterator[str]:
    yield name
    n = 2
    while True:
        yield f"{name[:200]}~{n}"
        n += 1


def _rename(room: Room, from_fd: int, to_fd: int, name: str) -> None:
    """Rename to a name that is free: what is there is never replaced."""
    if inode(to_fd, name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    room.step("before rename")
    os.rename(name, name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    room.step("renamed")


def _exchange(room: Room, one_fd: int, other_fd: int, name: str) -> bool:
    """Exchange two of a name at once; tell whether that can be done here."""
    if not room.exchange:
        return False
    room.step("before exchange")
    done = exchange(one_fd, other_fd, name)
    room.step("exchanged" if done else "no exchange here")
    return done


def exchange(one_fd: int, other_fd: int, name: str) -> bool:
    """Exchange what is called ``name`` in two directories, in one step of the kernel.

    Returns:
        Whether kernel and file system can. If not, nothing was changed.

    Raises:
        OSError: if it failed for another reason.
    """
    call = _renameat2()
    if call is None:
        return False
    raw = os.fsencode(name)
    if call(one_fd, raw, other_fd, raw, _EXCHANGE) == 0:
        return True
    failed = ctypes.get_errno()
    if failed in _CANNOT:
        return False
    raise OSError(failed, os.strerror(failed), name)


@functools.cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """The call of the C library, ``None`` where it has none."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    call.restype = ctypes.c_int
    return lambda *arguments: int(call(*arguments))


def sync_file_system(fd: int) -> None:
    """Have everything on the file system of an open file on the disk, at once rather than file by file.

    Raises:
        OSError: if the disk refuses.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        os.sync()
        return
    if call(ctypes.c_int(fd)) != 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
