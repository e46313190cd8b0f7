"""Processes told apart for good: by id *and* start time, signalled so that no innocent one can be hit.

A process id is used again once its process is gone. So a process found by its id is pinned with a pidfd, then
compared, and only then signalled through that pidfd.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator

from selfheal.processes import NO_ROOM, Stat, read_proc, stat

TOKEN = "SELFHEAL_WORKER"  # noqa: S105 - the name of a variable, not a secret
"""The variable that says whose a process is: it is in the environment of a worker and of all it starts."""
CHECK = "SELFHEAL_CHECK"
"""The variable that marks the process of a health check."""


def everybody() -> Iterator[int]:
    """The ids of all processes there are."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def environment(pid: int) -> dict[str, str]:
    """The environment a process began with; empty where it may not be read."""
    data = read_proc(f"/proc/{pid}/environ")
    pairs = (entry.partition(b"=") for entry in data.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def bearers(prefix: str, *, checks: bool = False) -> dict[str, list[Stat]]:
    """All live processes whose token begins with ``prefix``, by token; only those that see the same files.

    Args:
        prefix: the whole token, or what the tokens of one supervisor have in common.
        checks: look for the processes of health checks instead of the workers' own.
    """
    needle, found = f"{TOKEN}={prefix}".encode(), dict[str, list[Stat]]()
    for pid in everybody():
        if pid == os.getpid() or needle not in read_proc(f"/proc/{pid}/environ"):
            continue
        about, variables = stat(pid), environment(pid)
        token = variables.get(TOKEN, "")
        if about is None or about.dead or not token.startswith(prefix) or (CHECK in variables) != checks:
            continue
        if _same_files(pid):
            found.setdefault(token, []).append(about)
    return found


def _same_files(pid: int) -> bool:
    """Whether a process lives in our mount namespace: another container may use the same directory name."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return False


def family(session: int, since: int, token: str) -> list[Stat]:
    """Live processes that a worker started: those of its session, and those that carry its token elsewhere.

    Args:
        session: that of the worker: its process id.
        since: when it started: nothing older belongs to it, which spares most of the looking.
        token: what it has in its environment.
    """
    found, needle = [], f"{TOKEN}={token}".encode()
    for pid in everybody():
        about = stat(pid)
        if about is None or about.dead or about.started < since or pid == session:
            continue
        carries = needle in read_proc(f"/proc/{pid}/environ") and environment(pid).get(TOKEN) == token
        if about.session == session or (carries and _same_files(pid)):
            found.append(about)
    return found


def pin(pid: int, started: int) -> int | None:
    """Open a pidfd of exactly that process; ``None`` if it is gone.

    Raises:
        OSError: if there is no descriptor or memory left to do so: it may well be there.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        return None
    try:
        about = stat(pid)
    except OSError:
        os.close(fd)
        raise
    if about is None or about.started != started:
        os.close(fd)
        return None
    return fd


def send(victims: Iterable[Stat], number: int) -> int:
    """Signal each of these very processes; return how many were there to be signalled."""
    hit = 0
    for victim in victims:
        fd = pin(victim.pid, victim.started)
        if fd is None:
            continue
        try:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(fd, number)
                hit += 1
        finally:
            os.close(fd)
    return hit


def look(pid: int) -> os.waitid_result | None:
    """How a child ended, without reaping it: its id stays taken. ``None`` if it is not ours, or runs."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def reap(pid: int) -> None:
    """Let a dead child go. Nothing happens if it is not ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def reap_group(group: int, leader: int) -> int:
    """Reap dead children of a group, those that came to us as orphans; its leader is left. Return how many."""
    count = 0
    while True:
        try:
            dead = os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return count
        if dead is None or dead.si_pid == leader:
            return count
        reap(dead.si_pid)
        count += 1


def become_subreaper() -> bool:
    """Have orphans below this process become its children; tell whether the kernel agreed."""
    import ctypes

    set_child_subreaper = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
    return bool(ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0) == 0)
