"""Guarded functions: of the same kind and signature as what they guard.

Each keeps to one order: ask to make the call, make it without any lock, hand in what became of it.
Plain and async functions have a hot path compiled for them (see ``template``); generators, awaitables and
whatever else goes through :func:`call` and its likes here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import CellType
from typing import Any

from selfheal.errors import CircuitOpenError
from selfheal.policies.breaker import template
from selfheal.policies.breaker.circuit import Admitted, Circuit
from selfheal.policies.breaker.counter import Stamp


def guard(circuit: Circuit, fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``fn`` guarded by ``circuit``: sync, async, generator or async generator, as ``fn`` is."""
    kind = _deciding_function(fn)
    if inspect.isasyncgenfunction(kind):
        guarded = _guard_async_generator(circuit, fn)
    elif inspect.isgeneratorfunction(kind):
        guarded = _guard_generator(circuit, fn)
    elif inspect.iscoroutinefunction(kind):
        cells = {**circuit.cells, **_cells(fn=fn, ask=functools.partial(acall, circuit, fn))}
        guarded = template.compile_guarded(fn, circuit.config, cells, is_async=True)
    else:
        cells = {**circuit.cells, **_cells(fn=fn, ask=functools.partial(call, circuit, fn))}
        cells |= _cells(**_deferring(circuit))
        guarded = template.compile_guarded(fn, circuit.config, cells, is_async=False)
    return functools.update_wrapper(guarded, fn)


def call(circuit: Circuit, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Make one guarded call. If it gives an awaitable, the awaitable is guarded until it is done.

    Raises:
        CircuitOpenError: if the circuit refuses and has no fallback.
    """
    admitted, source = _begin(circuit, fn)
    try:
        result = source(*args, **kwargs)
    except BaseException as error:
        _end(circuit, admitted, error)
        raise
    if admitted is None:
        return result
    if _is_awaitable(type(result)):
        return _defer(circuit, admitted, result)
    circuit.leave(admitted, result)
    return result


async def acall(circuit: Circuit, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
    """Make one guarded call of an async function.

    Raises:
        CircuitOpenError: if the circuit refuses and has no fallback.
    """
    admitted, source = _begin(circuit, fn)
    if admitted is None:
        return await _fall_back_async(circuit, *args, **kwargs)
    return await _finish(circuit, admitted, source, *args, **kwargs)


async def _finish(
    circuit: Circuit, admitted: Admitted, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
) -> Any:
    try:
        result = await fn(*args, **kwargs)
    except BaseException as error:
        circuit.leave_failed(admitted, error)
        raise
    circuit.leave(admitted, result)
    return result


async def _fall_back_async(circuit: Circuit, /, *args: Any, **kwargs: Any) -> Any:
    fallback = circuit.config.fallback
    result: Any = fallback(*args, **kwargs) if fallback else None
    return await result if _is_awaitable(type(result)) else result


def _guard_generator(circuit: Circuit, fn: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    """The call begins with the first ``next``; closing early is no failure, it decides nothing."""

    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        admitted, source = _begin(circuit, fn)
        try:
            result = yield from source(*args, **kwargs)
        except BaseException as error:
            _end(circuit, admitted, error)
            raise
        _end(circuit, admitted, None, result)
        return result

    return guarded


def _guard_async_generator(circuit: Circuit, fn: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    """As for generators; ``asend``, ``athrow`` and ``aclose`` reach the one inside."""

    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        admitted, source = _begin(circuit, fn)
        inner = source(*args, **kwargs)
        try:
            value = await inner.asend(None)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:
                    value = await inner.athrow(thrown)
                else:
                    value = await inner.asend(sent)
        except StopAsyncIteration:
            _end(circuit, admitted, None)
        except BaseException as error:
            _end(circuit, admitted, error)
            raise

    return guarded


def _begin(circuit: Circuit, fn: Callable[..., Any]) -> tuple[Admitted | None, Callable[..., Any]]:
    """What to run: ``fn`` with its permit, or the fallback without one."""
    try:
        return circuit.enter(), fn
    except CircuitOpenError:
        if circuit.config.fallback is None:
            raise
        return None, circuit.config.fallback


def _end(circuit: Circuit, admitted: Admitted | None, error: BaseException | None, result: Any = None) -> None:
    if admitted is None:
        return
    if error is None:
        circuit.leave(admitted, result)
    else:
        circuit.leave_failed(admitted, error)


def _deferring(circuit: Circuit) -> dict[str, Any]:
    """What the hot path of a plain function needs to notice that a result is an awaitable.

    ``plain`` holds the type of the last result that was none, so that the usual call pays one comparison.
    """
    plain = CellType(None)

    def is_deferred(result: object) -> bool:
        if _is_awaitable(type(result)):
            return True
        plain.cell_contents = type(result)
        return False

    def defer(stamp: Stamp, result: Any, started: float = float("nan")) -> Any:
        return _defer(circuit, circuit.admitted_by(stamp, started), result)

    return {"plain": plain, "is_deferred": is_deferred, "defer": defer}


def _defer(circuit: Circuit, admitted: Admitted, result: Any) -> Any:
    """Guard an awaitable until it is done. A future stays the object it is; others become a coroutine."""
    when_done = getattr(result, "add_done_callback", None)
    if when_done is None:
        return _finish(circuit, admitted, lambda: result)

    def done(future: Any) -> None:
        if future.cancelled():
            circuit.leave_undecided(admitted)
        elif (error := future.exception()) is not None:
            circuit.leave_failed(admitted, error)
        else:
            circuit.leave(admitted, future.result())

    when_done(done)
    return result


def _is_awaitable(kind: type) -> bool:
    return hasattr(kind, "__await__")


def _deciding_function(fn: Any) -> Any:
    """The function that decides what kind ``fn`` is of: looks through partials and ``__call__``."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isroutine(fn) or isinstance(fn, type):
        return fn
    return type(fn).__call__


def _cells(**values: Any) -> dict[str, CellType]:
    return {name: value if isinstance(value, CellType) else CellType(value) for name, value in values.items()}
