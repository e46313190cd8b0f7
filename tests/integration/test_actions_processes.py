"""Actions and levers on real processes: only the very ones that were meant are ended."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, HealingFailedError, NotFoundError
from selfheal.events import Alert
from selfheal.healing.actions import ActionCall, Probed, Skip, builtin_actions
from selfheal.levers import IdleProcesses, MemoryTrim, ProcessCleanup, ProcessMark, StackProfiler, tcp_check
from selfheal.testing import ActionContract, ActionScene, FakeClock
from tests.integration.supervising import alive, until

ACTIONS = builtin_actions()
STUBBORN = (
    "import signal,sys,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
QUIET = "import time; print('up', flush=True); time.sleep(600)"
BUSY = "print('up', flush=True)\nwhile True: pass"

Start = Callable[[str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python processes; ends what is left of them."""
    made: list[subprocess.Popen[bytes]] = []

    def begin(code: str) -> int:
        process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
        made.append(process)
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0], "it did not come up"
        return process.pid

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def call(name: str, levers: dict[str, object], target: str = "thumbs") -> ActionCall:
    return ActionCall(
        key="run:0",
        strategy="hung",
        target=target,
        alert=Alert(kind="hung", target=target, severity="critical"),
        params=ACTIONS.get(name).params(),
        levers=levers,
        clock=SYSTEM_CLOCK,
        deadline=SYSTEM_CLOCK.monotonic() + 60,
    )


def test_force_cleanup_keeps_the_contract(start: Start) -> None:
    """Against real processes, two in each scene."""

    def scene() -> ActionScene:
        pids = [start(QUIET), start(QUIET)]
        cleanup = ProcessCleanup({"thumbs": lambda: pids}, grace=20.0)
        return ActionScene(
            levers={"processes": cleanup},
            look=lambda: [alive(pid) for pid in pids],
            target="thumbs",
            clock=SYSTEM_CLOCK,
        )

    assert ActionContract(ACTIONS.get("force_cleanup"), scene).breaches() == ()


def test_end_idle_keeps_the_contract(start: Start) -> None:
    """Against real processes that did nothing for long enough."""

    def scene() -> ActionScene:
        pids, clock = [start(QUIET), start(QUIET)], FakeClock()
        idle = IdleProcesses(ProcessCleanup({"thumbs": lambda: pids}), ["thumbs"], idle_after=60, clock=clock)
        until(lambda: settled(idle, clock, pids))
        return ActionScene(
            levers={"idle_processes": idle}, look=lambda: [alive(pid) for pid in pids], clock=SYSTEM_CLOCK
        )

    assert ActionContract(ACTIONS.get("end_idle"), scene).breaches() == ()


def settled(idle: IdleProcesses, clock: FakeClock, pids: list[int]) -> bool:
    """Whether the start-up of the processes is over, so that a minute without work makes them idle."""
    clock.advance(61)
    return all(psutil.Process(pid).status() == psutil.STATUS_SLEEPING for pid in pids) and len(idle.idle()) == 2


def test_a_stubborn_process_is_killed(start: Start) -> None:
    """One that ignores being told to end is killed after the grace."""
    pid = start(STUBBORN)
    cleanup = ProcessCleanup({"thumbs": lambda: [pid]}, grace=0.2)
    made = call("force_cleanup", {"processes": cleanup})
    plan = ACTIONS.get("force_cleanup").plan(made)
    assert isinstance(plan, dict)

    assert ACTIONS.get("force_cleanup").run(made, plan) == {"ended": [pid]}
    assert not alive(pid)
    assert isinstance(ACTIONS.get("force_cleanup").plan(made), Skip)


def test_another_run_under_the_same_id_is_left_alone(start: Start) -> None:
    """A plan made before the id was used again, or before the machine was started anew, hits nobody."""
    pid = start(QUIET)
    cleanup = ProcessCleanup({"thumbs": lambda: [pid]})
    (mark,) = cleanup.processes("thumbs")
    for other in (attrs.evolve(mark, started=mark.started - 1), attrs.evolve(mark, boot="before")):
        made = call("force_cleanup", {"processes": cleanup})
        plan = {"processes": [other.as_dict()]}
        assert not cleanup.alive(other)
        assert cleanup.end(other), "that run is gone"
        assert ACTIONS.get("force_cleanup").probe(made, plan) is Probed.DONE
        assert ACTIONS.get("force_cleanup").run(made, plan) == {"ended": []}

    assert alive(pid)


def test_nobody_is_ended_who_was_not_declared(start: Start) -> None:
    """Owners that were not declared, this process and those it came from are never ended."""
    pid = start(QUIET)
    own = [os.getpid(), os.getppid(), 1, 0]
    cleanup = ProcessCleanup({"thumbs": lambda: [*own, pid, 2**22 + 1]})

    (mark,) = cleanup.processes("thumbs")
    assert mark.pid == pid
    with pytest.raises(NotFoundError, match="no owner of processes is named 'other'. There are: thumbs"):
        cleanup.processes("other")
    with pytest.raises(NotFoundError):
        cleanup.end(attrs.evolve(mark, owner="other"))
    for never in own:
        with pytest.raises(ConfigError, match="another one than this process"):
            cleanup.end(attrs.evolve(mark, pid=never))
    assert alive(pid)


def test_half_ended_is_in_doubt(start: Start) -> None:
    """Cut off between two processes it is neither done nor not done; run again it ends the rest."""
    pids = [start(QUIET), start(QUIET)]
    cleanup = ProcessCleanup({"thumbs": lambda: pids})
    made, action = call("force_cleanup", {"processes": cleanup}), ACTIONS.get("force_cleanup")
    plan = action.plan(made)
    assert isinstance(plan, dict)
    first, second = sorted(pids)
    cleanup.end(cleanup.processes("thumbs")[0])

    assert action.probe(made, plan) is Probed.UNKNOWN
    assert action.verify(made, plan, {}) is False
    assert action.run(made, plan) == {"ended": [second]}
    assert action.probe(made, plan) is Probed.DONE
    assert not alive(first)


def test_one_that_stays_fails_the_action(start: Start) -> None:
    """When a process is still there after it was killed, the action failed; the others were tried."""
    pids = [start(QUIET), start(QUIET)]
    cleanup = ProcessCleanup({"thumbs": lambda: pids})

    class Immortal:
        def processes(self, owner: str) -> Any:
            return cleanup.processes(owner)

        def alive(self, process: ProcessMark) -> bool:
            return cleanup.alive(process)

        def end(self, process: ProcessMark) -> bool:
            return process.pid != min(pids) and cleanup.end(process)

    made, action = call("force_cleanup", {"processes": Immortal()}), ACTIONS.get("force_cleanup")
    plan = action.plan(made)
    assert isinstance(plan, dict)
    with pytest.raises(HealingFailedError, match=f"processes {min(pids)} were killed and are still there"):
        action.run(made, plan)
    assert not alive(max(pids))


def test_who_works_is_not_idle(start: Start) -> None:
    """Only what used no processor time over the whole span is idle; what was just seen first never is."""
    quiet, busy = start(QUIET), start(BUSY)
    clock = FakeClock()
    idle = IdleProcesses(ProcessCleanup({"thumbs": lambda: [quiet, busy]}), ["thumbs"], idle_after=60, clock=clock)
    assert idle.idle() == ()

    def only_quiet() -> bool:
        threading.Event().wait(0.05)  # real time, in which the busy one works
        clock.advance(61)
        return [mark.pid for mark in idle.idle()] == [quiet]

    until(only_quiet)
    with pytest.raises(NotFoundError):
        IdleProcesses(ProcessCleanup({}), ["thumbs"])


def test_memory_is_given_back() -> None:
    """A large structure that was dropped, rings and all, is collected, and the process holds less."""
    code = """
import gc
gc.disable()
from selfheal.levers import MemoryTrim
held = [[str(n) * 20] for n in range(400_000)]
for one in held: one.append(one)
lever = MemoryTrim(); full = lever.in_use()
del held, one
report = lever.trim()
print(report.collected >= 400_000, full - report.after > 20_000_000)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["True", "True"]
    assert MemoryTrim().in_use() > 1_000_000


def test_the_network_is_looked_at() -> None:
    """A port that listens is well, one that does not is not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp_check("127.0.0.1", server.getsockname()[1])()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listened on, so that nobody else does
        check = tcp_check("127.0.0.1", held.getsockname()[1])
        with pytest.raises(OSError, match="refused"):
            check()


def test_a_profile_finds_what_a_thread_does(tmp_path: Path) -> None:
    """In real time, a thread that burns the processor is found by the function that it burns it in."""
    done, burning = threading.Event(), threading.Event()

    def burns_the_processor() -> None:
        burning.set()
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=burns_the_processor, name="burner")
    thread.start()
    assert burning.wait(60)
    try:
        path = StackProfiler(tmp_path, interval=0.005).profile(0.3, "burner")
    finally:
        done.set()
        thread.join()

    lines = [line for line in path.read_text().splitlines() if line.startswith("burner;")]
    assert lines
    assert all("burns_the_processor" in line for line in lines)
    assert sum(int(line.rpartition(" ")[2]) >= 1 for line in lines) == len(lines)
