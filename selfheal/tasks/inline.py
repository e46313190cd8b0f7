"""Runs what is due in the calling thread: for tests on a virtual clock and hosts that want no threads."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from selfheal.tasks.calling import call, told
from selfheal.tasks.task import Run, current_run, set_current

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from selfheal.tasks.engine import Engine


def _discard(work: Coroutine[Any, Any, object]) -> None:
    """Close a coroutine that never started, so that nobody warns about it."""
    if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
        work.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that is running in this thread, if any."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class InlineRunner:
    """Drives an engine's book by hand.

    Args:
        engine: whose book, lock, clock and reporting are used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runner: asyncio.Runner | None = None

    def run_due(self) -> int:
        """Run every task due now, one after the other; tell how many ran."""
        engine, book = self._engine, self._engine.book
        engine.look_at_clocks()
        with engine.lock:
            book.fire_due(engine.now())
        count = 0
        while (run := self._next()) is not None:
            self._run(run)
            count += 1
        return count

    def close(self) -> None:
        """Close the loop that async tasks ran on, if one was needed."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if _running_loop() is None:
            runner.close()
        else:  # which wants to run its loop to its end, and cannot beside the one running here
            runner.get_loop().close()

    def _next(self) -> Run | None:
        engine, book = self._engine, self._engine.book
        with engine.lock:
            queue = book.ready or book.ready_async
            while queue:
                run = book.begin(queue.popleft(), engine.now())
                if run is not None:
                    return run
                queue = book.ready or book.ready_async
        return None

    def _run(self, run: Run) -> None:
        engine, error, interrupt, around = self._engine, None, None, current_run()
        try:
            outcome = call(run, (KeyboardInterrupt,))
            error = outcome if outcome is None or isinstance(outcome, str) else self._await(run, outcome)
        except KeyboardInterrupt as pressed:  # this thread is the host's: the key was meant for it
            error, interrupt = "KeyboardInterrupt", pressed
        finally:
            set_current(around)
        with engine.lock:
            trouble = engine.book.end(run, engine.now(), error)
        if trouble is not None:
            engine.report(trouble)
        if interrupt is not None:
            raise interrupt

    def _await(self, run: Run, work: Coroutine[Any, Any, object]) -> str | None:
        """Wait for a coroutine; give its error as text."""
        try:
            return self._drive(run.task.options.loop, self._bounded(run, work))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a cancellation, or a loop that cannot be used from here
            return told(run, error)
        finally:
            _discard(work)

    def _drive(self, given: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, str | None]) -> str | None:
        import asyncio

        busy = _running_loop()
        try:
            if busy is not None and (given is None or given is not busy):
                given = self._engine.loops.own_loop() if given is None else given
            if given is not None and given is not busy and given.is_running():
                return asyncio.run_coroutine_threadsafe(work, given).result()
            if busy is not None:
                raise RuntimeError("run_due() blocks the loop this task needs; call it from another thread")
            if given is not None:
                return given.run_until_complete(work)
            self._runner = self._runner or asyncio.Runner()
            return self._runner.run(work)
        finally:
            _discard(work)

    @staticmethod
    async def _bounded(run: Run, work: Coroutine[Any, Any, object]) -> str | None:
        import asyncio

        try:
            await asyncio.wait_for(work, run.task.timeout)
        except (Exception, SystemExit) as error:  # a SystemExit would end the loop, not only the run
            return told(run, error)
        return None
