"""Runs async tasks: on the loop they were registered with, or on a loop thread of our own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from selfheal.clock import SYSTEM_CLOCK
from selfheal.tasks.calling import told
from selfheal.tasks.task import Run, Task, Trouble, describe

if TYPE_CHECKING:
    import asyncio

    from selfheal.tasks.book import TaskBook

logger = logging.getLogger("selfheal.tasks")

CANCEL_GRACE = 1.0
"""Seconds a cancelled coroutine has to end before it is given up."""


class AsyncHost:
    """Where an async run lives: its loop and, once it began there, its asyncio task."""

    __slots__ = ("aio", "cancel_seen", "loop", "owned")

    def __init__(self, loop: asyncio.AbstractEventLoop, owned: bool) -> None:
        self.loop = loop
        self.owned = owned
        self.aio: asyncio.Task[None] | None = None
        self.cancel_seen = False


class LoopThread:
    """An event loop on a daemon thread of its own."""

    def __init__(self) -> None:
        import asyncio

        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="selfheal-loop", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def stop(self, deadline: float) -> bool:
        """Stop the loop and wait for its thread until ``deadline`` (real monotonic seconds); tell if it ended."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        if self.thread is not threading.current_thread():
            self.thread.join(max(deadline - SYSTEM_CLOCK.monotonic(), 0.0))
        return not self.thread.is_alive()


class LoopRunner:
    """Starts, cancels and ends async runs.

    Args:
        book: where the runs are kept.
        lock: guards the book.
        now: monotonic seconds.
        report: told of each run that did not go well; called without the lock.
        kick: called without the lock when ending a run queued another.
        expect: called without the lock with the deadline of a run that has one.
    """

    def __init__(
        self,
        book: TaskBook,
        lock: threading.RLock,
        now: Callable[[], float],
        *,
        report: Callable[[Trouble], None],
        kick: Callable[[], None],
        expect: Callable[[float], None],
    ) -> None:
        self._book = book
        self._lock = lock
        self._now = now
        self._report = report
        self._kick = kick
        self._expect = expect
        self._own_lock = threading.Lock()
        self._own: LoopThread | None = None
        self._retired: list[LoopThread] = []
        self._closed = False

    def launch(self, tasks: Iterable[Task]) -> None:
        """Without the lock: start the queued runs of ``tasks``, one wake-up for each loop."""
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Task]] = {}
        for task in tasks:
            by_loop.setdefault(task.options.loop, []).append(task)
        for given, batch in by_loop.items():
            try:
                loop = given or self.own_loop()
                loop.call_soon_threadsafe(self._begin_all, loop, batch)
            except (RuntimeError, OSError) as error:  # the host closed its loop, or there is none to be had
                for task in batch:
                    self._refuse(task, describe(error))

    def adopt(self, run: Run, work: Coroutine[Any, Any, object]) -> None:
        """Without the lock: go on with a run whose function returned a coroutine."""
        given = run.task.options.loop
        try:
            loop = given or self.own_loop()
            run.host = AsyncHost(loop, given is None)
            loop.call_soon_threadsafe(self._spawn, run, work)
        except (RuntimeError, OSError) as error:
            work.close()
            self._finish(run, describe(error))

    def cancel(self, run: Run) -> bool:
        """Without the lock: ask an async run to stop. Tell whether it is one."""
        host = run.host
        if not isinstance(host, AsyncHost):
            return False
        try:
            host.loop.call_soon_threadsafe(self._cancel, host)
        except RuntimeError:
            logger.warning("task %r cannot be cancelled: its loop is closed", run.task.id)
        return True

    def give_up(self, run: Run) -> bool:
        """Without the lock: a cancelled run did not end. If it holds up our own loop, leave that loop to it.

        Returns:
            Whether further runs get a new loop.
        """
        host = run.host
        if not isinstance(host, AsyncHost) or host.cancel_seen or not host.owned:
            return False
        with self._own_lock:
            if self._own is not None and self._own.loop is host.loop:
                self._retired.append(self._own)
                self._own = None
        logger.error("task %r blocks the loop thread; further async tasks get a new one", run.task.id)
        return True

    def blocked_here(self, run: Run) -> bool:
        """Whether ``run`` lives on the loop whose thread is calling, so that waiting for it would be in vain."""
        host = run.host
        if not isinstance(host, AsyncHost):
            return False
        import asyncio

        try:
            return asyncio.get_running_loop() is host.loop
        except RuntimeError:
            return False

    def close(self) -> None:
        """Start no loop thread any more."""
        self._closed = True

    def stop(self, deadline: float) -> None:
        """Without the lock: stop our own loops, waiting for them until ``deadline`` (real monotonic seconds)."""
        with self._own_lock:
            threads = [*self._retired, *([self._own] if self._own else [])]
        for thread in threads:
            thread.stop(deadline)

    def own_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of our own thread, which is started if there is none."""
        with self._own_lock:
            if self._own is None:
                if self._closed:
                    raise RuntimeError("the task registry is shut down")
                self._own = LoopThread()
            return self._own.loop

    # --- on the loop

    def _begin_all(self, loop: asyncio.AbstractEventLoop, tasks: list[Task]) -> None:
        for task in tasks:
            with self._lock:
                run = self._book.begin(task, self._now())
                if run is not None:
                    run.host = AsyncHost(loop, task.options.loop is None)
            if run is not None:
                self._spawn(run, None)
                if task.timeout is not None:
                    self._expect(run.started + task.timeout)

    def _spawn(self, run: Run, work: Coroutine[Any, Any, object] | None) -> None:
        host = run.host
        host.aio = host.loop.create_task(self._guard(run, work), name=f"selfheal {run.task.id}")
        if run.cancelled:
            host.aio.cancel()

    async def _guard(self, run: Run, work: Coroutine[Any, Any, object] | None) -> None:
        """Await the task. Nothing leaves here: a ``SystemExit`` would end the host's loop."""
        error: str | None = None
        try:
            await (run.task.fn() if work is None else work)  # type: ignore[misc]
        except BaseException as raised:
            error = "cancelled" if run.cancelled else told(run, raised)
        self._finish(run, error)

    def _finish(self, run: Run, error: str | None) -> None:
        stopped = run.cancelled and not run.overdue
        with self._lock:
            trouble = self._book.end(run, self._now(), error, counts=not stopped)
            wanted = bool(self._book.ready_async or self._book.ready)
        if trouble is not None:
            self._report(trouble)
        if wanted or run.abandoned:
            self._kick()
        if self._retired and isinstance(run.host, AsyncHost):
            self._end_if_empty(run.host.loop)

    def _end_if_empty(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop a loop that was given up once nothing runs on it any more."""
        with self._lock:
            if any(isinstance(run.host, AsyncHost) and run.host.loop is loop for run in self._book.live):
                return
        with self._own_lock:
            empty = [thread for thread in self._retired if thread.loop is loop]
            self._retired = [thread for thread in self._retired if thread.loop is not loop]
        for thread in empty:
            thread.loop.call_soon_threadsafe(thread.loop.stop)

    def _cancel(self, host: AsyncHost) -> None:
        host.cancel_seen = True
        if host.aio is not None:
            host.aio.cancel()

    def _refuse(self, task: Task, error: str) -> None:
        with self._lock:
            run = self._book.begin(task, self._now())
        if run is not None:
            self._finish(run, error)
