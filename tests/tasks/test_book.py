"""The book by itself: what is due, taken, and watched, at times handed in."""

from __future__ import annotations

from selfheal.tasks.book import TaskBook
from selfheal.tasks.options import TaskOptions
from selfheal.tasks.schedule import NEVER


async def work() -> None:
    """An async task."""


def test_a_worker_takes_what_is_due_without_the_scheduler() -> None:
    """With an empty queue the next due task starts at once; an async one is queued for its loop."""
    book = TaskBook()
    book.add(TaskOptions(id="async", fn=work, every=10.0), 1000.0)
    book.add(TaskOptions(id="sync", fn=print, every=10.0), 1000.0)
    run = book.take(1010.0)

    assert run is not None
    assert run.task.id == "sync"
    assert [task.id for task in book.ready_async] == ["async"]
    assert book.take(1010.0) is None


def test_what_is_queued_comes_before_what_is_due() -> None:
    """A run that waits is not overtaken by one that has just come due."""
    book = TaskBook()
    book.add(TaskOptions(id="first", fn=print, every=10.0), 1000.0)
    book.fire_due(1010.0)
    book.add(TaskOptions(id="second", fn=print, first_after=0.0), 1010.0)

    assert [run.task.id for run in (book.take(1010.0), book.take(1010.0)) if run] == ["first", "second"]


def test_firing_stops_at_its_limit() -> None:
    """One look queues no more than it is told to, and leaves the rest due."""
    book = TaskBook()
    for number in range(5):
        book.add(TaskOptions(id=f"task-{number}", fn=print, every=10.0), 1000.0)
    book.fire_due(1010.0, 3)

    assert len(book.ready) == 3
    assert book.next_due() == 1010.0


def test_a_run_that_ended_has_no_deadline() -> None:
    """Deadlines of runs that are over neither come up nor pile up."""
    book = TaskBook()
    book.add(TaskOptions(id="poll", fn=print, every=1.0, timeout=3600.0), 1000.0)
    for number in range(1, 1001):
        run = book.take(1000.0 + number)
        assert run is not None
        book.end(run, 1000.0 + number)

    assert len(book.deadlines._heap) <= 65
    assert book.deadlines.next() == NEVER
    run = book.take(2001.0)
    assert run is not None
    assert book.deadlines.next() == 2001.0 + 3600.0
    assert book.deadlines.expire(2001.0 + 3600.0) == [run]


def test_the_next_due_time_passes_over_what_is_paused() -> None:
    """A paused or removed task is nothing to wake up for."""
    book = TaskBook()
    first = book.add(TaskOptions(id="first", fn=print, every=10.0), 1000.0)
    second = book.add(TaskOptions(id="second", fn=print, every=20.0), 1000.0)
    third = book.add(TaskOptions(id="third", fn=print, every=30.0), 1000.0)
    first.schedule.pause()
    book.remove(second)

    assert book.next_due() == third.schedule.due == 1030.0
