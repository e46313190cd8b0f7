"""What the cgroups of a process say about its CPU and memory: limits, use and pressure, version 1 and 2.

Paths come from ``/proc/self/cgroup`` and ``/proc/self/mountinfo``, so that a container without a cgroup namespace
is read as well as a systemd unit. Every cgroup from the process's own up to the mount point counts: the limit of an
ancestor binds all below it, siblings included.

Source: the kernel's ``admin-guide/cgroup-v2.rst``, ``cgroup-v1/memory.rst``, ``scheduler/sched-bwc.rst`` and
``accounting/psi.rst``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

UNLIMITED = 2**60
"""Version 1 has no word for "no limit": it is the largest page-aligned number, or so. Larger than this is none."""

_DEPTH = 64
"""Levels of cgroups that are looked at, at most."""

_MAX_BYTES = 65_536


@attrs.frozen
class MemoryLevel:
    """Memory of one cgroup that has a limit.

    Args:
        where: its directory.
        used: bytes that cannot be taken back without cost: current minus inactive file cache.
        limit: bytes.
    """

    where: str
    used: int
    limit: int


@attrs.frozen
class CpuLevel:
    """CPU time of one cgroup that has a quota.

    Args:
        where: its directory.
        seconds: of CPU used since it was made.
        cores: CPUs' worth of time it may use.
    """

    where: str
    seconds: float
    cores: float


@attrs.frozen
class _Mount:
    point: Path
    root: str
    controllers: frozenset[str]  # empty: version 2


class Cgroups:
    """Reads the cgroups of this process.

    Args:
        root: directory that stands for ``/``; another one in tests.

    Attributes:
        problems: what could not be read or made sense of since :meth:`begin`; a file that is not there is none.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.problems: list[str] = []
        self._paths: dict[str, str] = {}
        self._mounts: list[_Mount] = []

    def begin(self) -> None:
        """Find out anew where the process is: it may have been moved."""
        self.problems = []
        self._paths = dict(self._own_paths())
        self._mounts = list(self._find_mounts())

    def memory(self) -> list[MemoryLevel]:
        """The process's cgroup and its ancestors, as far as they limit memory."""
        mount, paths = self._levels("memory")
        if mount is None:
            return []
        old = bool(mount.controllers)
        current, top = ("memory.usage_in_bytes", "memory.limit_in_bytes") if old else ("memory.current", "memory.max")
        found = []
        used: int | None = None
        for path in paths:
            here = self._number(path / current)
            used = used if here is None else max(int(here) - self._inactive(path, old), 0)
            limit = self._number(path / top)
            if limit is None or limit >= UNLIMITED:
                continue
            if used is None or limit < 1:
                self._note(path, "has a memory limit that cannot be compared with what is used")
            else:
                found.append(MemoryLevel(str(path), used, int(limit)))
        return found

    def cpu(self) -> list[CpuLevel]:
        """The process's cgroup and its ancestors, as far as they limit CPU time."""
        mount, paths = self._levels("cpu")
        if mount is None:
            return []
        found = []
        seconds: float | None = None
        for path in paths:
            here = self._cpu_seconds(mount, path)
            seconds = seconds if here is None else here
            cores = self._quota_v1(path) if mount.controllers else self._quota_v2(path)
            if cores is None:
                continue
            if seconds is None:
                self._note(path, "has a CPU quota, but what is used cannot be read")
            else:
                found.append(CpuLevel(str(path), seconds, cores))
        return found

    def pressure(self, resource: str) -> float | None:
        """Percent of the last 10 s in which some work waited for ``resource`` (``cpu`` or ``memory``)."""
        two = next((mount for mount in self._mounts if not mount.controllers), None)
        places = [self._root / "proc/pressure" / resource]
        if two is not None and "" in self._paths:
            places.insert(0, _below(two, self._paths[""]) / f"{resource}.pressure")
        for place in places:
            text = self._text(place, quiet=True)  # kernels without PSI refuse to read it
            if text is not None and (found := re.search(r"^some avg10=(\d+(?:\.\d+)?)", text, re.M)):
                return min(float(found[1]), 100.0)
        return None

    def _levels(self, controller: str) -> tuple[_Mount | None, list[Path]]:
        """The mount of a controller, and the directories from the process's own up to the mount point."""
        version_1 = controller in self._paths
        path = self._paths.get(controller if version_1 else "")
        mount = next(
            (m for m in self._mounts if (controller in m.controllers if version_1 else not m.controllers)), None
        )
        if path is None or mount is None:
            return None, []
        own = _below(mount, path)
        above = [own, *own.parents]
        return mount, above[: above.index(mount.point) + 1][-_DEPTH:]

    def _own_paths(self) -> Iterator[tuple[str, str]]:
        """Controller to path; the empty name stands for version 2."""
        for line in (self._text(self._root / "proc/self/cgroup") or "").splitlines():
            _, first, rest = line.partition(":")
            controllers, second, path = rest.partition(":")
            if not first or not second or not path.startswith("/"):
                self._note(self._root / "proc/self/cgroup", f"has a line that is not understood: {line[:100]!r}")
                continue
            for controller in controllers.split(","):
                yield controller, path

    def _find_mounts(self) -> Iterator[_Mount]:
        text = self._text(self._root / "proc/self/mountinfo")
        if text is None:
            yield from self._usual_mounts()
            return
        for line in text.splitlines():
            left, _, right = line.partition(" - ")
            fields, kind = left.split(" "), right.split(" ")
            if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
                continue
            options = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset()
            yield _Mount(self._root / _unescaped(fields[4]).lstrip("/"), _unescaped(fields[3]), options)

    def _usual_mounts(self) -> Iterator[_Mount]:
        """Where they are by convention, for when the kernel's list of mounts cannot be had."""
        base = self._root / "sys/fs/cgroup"
        for controller in sorted(filter(None, self._paths)):
            yield _Mount(base / controller, "/", frozenset({controller}))
        yield _Mount(base / "unified" if (base / "unified").is_dir() else base, "/", frozenset())

    def _inactive(self, path: Path, version_1: bool) -> int:
        """Bytes of file cache that the kernel takes back first."""
        stat = self._table(path / "memory.stat")
        inactive = stat.get("total_inactive_file") if version_1 else None
        return int(stat.get("inactive_file", 0.0) if inactive is None else inactive)

    def _cpu_seconds(self, mount: _Mount, path: Path) -> float | None:
        if not mount.controllers:
            used = self._table(path / "cpu.stat").get("usage_usec")
            return None if used is None else used / 1e6
        nanoseconds = self._number(path / "cpuacct.usage")
        if nanoseconds is None:  # accounted in a hierarchy of its own
            other, paths = self._levels("cpuacct")
            same = other.point / path.relative_to(mount.point) if other else None
            for place in [same, *paths[:1]]:
                if place is not None and nanoseconds is None:
                    nanoseconds = self._number(place / "cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def _quota_v2(self, path: Path) -> float | None:
        text = self._text(path / "cpu.max")
        if text is None:
            return None
        quota, _, period = text.strip().partition(" ")
        if quota == "max":
            return None
        return self._cores(path / "cpu.max", quota, period or "100000")

    def _quota_v1(self, path: Path) -> float | None:
        quota, period = self._text(path / "cpu.cfs_quota_us"), self._text(path / "cpu.cfs_period_us")
        if quota is None or quota.strip() == "-1":
            return None
        return self._cores(path / "cpu.cfs_quota_us", quota.strip(), (period or "100000").strip())

    def _cores(self, file: Path, quota: str, period: str) -> float | None:
        if quota.isdecimal() and period.isdecimal() and len(quota + period) < 40 and int(quota) and int(period):
            return int(quota) / int(period)
        self._note(file, f"holds {f'{quota} {period}'[:100]!r}, which is no quota")
        return None

    def _number(self, file: Path) -> float | None:
        """The number in a file; ``None`` where there is no file, no number, or the word ``max``."""
        text = self._text(file)
        if text is None or text.strip() == "max":
            return None
        if text.strip().isdecimal() and len(text) < 40:
            return float(int(text))
        self._note(file, f"holds {text[:100]!r}, which is no number")
        return None

    def _table(self, file: Path) -> dict[str, float]:
        """The ``name number`` lines of a file."""
        rows = [line.split() for line in (self._text(file) or "").splitlines()]
        return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal() and len(row[1]) < 40}

    def _text(self, file: Path, quiet: bool = False) -> str | None:
        try:
            with file.open("rb") as opened:
                return opened.read(_MAX_BYTES).decode("ascii")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            if not quiet:
                self._note(file, f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})")
            return None

    def _note(self, file: Path, what: str) -> None:
        self.problems.append(f"{file} {what}")


def _below(mount: _Mount, path: str) -> Path:
    """The directory of a cgroup path as seen through a mount; the mount point where it is not to be seen."""
    root = mount.root.rstrip("/")
    relative = path.removeprefix(root).strip("/") if path == root or path.startswith(root + "/") else ""
    if not relative or ".." in relative.split("/"):
        return mount.point
    own = mount.point / relative
    return own if own.is_dir() else mount.point


def _unescaped(text: str) -> str:
    """A path of mountinfo, where blanks and the like are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
