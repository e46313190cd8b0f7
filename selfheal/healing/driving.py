"""One way of healing, two ways of running it.

What a healer does is written once, as a generator that yields each call it wants made and is sent what
came of it. :func:`drive` makes the calls plainly, :func:`adrive` awaits what has to be awaited.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import attrs

from selfheal.errors import ConfigError


@attrs.frozen
class Call:
    """A call of the host's code.

    Args:
        fn: what to call, without arguments.
        slow: whether it may block for long and gives nothing to await: not to be made in an event loop.
    """

    fn: Callable[[], object]
    slow: bool = False


T = TypeVar("T")
Steps = Generator[Call, object, T]


def drive(steps: Steps[T]) -> T:
    """Run to the end in this thread."""
    try:
        call = next(steps)
        while True:
            try:
                value = _plain(call.fn())
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(value)
    except StopIteration as end:
        result: T = end.value
        return result


async def adrive(steps: Steps[T]) -> T:
    """Run to the end in this event loop. A plain healing is called in the loop's own thread."""
    try:
        call = next(steps)
        while True:
            try:
                value = await _awaited(call)
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(value)
    except StopIteration as end:
        result: T = end.value
        return result


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
