"""What the kernel says of processes, and what tells one run of a process, or of the machine, from the next."""

from __future__ import annotations

import errno
import os

import attrs

_CHUNK = 65_536
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of one who asks and has no descriptor or memory left. They say nothing of whom is asked about."""


@attrs.frozen
class Stat:
    """What the kernel says of a process; ``proc_pid_stat(5)``.

    Args:
        pid: its id, which is used again once it is gone.
        state: one letter; ``Z``, ``X`` and ``x`` are dead.
        parent: id of its parent.
        group: its process group.
        session: its session.
        cpu: clock ticks that it was on a processor, in its own code and in the kernel.
        started: clock ticks after the start of the machine; with ``pid`` and :func:`boot_id` it tells it apart.
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    cpu: int
    started: int

    @property
    def dead(self) -> bool:
        """Ended, though perhaps not reaped."""
        return self.state in "ZXx"


def stat(pid: int) -> Stat | None:
    """Look at a process; ``None`` if there is none of that id, or it may not be looked at.

    Raises:
        OSError: if there is no descriptor or memory left to look with.
    """
    fields = read_proc(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # the name before it may hold anything
    if len(fields) < 20:
        return None
    parent, group, session = map(int, fields[1:4])
    return Stat(pid, fields[0].decode(), parent, group, session, int(fields[11]) + int(fields[12]), int(fields[19]))


def read_proc(path: str) -> bytes:
    """All that a file of the kernel says; nothing where it cannot be read. Quick: a supervisor reads those of all.

    Raises:
        OSError: if there is no descriptor or memory left to read with.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        return b""
    data = b""
    try:
        while got := os.read(fd, _CHUNK):
            data += got
    except OSError:  # it ended meanwhile
        return b""
    finally:
        os.close(fd)
    return data


def boot_id() -> str:
    """Tells one run of the machine from the next, in which all ids begin anew; empty on a system that does not."""
    return read_proc("/proc/sys/kernel/random/boot_id").decode("ascii").strip()


def is_over(pidfd: int, within: float = 0.0) -> bool:
    """Whether the process of a pidfd has ended, reaped or not.

    Args:
        pidfd: of the process.
        within: real seconds to wait for that.
    """
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within * 1000))
