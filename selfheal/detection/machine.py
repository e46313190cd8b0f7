"""The machine beside its CPU and memory: load, disk, open files and threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

Problems = dict[object, str]
"""What could not be read → the words for it."""

_PROC = Path("/proc")


def read_machine(disk: Path | None, problems: Problems, proc: Path = _PROC) -> Iterator[tuple[str, float | None]]:
    """Metrics and values; what cannot be read is put into ``problems``, what there is not is left out.

    Args:
        disk: whose file system is measured; ``None``: none.
        problems: gets what cannot be read.
        proc: where the kernel tells of itself; another place in tests.
    """
    try:
        yield "load_per_cpu", os.getloadavg()[0] / len(os.sched_getaffinity(0))
    except (OSError, AttributeError) as error:
        problems["load"] = f"the load cannot be read ({type(error).__name__})"
    yield "fds", _told(proc / "sys/fs/file-nr", _open_files, problems)
    yield "threads", _told(proc / "loadavg", _threads, problems)
    if disk is None:
        return
    try:
        there = os.statvfs(disk)
    except OSError as error:
        problems["disk"] = f"the file system of {disk} cannot be read ({error.strerror})"
    else:
        used = there.f_blocks - there.f_bfree
        usable = used + there.f_bavail
        yield "disk_percent", 100.0 * used / usable if usable else None


def _told(file: Path, number: Callable[[str], float], problems: Problems) -> float | None:
    try:
        return number(file.read_text("ascii"))
    except FileNotFoundError:  # another kind of system
        return None
    except (OSError, ValueError, IndexError) as error:
        problems[file] = f"{file} cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
        return None


def _open_files(text: str) -> float:
    """Of ``allocated  unused  most``; the kernel's ``admin-guide/sysctl/fs.rst``."""
    allocated, unused, _ = text.split()
    return float(int(allocated) - int(unused))


def _threads(text: str) -> float:
    """Of ``0.20 0.18 0.12 1/80 11206``: that can run / that there are; ``proc_loadavg(5)``."""
    return float(int(text.split()[3].partition("/")[2]))
