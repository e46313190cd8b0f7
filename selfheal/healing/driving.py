"""One way of healing, several ways of running it.

What a healer does is written once, as a generator that yields each call it wants made, and each time it wants to let
pass, and is sent what came of it. :class:`Running` takes such a generator on until it waits or ends, by plain calls or
in an event loop; :func:`drive` and :func:`adrive` wait for it too, and take it to its end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

import attrs

from selfheal.clock import Clock
from selfheal.errors import ConfigError

_LOOK_EVERY = 0.05
"""Seconds between two looks at what a blocking wait waits for."""


@attrs.frozen
class Call:
    """A call of the host's code.

    Args:
        fn: what to call, without arguments.
        slow: whether it may block for long and gives nothing to await: not to be made in an event loop.
    """

    fn: Callable[[], object]
    slow: bool = False


@attrs.frozen
class Wait:
    """Time to let pass.

    Args:
        seconds: how long at most.
        until: ends it earlier, as soon as it says ``True``; quick, and without effect.
    """

    seconds: float
    until: Callable[[], bool] | None = None


T = TypeVar("T")
Steps = Generator[Call | Wait, object, T]


class Running(Generic[T]):
    """A healing under way. Not for two threads at once.

    Args:
        steps: the healing.
        clock: for its waits.
        about: what it is about, for whoever keeps it.
    """

    def __init__(self, steps: Steps[T], clock: Clock, about: str = "") -> None:
        self.about = about
        self._steps = steps
        self._clock = clock
        self._wait: Wait | None = None
        self._wake_at = 0.0
        self._results: list[T] = []

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return bool(self._results)

    @property
    def result(self) -> T:
        """What it brought. Only once it has ended."""
        return self._results[0]

    @property
    def ready(self) -> bool:
        """Whether there is nothing to wait for."""
        wait = self._wait
        if wait is None or self._clock.monotonic() >= self._wake_at:
            return True
        return wait.until is not None and wait.until()

    @property
    def wait(self) -> float:
        """Seconds until it goes on at the latest."""
        return 0.0 if self._wait is None else max(0.0, self._wake_at - self._clock.monotonic())

    def advance(self) -> None:
        """Go on until it waits or ends."""
        call = self._go_on(None)
        while call is not None:
            try:
                value = _plain(call.fn())
            except BaseException as error:
                call = self._go_on(None, error)
            else:
                call = self._go_on(value)

    async def aadvance(self) -> None:
        """:meth:`advance` in an event loop. What is plain is called in the loop's own thread, unless it is slow."""
        call = self._go_on(None)
        while call is not None:
            try:
                value = await _awaited(call)
            except BaseException as error:
                call = self._go_on(None, error)
            else:
                call = self._go_on(value)

    def _go_on(self, value: object, error: BaseException | None = None) -> Call | None:
        """Take it to its next call; ``None`` where it waits now, or has ended."""
        self._wait = None
        try:
            step = self._steps.send(value) if error is None else self._steps.throw(error)
        except StopIteration as end:
            self._results.append(end.value)
            return None
        if isinstance(step, Call):
            return step
        self._wait, self._wake_at = step, self._clock.monotonic() + step.seconds
        return None


def drive(steps: Steps[T], clock: Clock) -> T:
    """Run to the end in this thread, waits included."""
    running = Running(steps, clock)
    running.advance()
    while not running.ended:
        while not running.ready:
            clock.sleep(min(running.wait, _LOOK_EVERY))
        running.advance()
    return running.result


async def adrive(steps: Steps[T], clock: Clock) -> T:
    """Run to the end in this event loop, waits included."""
    running = Running(steps, clock)
    await running.aadvance()
    while not running.ended:
        while not running.ready:
            await clock.asleep(min(running.wait, _LOOK_EVERY))
        await running.aadvance()
    return running.result


async def _awaited(call: Call) -> object:
    if call.slow:
        import asyncio

        return await asyncio.to_thread(call.fn)
    value = call.fn()
    return await value if inspect.isawaitable(value) else value


def _plain(value: object) -> object:
    if not inspect.isawaitable(value):
        return value
    if isinstance(value, Coroutine):
        closing: Coroutine[Any, Any, Any] = value
        closing.close()
    raise ConfigError("the healing", value, "plain here: call ahandle, arun_once or aprevent for one that is async")
