"""Worker pools with real processes: crashes, hangs, scaling, draining, and the death of the parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from selfheal.errors import PoolFailedError
from selfheal.events import Event, EventBus, PoolFailed, PoolScaled, PoolWorkerEnded, PoolWorkerStarted
from selfheal.resources import TaskQueue
from selfheal.supervision import PoolState, TaskResult, WorkerPool

TASKS = "tests.integration.pool_tasks"
ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait in real time until something holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


class Rig:
    """A queue, a pool, and what was published."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self.bus = EventBus()
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append, inline=True)
        self.queue = TaskQueue("jobs", events=self.bus)
        self.results: list[TaskResult] = []
        self.pools: list[WorkerPool] = []

    def pool(self, target: str = "note", **options: Any) -> WorkerPool:
        options = {"size": 2, "retry_delay": 0.0, "intensity": 100, **options}
        pool = WorkerPool(f"{TASKS}:{target}", self.queue, events=self.bus, on_result=self.results.append, **options)
        self.pools.append(pool)
        pool.start()
        return pool

    def put(self, do: str = "well", **more: Any) -> int:
        return self.queue.put({"log": str(self.log), "do": do, **more})

    def lines(self) -> list[tuple[int, int]]:
        """Task and delivery count of each run, in order."""
        text = self.log.read_text() if self.log.exists() else ""
        return [(int(task), int(count)) for task, count, _ in (line.split() for line in text.splitlines())]

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A rig whose pools leave nothing behind."""
    made = Rig(tmp_path)
    yield made
    for pool in made.pools:
        pool.stop(timeout=0.0)
    assert workers_left() == []


def workers_left(of: int | None = None) -> list[int]:
    """Worker processes below a process, by default this one."""
    found = []
    for child in psutil.Process(of).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end between two looks
            if child.status() != psutil.STATUS_ZOMBIE and "selfheal.supervision.worker" in str(child.cmdline()):
                found.append(child.pid)
    return found


def gone(pid: int) -> bool:
    """Whether a process is gone, or dead and only not reaped by its new parent."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_results_come_back(rig: Rig) -> None:
    """Each task is done once, its result told, the queue left empty."""
    pool = rig.pool("double", size=3)
    for n in range(50):
        rig.queue.put(n)
    until(lambda: not rig.queue.snapshot().size)

    assert sorted(result.value for result in rig.results) == [2 * n for n in range(50)]
    assert {result.delivery_count for result in rig.results} == {1}
    report = pool.stop()
    assert report.clean
    assert pool.snapshot().state is PoolState.STOPPED
    assert pool.snapshot().done == 50


def test_coroutine_functions_are_targets(rig: Rig) -> None:
    """An async target is run to its end."""
    rig.pool("adouble", size=1)
    rig.queue.put(4)
    until(lambda: rig.results)

    assert rig.results[0].value == 8


@pytest.mark.parametrize(
    ("how", "detail"), [("exit", "exit code 7"), ("abort", "killed by SIGABRT"), ("kill", "killed by SIGKILL")]
)
def test_a_crash_returns_the_task_at_once(rig: Rig, how: str, detail: str) -> None:
    """A worker that dies in its task is replaced, and the task is delivered again, counted."""
    pool = rig.pool(size=1)
    task = rig.put(how)
    until(lambda: not rig.queue.snapshot().size)

    assert rig.lines() == [(task, 1), (task, 2)]
    assert [(e.how, e.detail, e.task_id) for e in rig.of(PoolWorkerEnded)] == [("crashed", detail, task)]
    assert [e.restart for e in rig.of(PoolWorkerStarted)] == [False, True]
    snapshot = pool.snapshot()
    assert (snapshot.crashes, snapshot.returned, snapshot.done, snapshot.hung) == (1, 1, 1, 0)


def test_a_task_that_always_kills_is_buried(rig: Rig) -> None:
    """After its deliveries are used up a poisonous task is a dead letter that says why; others go on."""
    pool = rig.pool(size=1)
    poison = rig.put("kill", always=True)
    other = rig.put()
    until(lambda: rig.queue.snapshot().size == rig.queue.snapshot().dead == 1)

    (letter,) = rig.queue.dead_letters()
    assert (letter.id, letter.delivery_count) == (poison, 5)
    assert letter.reason == "its worker crashed: killed by SIGKILL, at delivery 5 of 5"
    assert (other, 1) in rig.lines()
    assert pool.snapshot().crashes == 5


@pytest.mark.parametrize(
    ("how", "error"), [("raise", "RuntimeError: card network is down"), ("leave", "SystemExit: no more")]
)
def test_a_task_that_raises_is_tried_again_by_the_same_worker(rig: Rig, how: str, error: str) -> None:
    """An error in a task is no end of its worker; after the last delivery the dead letter names the error."""
    rig.pool(size=1)
    task = rig.put(how, always=True)
    until(lambda: rig.queue.snapshot().dead)

    assert rig.lines() == [(task, n) for n in range(1, 6)]
    assert len({line.split()[2] for line in rig.log.read_text().splitlines()}) == 1
    assert rig.queue.dead_letters()[0].reason == f"{error}, at delivery 5 of 5"


@pytest.mark.parametrize("how", ["hang", "freeze"])
def test_a_hung_worker_is_killed_and_replaced(rig: Rig, how: str) -> None:
    """A task without sign of progress, or a stopped process, costs its worker its life; the task is done anew."""
    pool = rig.pool(size=1, task_timeout=3.0)
    task = rig.put(how)
    until(lambda: not rig.queue.snapshot().size)

    assert rig.lines() == [(task, 1), (task, 2)]
    (end,) = rig.of(PoolWorkerEnded)
    assert (end.how, end.task_id) == ("hung", task)
    assert pool.snapshot().hung == 1
    assert gone(end.pid)


def test_progress_keeps_a_long_task_alive(rig: Rig) -> None:
    """A task may take longer than the timeout as long as it tells of its progress."""
    rig.pool(size=1, task_timeout=3.0)
    task = rig.put("progress", steps=20, seconds=0.2)
    until(lambda: not rig.queue.snapshot().size)

    assert rig.lines() == [(task, 1)]


def test_a_task_may_outlast_the_visibility_time(tmp_path: Path) -> None:
    """While its worker works the pool keeps the task from being delivered a second time."""
    rig = Rig(tmp_path)
    rig.queue = TaskQueue("jobs", events=rig.bus, visibility=2.0)
    pool = rig.pool(size=2, task_timeout=None)
    task = rig.put("sleep", seconds=4.5)
    until(lambda: not rig.queue.snapshot().size)
    pool.stop()

    assert rig.lines() == [(task, 1)]
    assert rig.queue.snapshot().expired == 0


def test_an_idle_worker_that_is_stopped_is_noticed(rig: Rig) -> None:
    """A frozen worker without a task does not answer and is replaced."""
    pool = rig.pool(size=1, ping_every=0.2, silent_after=3.0)
    assert pool.wait_ready()
    (first,) = pool.snapshot().workers
    os.kill(first.pid, signal.SIGSTOP)
    until(lambda: first.pid in [event.pid for event in rig.of(PoolWorkerEnded)])

    assert [event.how for event in rig.of(PoolWorkerEnded) if event.pid == first.pid] == ["hung"]
    assert gone(first.pid)
    until(lambda: len(rig.of(PoolWorkerStarted)) >= 2)


def test_an_idle_worker_that_is_killed_is_replaced_quickly(rig: Rig) -> None:
    """The end of an idle worker is noticed within a fraction of a second."""
    pool, took = rig.pool(size=2), list[float]()
    for attempt in range(1, 31):  # the machine may be busy with something else
        assert pool.wait_ready(60.0)
        victim = pool.snapshot().workers[0]
        began = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda attempt=attempt: len(rig.of(PoolWorkerEnded)) == attempt)  # type: ignore[misc]
        took.append(time.monotonic() - began)
        until(lambda attempt=attempt: len(rig.of(PoolWorkerStarted)) == 2 + attempt)  # type: ignore[misc]
        assert victim.pid not in {worker.pid for worker in pool.snapshot().workers}
        if attempt >= 3 and min(took) < 0.3:
            break

    assert min(took) < 0.3


def test_what_a_crashed_worker_started_goes_with_it(rig: Rig, tmp_path: Path) -> None:
    """The whole process group of a dead worker is ended."""
    rig.pool(size=1)
    rig.put("child", children=str(tmp_path / "children"))
    until(lambda: not rig.queue.snapshot().size)

    child = int((tmp_path / "children").read_text())
    until(lambda: gone(child))


def test_printing_does_not_disturb_the_protocol(rig: Rig) -> None:
    """What a task writes to its standard output goes to the errors, not to the pool."""
    rig.pool(size=1)
    task = rig.put("print")
    until(lambda: rig.results)

    assert [result.value for result in rig.results] == [task]


def test_large_payloads_and_results_pass(rig: Rig) -> None:
    """Payloads far larger than a pipe hold nobody up, in both directions."""
    rig.pool("double", size=2)
    for _ in range(6):
        rig.queue.put("x" * 3_000_000)
    until(lambda: not rig.queue.snapshot().size)

    assert {len(result.value) for result in rig.results} == {6_000_000}


def test_a_payload_that_is_no_json_is_buried(rig: Rig) -> None:
    """What cannot be sent to a process is a dead letter at once, and the worker goes on."""
    rig.pool("double", size=1)
    rig.queue.put(object())
    rig.queue.put(1)
    until(lambda: rig.results)

    assert rig.queue.dead_letters()[0].reason.startswith("its payload cannot be sent to a worker: TypeError")


def test_a_result_that_is_no_json_fails_the_task(rig: Rig) -> None:
    """Where results are wanted, one that cannot be sent is an error of the task."""
    rig.pool("unjson", size=1)
    rig.queue.put(1)
    until(lambda: rig.queue.snapshot().dead)

    assert "set is not JSON serializable" in rig.queue.dead_letters()[0].reason


def test_a_result_that_is_not_taken_is_delivered_anew(tmp_path: Path) -> None:
    """Where the callback raises, the task is not acknowledged."""
    rig, taken = Rig(tmp_path), list[int]()

    def take(result: TaskResult) -> None:
        if result.delivery_count < 3:
            raise OSError("disk full")
        taken.append(result.delivery_count)

    with WorkerPool(f"{TASKS}:double", rig.queue, size=1, retry_delay=0.0, on_result=take, events=rig.bus):
        rig.queue.put(1)
        until(lambda: taken)
        until(lambda: not rig.queue.snapshot().size)

    assert taken == [3]


def test_shrinking_loses_nothing(rig: Rig) -> None:
    """Workers too many finish what they have; each task is done exactly once through ups and downs."""
    pool = rig.pool(size=4, maximum=4, minimum=1)
    for _ in range(120):
        rig.put("sleep", seconds=0.02)
    for n in (1, 4, 2, 3, 1):
        assert pool.scale(n, "to see") == n
        time.sleep(0.15)
    until(lambda: not rig.queue.snapshot().size)

    assert Counter(rig.lines()) == {(task, 1): 1 for task in range(1, 121)}
    assert pool.snapshot().returned == 0
    assert {event.how for event in rig.of(PoolWorkerEnded)} == {"stopped"}
    assert [(event.old, event.new) for event in rig.of(PoolScaled)] == [(4, 1), (1, 4), (4, 2), (2, 3), (3, 1)]
    until(lambda: len(pool.snapshot().workers) == 1)


def test_scale_keeps_to_its_bounds(rig: Rig) -> None:
    """More than the maximum is the maximum, less than the minimum the minimum."""
    pool = rig.pool(size=2, minimum=1, maximum=3)

    assert pool.scale(10) == 3
    assert pool.wait_ready()
    assert len(pool.snapshot().workers) == 3
    assert pool.scale(0) == 1
    until(lambda: len(workers_left()) == 1)


def test_drain_finishes_what_is_under_way_and_no_more(rig: Rig, tmp_path: Path) -> None:
    """After a drain nothing is under way, the rest waits in the queue, and resume goes on."""
    pool, gate = rig.pool(size=2), tmp_path / "gate"
    for _ in range(10):
        rig.put("wait", gate=str(gate))
    until(lambda: pool.snapshot().busy == 2)

    assert not pool.drain(timeout=0.05)
    gate.touch()
    assert pool.drain(timeout=60.0)
    snapshot = rig.queue.snapshot()
    assert (snapshot.delivered, snapshot.ready) == (0, 8)
    assert len(rig.lines()) == 2
    assert pool.snapshot().state is PoolState.DRAINING
    pool.resume()
    until(lambda: not rig.queue.snapshot().size)
    assert Counter(rig.lines()) == {(task, 1): 1 for task in range(1, 11)}


def test_drain_gives_up_in_time(rig: Rig, tmp_path: Path) -> None:
    """A drain whose time is over says so and harms nobody."""
    pool, gate = rig.pool(size=1), tmp_path / "gate"
    rig.put("wait", gate=str(gate))
    until(lambda: pool.snapshot().busy)

    assert not pool.drain(timeout=0.05)
    assert rig.queue.snapshot().delivered == 1
    gate.touch()
    assert pool.drain(timeout=60.0)
    assert rig.lines() == [(1, 1)]


def test_stop_waits_then_kills_and_gives_back(rig: Rig) -> None:
    """What is not finished in time goes back to the queue, and the report says which tasks and workers."""
    pool = rig.pool(size=2)
    quick, slow = rig.put("sleep", seconds=0.5), rig.put("hang")
    until(lambda: len(rig.lines()) == 2)
    (killed,) = [w.name for w in pool.snapshot().workers if w.task_id == slow]
    report = pool.stop(timeout=4.0)

    assert (report.returned, report.killed) == ((slow,), (killed,))
    assert report.duration > 3.9
    snapshot = rig.queue.snapshot()
    assert (snapshot.size, snapshot.ready, snapshot.acked) == (1, 1, 1)
    assert {quick, slow} == {task for task, _ in rig.lines()}
    assert pool.stop().clean


def test_a_stopped_pool_can_be_started_again(rig: Rig) -> None:
    """Start after stop has new workers, and the counts go on."""
    pool = rig.pool("double", size=1)
    rig.queue.put(1)
    until(lambda: rig.results)
    pool.stop()
    rig.queue.put(2)
    pool.start()
    until(lambda: len(rig.results) == 2)

    assert pool.snapshot().done == 2
    assert pool.snapshot().state is PoolState.RUNNING


def test_restart_replaces_a_worker_after_its_task(rig: Rig) -> None:
    """A worker restarted by hand finishes first; with kill it does not, and its task is delivered again."""
    pool = rig.pool(size=1)
    rig.put("sleep", seconds=0.3)
    until(lambda: pool.snapshot().busy)
    pool.restart(pool.snapshot().workers[0].name, reason="leaks", by="ann")
    until(lambda: not rig.queue.snapshot().size)
    task = rig.put("hang")
    until(lambda: (task, 1) in rig.lines())
    (busy,) = [worker.name for worker in pool.snapshot().workers if worker.task_id == task]
    pool.restart(busy, kill=True)
    until(lambda: not rig.queue.snapshot().size)

    assert rig.lines() == [(1, 1), (task, 1), (task, 2)]
    until(lambda: len(rig.of(PoolWorkerEnded)) == 2)
    assert {event.how for event in rig.of(PoolWorkerEnded)} == {"stopped", "killed"}
    assert pool.snapshot().recent_ends == 0


def test_workers_are_replaced_after_their_tasks(rig: Rig) -> None:
    """With max_tasks no worker does more than that many."""
    rig.pool(size=1, max_tasks=3)
    for _ in range(10):
        rig.put()
    until(lambda: not rig.queue.snapshot().size)

    pids = Counter(line.split()[2] for line in rig.log.read_text().splitlines())
    assert max(pids.values()) == 3
    assert Counter(rig.lines()) == {(task, 1): 1 for task in range(1, 11)}


def test_a_crash_loop_ends_in_failed_and_needs_a_reset(rig: Rig) -> None:
    """More ends than the intensity allows: the pool gives up, keeps the tasks, and goes on after a reset."""
    pool = rig.pool(size=1, intensity=2)
    for _ in range(2):
        rig.put("kill", always=True)
    until(lambda: pool.snapshot().state is PoolState.FAILED)
    until(lambda: not pool.snapshot().workers)

    told = "3 unplanned ends of workers, more than 2 in 300 s, the last: killed by SIGKILL"
    assert pool.snapshot().reason == told
    until(lambda: rig.of(PoolFailed))  # told of right after the state shows it
    assert [event.reason for event in rig.of(PoolFailed)] == [told]
    assert rig.queue.snapshot().ready == 2
    with pytest.raises(PoolFailedError):
        pool.scale(3)
    with pytest.raises(PoolFailedError):
        pool.start()
    assert pool.reset("poison removed", by="ann")
    until(lambda: len(rig.of(PoolWorkerEnded)) > 3)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("tests.integration.no_such_module:work", "No module named 'tests.integration.no_such_module'"),
        (f"{TASKS}:no_such_function", "no_such_function"),
        (f"{TASKS}:not_callable", "a function"),
    ],
)
def test_a_target_that_is_not_there_fails_at_once(rig: Rig, target: str, told: str) -> None:
    """Starting again would not help: one refusal, and the pool has FAILED with the reason."""
    pool = WorkerPool(target, rig.queue, events=rig.bus, size=1)
    rig.pools.append(pool)
    pool.start()
    until(lambda: pool.snapshot().state is PoolState.FAILED)

    assert told in pool.snapshot().reason
    until(lambda: rig.of(PoolWorkerEnded))
    assert rig.of(PoolWorkerEnded)[0].how == "refused"


PARENT = """
    import sys, time
    from selfheal.resources import TaskQueue
    from selfheal.supervision import WorkerPool
    queue = TaskQueue("jobs")
    for do in sys.argv[2:]:
        queue.put({"log": sys.argv[1], "do": do})
    pool = WorkerPool("tests.integration.pool_tasks:note", queue, size=3)
    pool.start()
    pool.wait_ready()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("doing", [[], ["hang", "hang"], ["freeze", "hang"]], ids=["idle", "busy", "frozen"])
def test_no_orphan_when_the_parent_is_killed(tmp_path: Path, doing: list[str]) -> None:
    """Workers idle, busy or even stopped are gone soon after their parent was killed."""
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "log"), *doing]
    log = tmp_path / "log"
    log.touch()
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == "ready\n"
        until(lambda: len(log.read_text().splitlines()) >= len(doing))
        workers = workers_left(parent.pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()

    assert len(workers) == 3
    until(lambda: all(gone(pid) for pid in workers))


def test_a_forked_child_leaves_the_workers_alone(rig: Rig) -> None:
    """After a fork the pool of the child is as new, and the parent's goes on."""
    pool = rig.pool("double", size=1)
    pool.wait_ready()
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.snapshot().state is PoolState.NEW and not pool.snapshot().workers else 1)
    _, status = os.waitpid(child, 0)
    rig.queue.put(21)
    until(lambda: rig.results)

    assert os.waitstatus_to_exitcode(status) == 0
    assert rig.results[0].value == 42
    assert pool.snapshot().crashes == 0
