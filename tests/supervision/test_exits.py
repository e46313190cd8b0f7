"""Ends of processes told apart, and how often memory ran out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfheal.supervision.exits import Exit, ExitKind, classify, memory_kills, signal_name


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


def test_memory_kills_are_those_of_the_cgroup(tmp_path: Path) -> None:
    """Where the process has a cgroup of its own, its counter counts; else that of the whole machine."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "7").mkdir(parents=True)
    (proc / "vmstat").write_text("pgfault 5\noom_kill 9\n")
    (proc / "7" / "cgroup").write_text("4:memory:/old\n0::/app\n")
    assert memory_kills(7, proc, cgroups) == 9
    (cgroups / "app").mkdir(parents=True)
    (cgroups / "app" / "memory.events").write_text("max 3\noom 4\noom_kill 2\noom_group_kill 0\n")
    assert memory_kills(7, proc, cgroups) == 2
    (proc / "7" / "cgroup").write_text("0::/\n")
    assert memory_kills(7, proc, cgroups) == 9
    (proc / "vmstat").unlink()
    assert memory_kills(8, proc, cgroups) == 0
