"""Ends of processes told apart, and how often memory ran out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfheal.supervision.exits import Exit, ExitKind, MemoryKills, classify, signal_name


def ended(code: int, *, signalled: bool = False) -> os.waitid_result:
    """What ``waitid`` says of an end."""
    return os.waitid_result((1, 0, 17, code, os.CLD_KILLED if signalled else os.CLD_EXITED))


@pytest.mark.parametrize(
    ("status", "options", "kind", "told"),
    [
        (ended(0), {}, ExitKind.CLEAN, "exit code 0"),
        (ended(1), {}, ExitKind.CRASH, "exit code 1"),
        (ended(0), {"success": (3,)}, ExitKind.CRASH, "exit code 0"),
        (ended(3), {"success": (0, 3)}, ExitKind.CLEAN, "exit code 3"),
        (ended(78), {"no_restart": (78,)}, ExitKind.NO_RESTART, "exit code 78"),
        (ended(0), {"no_restart": (0,)}, ExitKind.NO_RESTART, "exit code 0"),
        (ended(11, signalled=True), {}, ExitKind.KILLED, "killed by SIGSEGV"),
        (ended(9, signalled=True), {}, ExitKind.KILLED, "killed by SIGKILL"),
        (ended(9, signalled=True), {"memory_ran_out": True}, ExitKind.OUT_OF_MEMORY, "killed because memory ran out"),
        (ended(11, signalled=True), {"memory_ran_out": True}, ExitKind.KILLED, "killed by SIGSEGV"),
        (ended(9), {"memory_ran_out": True}, ExitKind.CRASH, "exit code 9"),
        (ended(9, signalled=True), {"memory_ran_out": True, "ended": True}, ExitKind.ENDED, "killed by SIGKILL"),
        (ended(78), {"no_restart": (78,), "ended": True}, ExitKind.ENDED, "exit code 78"),
        (None, {}, ExitKind.UNKNOWN, "ended, its exit code is not known"),
        (None, {"ended": True}, ExitKind.ENDED, "ended, its exit code is not known"),
        (os.waitid_result((1, 0, 17, 6, os.CLD_DUMPED)), {}, ExitKind.KILLED, "killed by SIGABRT"),
    ],
)
def test_each_end_has_its_kind(
    status: os.waitid_result | None, options: dict[str, object], kind: ExitKind, told: str
) -> None:
    """Code or signal, who ended it, and want of memory decide the kind."""
    exit = classify(status, **options)  # type: ignore[arg-type]

    assert (exit.kind, str(exit)) == (kind, told)


def test_an_end_may_be_told_in_words_alone() -> None:
    """What never was a process, or ended unseen, is told by its detail."""
    assert str(Exit(kind=ExitKind.NOT_STARTED, detail="no such file")) == "could not be started: no such file"
    assert str(Exit(kind=ExitKind.UNKNOWN, detail="unseen")) == "unseen"
    assert signal_name(15) == "SIGTERM"
    assert signal_name(64) in {"SIGRTMAX", "signal 64"}


def machine(folder: Path, processes: dict[int, str], groups: dict[str, int], kills: int) -> tuple[Path, Path]:
    """Files as a kernel shows them: the cgroup of each process, and kills by cgroup and in all."""
    proc, cgroups = folder / "proc", folder / "cgroup"
    proc.mkdir(exist_ok=True)
    for pid, group in processes.items():
        (proc / str(pid)).mkdir()
        (proc / str(pid) / "cgroup").write_text(f"4:memory:/old\n0::{group}\n")
    for group, count in groups.items():
        (cgroups / group.lstrip("/")).mkdir(parents=True, exist_ok=True)
        events = f"max 3\noom 4\noom_kill {count}\noom_group_kill 0\n"
        (cgroups / group.lstrip("/") / "memory.events").write_text(events)
    (proc / "vmstat").write_text(f"pgfault 5\noom_kill {kills}\n")
    return proc, cgroups


def test_memory_kills_are_those_of_the_cgroup(tmp_path: Path) -> None:
    """Where the supervisor has a cgroup of its own, what is killed outside is no concern of the workers in it."""
    proc, cgroups = machine(tmp_path, {7: "/app", 8: "/app/worker"}, {"/app": 2}, 9)
    before = MemoryKills.seen(7, proc, cgroups)
    assert before == MemoryKills(group="/app", below=2, machine=9)

    machine(tmp_path, {}, {}, 10)
    assert not MemoryKills.seen(7, proc, cgroups).concern(before, 8, proc)
    machine(tmp_path, {}, {"/app": 3}, 11)
    assert MemoryKills.seen(7, proc, cgroups).concern(before, 8, proc)


@pytest.mark.parametrize("group", ["/apple", "/other", "/", None])
def test_a_worker_that_moved_elsewhere_is_concerned_by_any(tmp_path: Path, group: str | None) -> None:
    """What is killed in its cgroup is not counted in the supervisor's."""
    proc, cgroups = machine(tmp_path, {7: "/app"} | ({} if group is None else {8: group}), {"/app": 2}, 9)
    before = MemoryKills.seen(7, proc, cgroups)
    assert not MemoryKills.seen(7, proc, cgroups).concern(before, 8, proc)

    machine(tmp_path, {}, {}, 10)

    assert MemoryKills.seen(7, proc, cgroups).concern(before, 8, proc)


def test_without_a_cgroup_of_its_own_all_count(tmp_path: Path) -> None:
    """In version 1, or at the root; and where nothing can be read, nothing is known."""
    proc, cgroups = machine(tmp_path, {7: "/"}, {}, 9)
    before = MemoryKills.seen(7, proc, cgroups)
    assert before == MemoryKills(machine=9)
    machine(tmp_path, {}, {}, 10)
    assert MemoryKills.seen(7, proc, cgroups).concern(before, 7, proc)
    assert MemoryKills.seen(7, tmp_path / "none", cgroups) == MemoryKills()
