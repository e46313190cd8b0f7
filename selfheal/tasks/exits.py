"""What becomes of registries when the interpreter exits or a module is imported again."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from selfheal.clock import SYSTEM_CLOCK

logger = logging.getLogger("selfheal.tasks")
T = TypeVar("T")


class Stoppable(Protocol):
    """A registry, as far as its end goes."""

    def shutdown(self, timeout: float = ...) -> object:
        """Stop for good, within so many seconds."""

    def _at_exit(self, spent: float) -> None: ...


_TAKE_OVER = 1.0
"""Seconds a registry of an earlier import gets to end its runs."""

_running: weakref.WeakSet[Stoppable] = weakref.WeakSet()
_by_owner: weakref.WeakValueDictionary[str, Stoppable] = weakref.WeakValueDictionary()
_kept: list[object] = []
_installed = False


def watch(registry: Stoppable) -> None:
    """Have ``registry`` shut down when the interpreter exits."""
    global _installed
    _running.add(registry)
    if not _installed:
        _installed = True
        atexit.register(_at_exit)


def forget(registry: Stoppable) -> None:
    """``registry`` needs no clean-up any more."""
    _running.discard(registry)


def take_over(registry: Stoppable, owner: str | None) -> None:
    """Note that ``registry`` belongs to ``owner``, and shut down the one that did before."""
    if owner is None:
        return
    before = _by_owner.get(owner)
    _by_owner[owner] = registry
    if before is not None:
        before.shutdown(_TAKE_OVER)


def keep(thing: object) -> None:
    """Never let ``thing`` be collected in this process."""
    _kept.append(thing)


async def in_a_thread(call: Callable[[], T]) -> T:
    """Await ``call`` on a daemon thread of its own: asyncio's executor would be joined at exit without a bound."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:
            error = raised
        loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="selfheal-shutdown", daemon=True).start()
    return await done


def _at_exit() -> None:
    """Shut down what still runs, all together within the longest of their exit timeouts."""
    registries = list(_running)
    started = SYSTEM_CLOCK.monotonic()
    for registry in registries:
        spent = SYSTEM_CLOCK.monotonic() - started
        registry._at_exit(spent)
