"""Trees of files that look like ``/proc`` and ``/sys/fs/cgroup`` of some machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

V2_MOUNT = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
GIB = 2**30
NONE_V1 = "9223372036854771712\n"


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write the files below ``root``."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def version_2(root: Path, own: str = "/pod/app", **levels: Mapping[str, str]) -> Path:
    """A version 2 tree; ``levels`` maps ``pod_app`` for ``/pod/app`` to its files."""
    write(root, {"proc/self/cgroup": f"0::{own}\n", "proc/self/mountinfo": V2_MOUNT})
    (root / "sys/fs/cgroup" / own.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name, files in levels.items():
        place = "sys/fs/cgroup/" + name.replace("_", "/")
        write(root, {f"{place}/{file}": text for file, text in files.items()})
    return root


@attrs.define
class FakeMachine:
    """A machine of two CPUs and 8 GiB whose counters a test sets."""

    busy: float = 100.0
    total: float = 1000.0
    cpus: float = 2.0
    used: int = 2 * GIB
    size: int = 8 * GIB
    broken: bool = False

    def cpu_times(self) -> tuple[float, float, float]:
        if self.broken:
            raise PermissionError("no /proc")
        return self.busy, self.total, self.cpus

    def memory(self) -> tuple[int, int]:
        if self.broken:
            raise PermissionError("no /proc")
        return self.used, self.size
