"""A worker really killed by the kernel because its cgroup ran out of memory. Needs root and a memory controller."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from selfheal.events import WorkerExited
from selfheal.supervision.exits import ExitKind
from tests.integration.supervising import LIMIT, Rig, py, rig, sh, until

CGROUPS = Path("/sys/fs/cgroup")
ROOM = 48 * 1024 * 1024
GREEDY = "held = []\nwhile True: held.append(bytearray(b'x' * 1048576))"


@attrs.frozen
class Place:
    """Where a memory cgroup can be made: below ``parent``, with its limit in ``limit`` and its kills in ``events``."""

    parent: Path
    limit: str
    swap: str
    events: str


def places() -> Place | None:
    """Version 1 or 2, whichever has the memory controller here."""
    if (CGROUPS / "memory" / "memory.limit_in_bytes").exists():
        return Place(CGROUPS / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control")
    handed_on = CGROUPS / "cgroup.subtree_control"
    if handed_on.exists() and "memory" in handed_on.read_text().split():
        return Place(CGROUPS, "memory.max", "memory.swap.max", "memory.events")
    return None


class Group:
    """A memory cgroup with little room."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path = place.parent / f"selfheal-test-{os.getpid()}-{time.monotonic_ns()}"
        self.path.mkdir()

    def bound(self) -> None:
        """Give it its limit, for memory and swap together."""
        (self.path / self.place.limit).write_text(str(ROOM))
        swap = self.path / self.place.swap
        if swap.exists():  # where the kernel counts swap
            swap.write_text(str(ROOM) if "memsw" in swap.name else "0")

    def kills(self) -> int:
        """How many the kernel has killed in it."""
        lines = (self.path / self.place.events).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def inside(self, command: list[str]) -> list[str]:
        """The command, begun in this cgroup."""
        return [*sh(f'echo $$ > {self.path / "cgroup.procs"} && exec "$@"'), "sh", *command]

    def remove(self) -> None:
        """Kill whoever is left in it, and take it away."""
        ended = time.monotonic() + LIMIT
        while self.path.exists() and time.monotonic() < ended:
            for pid in (self.path / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(int(pid), signal.SIGKILL)
            try:
                self.path.rmdir()
            except OSError:  # busy until the last one is reaped
                time.sleep(0.02)
        assert not self.path.exists()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rig]:
    yield from rig(tmp_path)


@pytest.fixture
def group(run: Rig) -> Iterator[Group]:
    place = places()
    if place is None:
        pytest.skip("needs leave to use a memory controller of cgroups, version 1 or 2, below /sys/fs/cgroup")
    try:
        made = Group(place)
    except OSError as error:
        pytest.skip(f"needs leave to make a memory cgroup, as root has it: {error}")
    try:
        made.bound()
        yield made
    finally:
        for supervisor in run.made:
            supervisor.shutdown(30.0)
        made.remove()


def test_a_worker_whose_memory_ran_out_is_told_apart(run: Rig, group: Group) -> None:
    """It takes more than its cgroup has: the kernel kills it, each time it is started again, until it has failed."""
    limits = {"intensity": 2, "period": 600.0}
    supervisor = run.started(w=run.worker(group.inside(py(GREEDY)), restart=limits))

    until(lambda: supervisor.status("w").state == "FAILED")

    ends = run.of(WorkerExited)
    assert [end.kind for end in ends] == [ExitKind.OUT_OF_MEMORY] * 3
    assert group.kills() == 3
    shown = supervisor.status("w")
    assert (shown.last_exit, shown.last_exit_kind) == ("killed because memory ran out", "out-of-memory")


def test_a_worker_killed_by_somebody_in_such_a_cgroup_is_not(run: Rig, group: Group) -> None:
    """The same signal, with memory left."""
    supervisor = run.started(w=run.worker(group.inside(py("import time; time.sleep(600)"))))
    until(lambda: supervisor.status("w").state == "RUNNING")
    pid = supervisor.status("w").pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    until(lambda: run.of(WorkerExited))
    assert run.of(WorkerExited)[0].kind == ExitKind.KILLED
    assert group.kills() == 0
