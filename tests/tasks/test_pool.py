"""When the pool wakes another worker: decided on plain records, no thread involved."""

from __future__ import annotations

import threading

from selfheal.tasks.book import TaskBook
from selfheal.tasks.options import TaskOptions
from selfheal.tasks.pool import HELD_UP, Worker, WorkerPool
from selfheal.tasks.task import Run, Task


def nothing(*_: object) -> None:
    """What a pool tells its surroundings is not looked at here."""


def pool_with_queue(max_workers: int = 2) -> WorkerPool:
    """A pool in front of one queued run."""
    book = TaskBook()
    task = book.add(TaskOptions(id="poll", fn=print, every=10.0), 1000.0)
    book.fire_due(1010.0)
    assert list(book.ready) == [task]
    return WorkerPool(
        book,
        threading.RLock(),
        lambda: 1010.0,
        report=nothing,
        adopt=nothing,
        kick=nothing,
        expect=nothing,
        max_workers=max_workers,
    )


def busy(worker: Worker, since: float) -> None:
    """Put a worker in a run that began at ``since``."""
    worker.run = Run(Task(TaskOptions(id="other", fn=print), 1000.0, 1, 2), 1, since)


def test_the_first_run_gets_a_worker() -> None:
    """With nobody awake, one worker is made."""
    assert pool_with_queue().demand(1010.0) is not None


def test_a_worker_between_two_runs_will_come_for_the_queue() -> None:
    """While one worker is on its way, no other is woken."""
    pool = pool_with_queue()
    pool.demand(1010.0)

    assert pool.demand(1010.0) is None


def test_a_worker_in_a_short_run_is_not_helped() -> None:
    """Only a run that lasts shows that the worker is held up."""
    pool = pool_with_queue()
    first = pool.demand(1010.0)
    assert first is not None
    busy(first, 1010.0)

    assert pool.demand(1010.0 + HELD_UP / 2) is None
    assert pool.demand(1010.0 + 2 * HELD_UP, rested=False) is None
    assert pool.demand(1010.0 + 2 * HELD_UP) is not None


def test_no_more_workers_than_allowed() -> None:
    """At the limit the queue waits."""
    pool = pool_with_queue(max_workers=1)
    first = pool.demand(1010.0)
    assert first is not None
    busy(first, 1000.0)

    assert pool.demand(1010.0) is None


def test_an_empty_queue_needs_nobody() -> None:
    """Without a queued run no worker is made."""
    pool = pool_with_queue()
    pool._book.ready.clear()

    assert pool.demand(1010.0) is None


def two_awake() -> tuple[WorkerPool, Worker, Worker]:
    """A pool with two workers in runs, the second one added because the first was held up."""
    pool = pool_with_queue()
    first = pool.demand(1010.0)
    assert first is not None
    busy(first, 1010.0)
    second = pool.demand(1010.0 + 2 * HELD_UP)
    assert second is not None
    return pool, first, second


def test_two_workers_do_not_drain_short_runs_side_by_side() -> None:
    """Coming from a short run, a worker rests when another is on its way to the queue."""
    pool, first, second = two_awake()
    busy(first, 1020.0)
    busy(second, 1020.0)

    assert pool._next(second, second.run, 1020.0 + HELD_UP / 2) is None
    assert second.idle
    assert not first.idle


def test_a_worker_goes_on_while_the_other_is_held_up() -> None:
    """Nobody rests while the only other worker is stuck in a run."""
    pool, first, second = two_awake()
    busy(first, 1010.0)
    busy(second, 1020.0)

    assert pool._next(second, second.run, 1020.0 + HELD_UP / 2) is not None


def test_workers_in_long_runs_all_go_on() -> None:
    """Runs that take their time are what several workers are for."""
    pool, first, second = two_awake()
    busy(first, 1020.0)
    busy(second, 1020.0 - 2 * HELD_UP)

    assert pool._next(second, second.run, 1020.0) is not None
