"""Real processes with background tasks: how they end, fork, reload, and what they leave behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60.0
"""Real seconds after which a process counts as hanging. What is not ended at once here goes on for longer than that."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks as POSIX has them")

PRELUDE = """
import asyncio, logging, os, signal, sys, threading, time
from selfheal.tasks import TaskRegistry, cancel_requested
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
inside = threading.Event()
async def endless():
    inside.set()
    try:
        await asyncio.sleep(3600)
    finally:
        say("cancelled")
def wait_for(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()
def ours():
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("selfheal"))
"""


NO_FORK_WARNING = "ignore:This process:DeprecationWarning"
"""Python 3.12 and later warn of a fork beside threads, which is what is tested."""


class Process:
    """A Python process in a group of its own."""

    def __init__(self, script: str, folder: Path) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-W", NO_FORK_WARNING, "-c", PRELUDE + textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self.output = ""

    def read_until(self, word: str) -> None:
        """Read the output up to a line that is ``word``."""
        assert self._popen.stdout is not None
        end = time.monotonic() + WAIT
        while word not in self.output.splitlines():
            ready, _, _ = select.select([self._popen.stdout], [], [], max(end - time.monotonic(), 0))
            read = os.read(self._popen.stdout.fileno(), 65_536).decode() if ready else ""
            assert read, f"no {word!r} in: {self.output}"
            self.output += read

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for the end; give the exit code."""
        rest, _ = self._popen.communicate(timeout=WAIT)
        self.output += rest.decode()
        return self._popen.returncode

    @property
    def orphans(self) -> bool:
        """Whether a process of its group is still there."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End everything it started."""
        if self.orphans:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.communicate()


class Starter:
    """Starts processes and takes them down at the end of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def __call__(self, script: str) -> Process:
        made = Process(script, self.folder)
        self.processes.append(made)
        return made


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for process in starter.processes:
        process.kill()


def test_a_program_ends_when_it_is_through(start: Starter) -> None:
    """Tasks, sync and async, do not keep a process alive, and coroutines are cancelled at its exit."""
    process = start("""
        registry = TaskRegistry(exit_timeout=600)
        registry.register_interval("poll", lambda: None, 0.01)
        registry.register_once("endless", endless)
        inside.wait(60)
        wait_for(lambda: registry.snapshot().executions > 3)
        say("through")
    """)
    code = process.end()
    assert code == 0
    assert process.output.split() == ["through", "cancelled"]


def test_a_stuck_task_does_not_hold_the_exit_beyond_its_bound(start: Starter) -> None:
    """The exit waits for a run no longer than exit_timeout, then names it and goes."""
    began = time.monotonic()
    process = start("""
        registry = TaskRegistry(exit_timeout=0.3)
        entered = threading.Event()
        def work():
            entered.set()
            threading.Event().wait()
        registry.register_once("stuck", work)
        entered.wait(60)
        say(time.monotonic())
    """)
    code = process.end()
    assert code == 0
    through = float(process.output.split()[0])  # of the same clock as here
    assert began < through <= time.monotonic() - 0.3
    assert "tasks still running: stuck" in process.output


def test_the_exit_clean_up_starts_no_thread(start: Starter) -> None:
    """Not even to deliver the events of tasks that fail because they are stopped."""
    process = start("""
        import atexit
        from selfheal.events import DEFAULT_BUS, TaskFailed
        DEFAULT_BUS.subscribe(lambda event: None)
        registry = TaskRegistry()
        entered = threading.Event()
        def work():
            entered.set()
            wait_for(cancel_requested)
            say("stopping")
            raise ValueError("stopped")
        registry.register_once("work", work)
        registry.register_once("endless", endless)
        entered.wait(60)
        inside.wait(60)
        real = threading.Thread.start
        def start(thread):
            say("STARTED", thread.name)
            real(thread)
        def at_exit():
            threading.Thread.start = start
        atexit.register(at_exit)
    """)
    code = process.end()
    assert code == 0
    assert "stopping" in process.output
    assert "STARTED" not in process.output


def test_sigterm_cleans_up_and_then_ends_the_process_by_that_signal(start: Starter) -> None:
    """With the default action there is a clean-up first; the parent still sees a death by SIGTERM."""
    process = start("""
        registry = TaskRegistry()
        registry.register_once("endless", endless)
        say(*registry.install_signals(timeout=600))
        inside.wait(60)
        say("ready")
        time.sleep(600)
    """)
    process.read_until("ready")
    process.send(signal.SIGTERM)
    code = process.end()
    assert code == -signal.SIGTERM
    assert process.output.split() == [str(int(signal.SIGTERM)), "ready", "cancelled"]
    assert not process.orphans


def test_the_clean_up_on_a_signal_is_bounded(start: Starter) -> None:
    """A stuck task holds up the death by a signal no longer than the timeout given."""
    process = start("""
        registry = TaskRegistry()
        registry.install_signals(timeout=0.3)
        def work():
            say("ready")
            threading.Event().wait()
        registry.register_once("stuck", work)
        time.sleep(600)
    """)
    process.read_until("ready")
    sent = time.monotonic()
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert time.monotonic() - sent >= 0.3
    assert "tasks still running: stuck" in process.output


def test_a_signal_that_comes_while_the_main_thread_is_in_the_registry_is_no_deadlock(start: Starter) -> None:
    """The handler takes no lock, so it does not matter which one the main thread holds."""
    process = start("""
        registry = TaskRegistry()
        registry.register_interval("poll", lambda: None, 0.001)
        registry.install_signals(timeout=600)
        say("ready")
        while True:
            registry.snapshot()
            with registry._lock:
                time.sleep(0.001)
    """)
    process.read_until("ready")
    process.send(signal.SIGTERM)
    code = process.end()
    assert code == -signal.SIGTERM


def test_the_handler_of_the_host_is_called_as_before(start: Starter) -> None:
    """What the host does on a signal it still does, and the tasks are cleaned up beside it."""
    process = start("""
        registry = TaskRegistry()
        stop = threading.Event()
        def handler(number, frame):
            say("host", number, frame is not None)
            stop.set()
        signal.signal(signal.SIGTERM, handler)
        registry.register_once("endless", endless)
        registry.install_signals()
        inside.wait(60)
        say("ready")
        stop.wait(60)
        wait_for(lambda: registry.state == "stopped" and not ours())
        sys.exit(7)
    """)
    process.read_until("ready")
    process.send(signal.SIGTERM)
    code = process.end()
    assert code == 7
    assert f"host {int(signal.SIGTERM)} True" in process.output
    assert "cancelled" in process.output


def test_a_handler_of_an_event_loop_is_called_as_before(start: Starter) -> None:
    """asyncio's own signal handling still reaches the host's coroutine."""
    process = start("""
        registry = TaskRegistry()
        async def main():
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            registry.register_interval("poll", lambda: None, 0.01)
            say(*registry.install_signals())
            say("ready")
            await asyncio.wait_for(stop.wait(), 60)
            say("host")
        asyncio.run(main())
        say(wait_for(lambda: registry.state == "stopped"))
    """)
    process.read_until("ready")
    process.send(signal.SIGTERM)
    code = process.end()
    assert code == 0
    assert process.output.split() == [str(int(signal.SIGTERM)), "ready", "host", "True"]


def test_an_ignored_signal_stays_ignored(start: Starter) -> None:
    """A host that is meant to survive a signal survives it with its tasks."""
    process = start("""
        registry = TaskRegistry()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        registry.register_interval("poll", lambda: None, 0.01)
        say("installed", registry.install_signals())
        os.kill(os.getpid(), signal.SIGTERM)
        before = registry.snapshot().executions
        say(wait_for(lambda: registry.snapshot().executions > before), registry.state)
    """)
    code = process.end()
    assert code == 0
    assert process.output == "installed ()\nTrue running\n"


def test_a_handler_below_python_is_left_alone(start: Starter) -> None:
    """A C library that catches a signal goes on doing so."""
    process = start("""
        import faulthandler
        faulthandler.register(signal.SIGUSR1, file=sys.stdout, chain=False)
        registry = TaskRegistry()
        say("installed", registry.install_signals([signal.SIGUSR1]))
        os.kill(os.getpid(), signal.SIGUSR1)
    """)
    code = process.end()
    assert code == 0
    assert "installed ()" in process.output
    assert "most recent call first" in process.output


def test_sigint_is_taken_only_on_request(start: Starter) -> None:
    """Unless named, SIGINT keeps the default handler that asyncio.run and anyio look for."""
    process = start("""
        registry = TaskRegistry()
        registry.register_once("endless", endless)
        registry.install_signals()
        say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        registry.install_signals([signal.SIGINT], timeout=600)
        say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        inside.wait(60)
        try:
            say("ready")
            time.sleep(600)
        except KeyboardInterrupt:
            say("interrupted", wait_for(lambda: registry.state == "stopped"))
    """)
    process.read_until("ready")
    process.send(signal.SIGINT)
    code = process.end()
    assert code == 0
    words = process.output.split()
    assert words[:2] == ["True", "False"]
    assert sorted(words[3:]) == ["True", "cancelled", "interrupted"]


def test_control_c_without_any_handler_of_ours_ends_the_program(start: Starter) -> None:
    """A KeyboardInterrupt in the main thread ends the process, tasks or not, through the clean-up at exit."""
    process = start("""
        registry = TaskRegistry(exit_timeout=600)
        registry.register_once("endless", endless)
        inside.wait(60)
        say("ready")
        time.sleep(600)
    """)
    process.read_until("ready")
    process.send(signal.SIGINT)
    code = process.end()
    assert code in (-signal.SIGINT, 1)
    assert "cancelled" in process.output
    assert not process.orphans


def test_sigkill_leaves_no_process_behind(start: Starter) -> None:
    """The threads die with the process; there is nothing else."""
    process = start("""
        registry = TaskRegistry()
        registry.register_interval("poll", lambda: say("ready"), 0.01)
        time.sleep(600)
    """)
    process.read_until("ready")
    process.send(signal.SIGKILL)
    code = process.end()
    assert code == -signal.SIGKILL
    assert not process.orphans


def test_uninstall_puts_back_only_what_is_still_ours(start: Starter) -> None:
    """A handler that the host installed after ours stays, and calls made through ours still reach the first."""
    process = start("""
        registry = TaskRegistry()
        seen = []
        first = lambda number, frame: seen.append("first")
        signal.signal(signal.SIGTERM, first)
        signal.signal(signal.SIGUSR1, first)
        registry.install_signals([signal.SIGTERM, signal.SIGUSR1])
        installed = signal.getsignal(signal.SIGUSR1)
        def later(number, frame):
            seen.append("later")
            installed(number, frame)
        signal.signal(signal.SIGUSR1, later)
        registry.uninstall_signals()
        say(signal.getsignal(signal.SIGTERM) is first, signal.getsignal(signal.SIGUSR1) is later)
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_for(lambda: len(seen) == 2)
        say(*seen, registry.state, *ours())
        say(*registry.install_signals([signal.SIGTERM]))
        registry.shutdown()
        say(signal.getsignal(signal.SIGTERM) is first, *ours())
    """)
    code = process.end()
    assert code == 0
    assert process.output.splitlines() == ["True True", "later first idle", "15", "True"]


def test_signals_are_installed_in_the_main_thread_only(start: Starter) -> None:
    """Anywhere else Python would not run the handler, so that is refused."""
    process = start("""
        from selfheal.errors import ConfigError
        registry = TaskRegistry()
        def elsewhere():
            try:
                registry.install_signals()
            except ConfigError as error:
                say(error)
        thread = threading.Thread(target=elsewhere, name="elsewhere")
        thread.start()
        thread.join()
    """)
    code = process.end()
    assert code == 0
    assert "called in the main thread" in process.output
    assert "'elsewhere'" in process.output


def test_importing_a_module_again_never_doubles_a_timer(start: Starter) -> None:
    """With owner=__name__ a reload replaces the tasks, and a registry made at import, instead of adding to them."""
    (start.folder / "jobs.py").write_text(
        textwrap.dedent("""
            import __main__
            from selfheal.tasks import TaskRegistry
            __main__.shared.unregister_owner(__name__)
            generation = __main__.generation
            __main__.shared.register_interval("shared", lambda g=generation: __main__.ran.append(("shared", g)), 0.01,
                                              owner=__name__)
            own = TaskRegistry(owner=__name__)
            own.register_interval("own", lambda g=generation: __main__.ran.append(("own", g)), 0.01)
        """),
        encoding="utf-8",
    )
    process = start("""
        import importlib
        sys.path.insert(0, os.getcwd())
        shared, ran, generation = TaskRegistry(), [], 0
        import jobs
        for generation in (1, 2, 3):
            wait_for(lambda: {name for name, _ in ran} == {"own", "shared"})
            importlib.reload(jobs)
        ran.clear()
        wait_for(lambda: len({name for name, _ in ran}) == 2 and len(ran) > 20)
        say(sorted(set(ran)), [task.id for task in shared.snapshot().tasks])
        kinds = 2 * ["selfheal-tasks"] + 2 * ["selfheal-worker-"]
        found = lambda: sorted(name.rstrip("0123456789") for name in ours())
        wait_for(lambda: found() == kinds)  # those of the registry before may be about to end
        say(*found())
    """)
    code = process.end()
    assert code == 0
    told, threads = process.output.splitlines()
    assert told == "[('own', 3), ('shared', 3)] ['shared']"
    assert threads.split() == 2 * ["selfheal-tasks"] + 2 * ["selfheal-worker-"]


def test_a_forked_child_has_the_tasks_and_no_threads_until_it_starts_them(start: Starter) -> None:
    """Nothing runs in the child by itself, nothing hangs, and after start() everything does, in both."""
    process = start("""
        registry = TaskRegistry()
        ran = []
        async def work():
            ran.append("async")
        registry.register_interval("sync", lambda: ran.append("sync"), 0.01)
        registry.register_interval("async", work, 0.01)
        registry.register_interval("held", lambda: time.sleep(0.005), 0.01)
        wait_for(lambda: {"sync", "async"} <= set(ran))
        child = os.fork()
        if child == 0:
            ran.clear()
            say(registry.state, ours(), registry.snapshot().total_tasks, registry.register_once("more", list).id)
            time.sleep(0.05)
            say(ran, ours())
            registry.start()
            say(registry.state, wait_for(lambda: {"sync", "async"} <= set(ran)), registry.shutdown().clean, ours())
            sys.exit(0)
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        ran.clear()
        say(registry.state, wait_for(lambda: {"sync", "async"} <= set(ran)), registry.shutdown().clean, ours())
    """)
    code = process.end()
    assert code == 0
    assert process.output.splitlines() == [
        "forked [] 3 more",
        "[] []",
        "running True True []",
        "child 0",
        "running True True []",
    ]


def test_a_child_forked_inside_a_task_ends_by_itself(start: Starter) -> None:
    """A fork on a worker thread gives a child that is not held by threads it does not have."""
    process = start("""
        registry = TaskRegistry()
        codes = []
        def work():
            child = os.fork()
            if child == 0:
                say(registry.state, ours())
                registry.shutdown()
                os._exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        registry.register_once("fork", work)
        say(wait_for(lambda: codes == [0]))
    """)
    code = process.end()
    assert code == 0
    assert process.output.splitlines()[-1] == "True"
    assert process.output.startswith("forked")


def test_a_signal_to_a_forked_child_is_not_answered_in_the_parent(start: Starter) -> None:
    """The pipe that wakes the clean-up is the parent's; the child has the handler that was there before."""
    process = start("""
        registry = TaskRegistry()
        registry.register_interval("poll", lambda: None, 0.01)
        registry.install_signals()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, b"x")
            time.sleep(600)
        os.read(reading, 1)
        os.kill(child, signal.SIGTERM)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        before = registry.snapshot().executions
        say(registry.state, wait_for(lambda: registry.snapshot().executions > before))
    """)
    code = process.end()
    assert code == 0
    assert process.output.splitlines() == [str(-signal.SIGTERM), "running True"]
