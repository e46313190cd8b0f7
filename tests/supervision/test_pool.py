"""Worker pools of threads, targets, settings, and what a pool refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError
from selfheal.events import ActionAudited, Event, EventBus, PoolWorkerEnded
from selfheal.resources import TaskQueue
from selfheal.supervision import PoolState, TaskResult, WorkerPool, current_task, progress
from selfheal.supervision.worker_target import load, name_of, runner, text_of


def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait in real time until something holds: threads are real."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)


class Rig:
    """A queue, pools of threads, and what was published."""

    def __init__(self) -> None:
        self.bus = EventBus()
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append, inline=True)
        self.queue = TaskQueue("jobs", events=self.bus)
        self.results: list[TaskResult] = []
        self.pools: list[WorkerPool] = []

    def pool(self, target: Any, **options: Any) -> WorkerPool:
        options = {"mode": "thread", "size": 2, "retry_delay": 0.0, **options}
        pool = WorkerPool(target, self.queue, events=self.bus, on_result=self.results.append, **options)
        self.pools.append(pool)
        pool.start()
        return pool


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A rig whose pools are stopped at the end."""
    made = Rig()
    yield made
    for pool in made.pools:
        pool.stop(timeout=1.0)


def test_threads_do_tasks(rig: Rig) -> None:
    """Any callable may be the target; payload and result may be anything."""
    pool = rig.pool(lambda payload: {payload})
    for n in range(200):
        rig.queue.put((n,))
    until(lambda: not rig.queue.snapshot().size)

    assert {next(iter(result.value)) for result in rig.results} == {(n,) for n in range(200)}
    assert pool.stop().clean


def test_a_task_knows_which_it_is(rig: Rig) -> None:
    """Inside of a task its id and delivery count can be had; outside there is none, and progress does nothing."""
    seen: list[Any] = []

    def look(payload: object) -> None:
        task = current_task()
        assert task is not None
        seen.append(task)
        if task.delivery_count == 1:
            raise ValueError("again")

    rig.pool(look, size=1)
    task = rig.queue.put("x")
    until(lambda: not rig.queue.snapshot().size)

    assert seen == [(task, 1), (task, 2)]
    assert current_task() is None
    progress()


def test_coroutine_functions_run_in_threads(rig: Rig) -> None:
    """An async target is run to its end."""

    async def double(n: int) -> int:
        return 2 * n

    rig.pool(double)
    rig.queue.put(21)
    until(lambda: rig.results)

    assert rig.results[0].value == 42


def test_a_hung_thread_is_left_behind(rig: Rig) -> None:
    """Its task is done by a replacement; what it says in the end has no effect; too many of them fail the pool."""
    release = threading.Event()

    def work(payload: str) -> str:
        task = current_task()
        if task is not None and (task.delivery_count == 1 or payload == "always"):
            release.wait(100)
            return "late"
        return "done"

    pool = rig.pool(work, size=1, task_timeout=2.0, max_abandoned=1)
    rig.queue.put("once")
    until(lambda: rig.results)
    assert [(r.value, r.delivery_count) for r in rig.results] == [("done", 2)]
    assert pool.snapshot().abandoned == 1
    assert [e.how for e in rig.events if isinstance(e, PoolWorkerEnded)] == ["hung"]
    rig.queue.put("always")
    until(lambda: pool.snapshot().state is PoolState.FAILED)
    assert pool.snapshot().reason == "2 hung threads were left behind, more than 1"
    release.set()
    until(lambda: not pool.snapshot().abandoned)

    assert [r.value for r in rig.results] == ["done"]
    assert pool.reset("the hanging call has a timeout now", by="ann")
    until(lambda: len(rig.results) == 2)


def test_scaling_threads(rig: Rig) -> None:
    """Up and down with nothing lost; those that end are gone as threads too."""
    before = threading.active_count()
    pool = rig.pool(lambda _: time.sleep(0.002), size=1, maximum=6)
    for n in range(300):
        rig.queue.put(n)
    for n in (6, 2, 5, 1):
        pool.scale(n)
        time.sleep(0.05)
    until(lambda: not rig.queue.snapshot().size)
    until(lambda: len(pool.snapshot().workers) == 1)

    assert len(rig.results) == 300
    assert {result.delivery_count for result in rig.results} == {1}
    pool.stop()
    until(lambda: threading.active_count() <= before)


def test_a_callback_may_stop_its_pool(rig: Rig) -> None:
    """The result that led to the stop still counts, and the pool ends."""
    pools: list[WorkerPool] = []
    pool = WorkerPool(
        str, rig.queue, mode="thread", size=1, events=rig.bus, on_result=lambda _: pools[0].stop(timeout=1.0)
    )
    pools.append(pool)
    rig.queue.put(1)
    pool.start()
    until(lambda: pool.snapshot().state is PoolState.STOPPED)

    assert rig.queue.snapshot().acked == 1


def test_stopping_a_pool_that_never_ran(rig: Rig) -> None:
    """There is nothing to stop, and that is no error."""
    pool = WorkerPool("os.path:basename", rig.queue)

    assert pool.stop().clean
    assert pool.snapshot().state is PoolState.NEW
    assert not pool.wait_ready(timeout=1.0)
    assert not pool.reset("no reason")


def test_what_a_person_did_is_audited(rig: Rig) -> None:
    """A restart by hand says who and why; an unknown worker is told with those there are."""
    pool = rig.pool(str, size=1)
    until(lambda: pool.snapshot().workers)
    name = pool.snapshot().workers[0].name
    pool.restart(name, reason="leaks", by="ann")

    audited = [(e.who, e.what, e.target, e.reason) for e in rig.events if isinstance(e, ActionAudited)]
    assert audited == [("ann", "pool.restart", f"pool/{name}", "leaks")]
    with pytest.raises(NotFoundError, match="no worker is named 'w9'"):
        pool.restart("w9")


def test_a_queue_that_fails_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the queue itself stops nothing: it is logged, and asked again a little later."""
    from selfheal.errors import StateError

    take, failures = rig.queue.take, iter([True, True])

    def flaky(worker: str = "", timeout: float | None = 0.0) -> Any:
        if next(failures, False):
            raise StateError("queue.sqlite", "queue jobs", "disk I/O error")
        return take(worker, timeout)

    monkeypatch.setattr(rig.queue, "take", flaky)
    pool = rig.pool(str)
    rig.queue.put(5)
    until(lambda: rig.results)

    assert rig.results[0].value == "5"
    assert pool.snapshot().state is PoolState.RUNNING


def test_a_defect_in_a_queue_fails_the_pool_and_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is not swallowed: the pool has FAILED and says with what."""
    monkeypatch.setattr(rig.queue, "take", lambda *_: 1 / 0)
    pool = rig.pool(str)
    until(lambda: pool.snapshot().state is PoolState.FAILED)

    assert pool.snapshot().reason == "internal error: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("target", ["no colon", ":f", "m:", "m:f:g", "m:f()", "m-x:f", 5, None, lambda p: p])
def test_targets_of_processes_are_named(rig: Rig, target: Any) -> None:
    """A process finds its target by name: what has none is refused when the pool is made."""
    with pytest.raises(ConfigError, match=r"WorkerPool\.target"):
        WorkerPool(target, rig.queue)


def test_functions_are_named_by_where_they_are() -> None:
    """A function of a module stands for its name; one of the main script cannot be imported by others."""
    assert name_of(text_of) == "selfheal.supervision.worker_target:text_of"
    assert load("os.path:basename")("a/b") == "b"
    assert runner("os.path:basename")("a/b") == "b"

    def main_script() -> None:
        """Pretends."""

    main_script.__module__, main_script.__qualname__ = "__main__", "work"
    with pytest.raises(ConfigError, match="a worker cannot import the main script"):
        name_of(main_script)


def test_errors_in_one_line() -> None:
    """The text of an error is bounded, of one line, and there whatever the error does."""

    class Mute(Exception):
        """Has no text."""

        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(ValueError("a\n b")) == "ValueError: a b"
    assert len(text_of(ValueError("x" * 10_000))) == 500
    assert text_of(Mute()) == "Mute (its text cannot be had: RuntimeError)"


def test_options_from_data(rig: Rig) -> None:
    """A pool is made of plain data; all that is wrong is told at once, with its path."""
    pool = WorkerPool.from_config({"name": "resize", "size": 3, "task_timeout": 5}, "os.path:basename", rig.queue)
    assert (pool.name, pool.options.size, pool.options.task_timeout) == ("resize", 3, 5.0)

    with pytest.raises(InvalidConfigError) as refused:
        WorkerPool.from_config({"sise": 3, "mode": "fibre", "minimum": -1}, "m:f", rig.queue, where="levers.pool")
    for part in ("levers.pool.sise", "levers.pool.mode", "levers.pool.minimum"):
        assert part in str(refused.value)


@pytest.mark.parametrize("n", [-1, 1.5, True, "3"])
def test_scale_takes_whole_numbers(rig: Rig, n: Any) -> None:
    """What is no number of workers is refused."""
    with pytest.raises(ConfigError, match="n of WorkerPool.scale"):
        WorkerPool("m:f", rig.queue).scale(n)


def test_the_callback_is_checked(rig: Rig) -> None:
    """A callback that cannot be called is refused when the pool is made, a blank reason when it is given."""
    with pytest.raises(ConfigError, match=r"WorkerPool\.on_result"):
        WorkerPool("m:f", rig.queue, on_result=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="reason of WorkerPool.reset"):
        WorkerPool("m:f", rig.queue).reset(" ")
