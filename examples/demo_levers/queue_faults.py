"""A queue that is stuck: another process takes tasks from its file and is never done with them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from examples.demo_levers.measuring import Bound, Results, until
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.resources import TaskQueue

_ROOT = Path(__file__).resolve().parents[2]
_STUCK = "stuck-worker"
VISIBILITY = 2.0
POLL = 0.1
HELD, TASKS = 3, 6


def open_queue(path: str | Path, events: EventBus = DEFAULT_BUS) -> TaskQueue:
    """The queue in a file, shared by processes."""
    return TaskQueue("shared", path=path, visibility=VISIBILITY, poll=POLL, synchronous="normal", events=events)


class StuckQueue:
    """A queue whose tasks a process takes and keeps.

    Args:
        directory: for its file.
        events: where the queue tells what it does.
    """

    def __init__(self, directory: Path, events: EventBus) -> None:
        self._path = directory / "queue.sqlite"
        self._queue = open_queue(self._path, events)

    def close(self) -> None:
        """Let go of the file."""
        self._queue.close()

    def times_out(self, results: Results) -> None:
        """Nobody does anything: each task comes back when its time with its taker is over."""
        with results.trial("queue stuck: taken, never acknowledged") as trial, self._holder() as began:
            trial.strikes(f"a process holds {HELD} of {TASKS} tasks and works on none")
            self._work_off()
            left = self._queue.snapshot()
            trial.expect("the others are done meanwhile", left.delivered == HELD, f"{left.holders} held")
            found = until("that its time is over", lambda: self._queue.snapshot().expired, began, 10.0)
            trial.seen("its visibility timeout is over", found, Bound.of(0.5, visibility=VISIBILITY))
            until("all done", self._all_done, began, 10.0)
            ended = SYSTEM_CLOCK.monotonic() - began
            trial.ended("delivered to others, all done", ended, Bound.of(0.5, visibility=VISIBILITY, poll=POLL))

    def is_redistributed(self, results: Results) -> None:
        """A person, or a healing, takes the tasks away from the worker that is stuck."""
        with results.trial("queue stuck: tasks redistributed") as trial, self._holder() as began:
            trial.strikes(f"a process holds {HELD} of {TASKS} tasks and works on none")
            found = until("who holds them", lambda: self._queue.snapshot().holders.get(_STUCK) == HELD, began, 5.0)
            trial.seen(f"the queue tells who holds what: {_STUCK} {HELD}", found, Bound.of(0.5))
            moved = self._queue.redistribute(_STUCK, "it is stuck")
            until("all done", self._all_done, began, 5.0)
            ended = SYSTEM_CLOCK.monotonic() - began
            trial.ended(f"{moved} tasks redistributed, all done", ended, Bound.of(1.0))
            trial.expect("all of its tasks were taken away", moved == HELD, moved)

    @contextlib.contextmanager
    def _holder(self) -> Iterator[float]:
        """Put tasks, and have a process that takes some and keeps them; gives the moment at which it had them."""
        done = self._queue.snapshot().acked
        for number in range(TASKS):
            self._queue.put({"number": number})
        command = [sys.executable, "-m", "examples.demo_levers.taker", str(self._path), _STUCK, str(HELD)]
        with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                yield SYSTEM_CLOCK.monotonic()
            finally:
                process.kill()
        assert self._queue.snapshot().acked == done + TASKS

    def _work_off(self) -> None:
        """What a worker that is well does: take, work, acknowledge."""
        while (delivery := self._queue.take("well")) is not None:
            self._queue.ack(delivery)

    def _all_done(self) -> bool:
        self._work_off()
        return self._queue.snapshot().size == 0
