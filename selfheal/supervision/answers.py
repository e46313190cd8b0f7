"""Answers of the supervisor's thread, waited for with or without ``async``: one core, two short ways to wait."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Coming(concurrent.futures.Future[Any]):
    """An answer on its way. Where nobody waits for it any more, ``given_up`` says so."""

    given_up = False


class Answer(Generic[T]):
    """An answer to come.

    Args:
        future: where it comes; ``None``: it is ``otherwise`` at once.
        otherwise: the answer when it does not come in time.
        patience: seconds to wait for it; ``None``: as long as it takes.
        thread: the one that gives it, and so must never wait for it.
    """

    def __init__(
        self,
        future: Coming | None,
        otherwise: Callable[[], T],
        patience: float | None = None,
        thread: threading.Thread | None = None,
    ) -> None:
        self._future = future
        self._otherwise = otherwise
        self._patience = patience
        self._thread = thread

    def wait(self) -> T:
        """Wait in this thread."""
        if self._future is None or self._thread is threading.current_thread():
            return self._otherwise()
        try:
            answer: T = self._future.result(self._patience)
        except concurrent.futures.TimeoutError:
            self._future.given_up = True
            return self._otherwise()
        return answer

    async def await_it(self) -> T:
        """Wait in a coroutine."""
        import asyncio  # 60 ms to import: only who waits in a coroutine pays

        if self._future is None or self._thread is threading.current_thread():
            return self._otherwise()
        coming = asyncio.wrap_future(self._future)
        try:
            await asyncio.wait({coming}, timeout=self._patience)
        finally:
            self._future.given_up = not coming.done()
        if not coming.done():
            return self._otherwise()
        answer: T = coming.result()
        return answer
