"""Fifteen ways in which circuit breakers have gone wrong; each test fails without the guard against it."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from selfheal import BreakerRegistry, CircuitBreaker, CircuitOpenError, EventBus, ExponentialBackoff
from selfheal.errors import CircuitConflictError, ResetRefusedError
from selfheal.events import BreakerStateChanged
from selfheal.policies.breaker import BreakerState
from selfheal.testing import FakeClock
from tests.policies.breaker.conftest import Boom, fail_times

Make = Callable[..., CircuitBreaker]


# 1 — results from before a trip


def test_late_results_neither_close_nor_reopen(make: Make, clock: FakeClock) -> None:
    """Calls permitted before the trip change nothing after it, not even how long the circuit stays open."""
    breaker = make()
    slow_good, slow_bad = breaker.guard(), breaker.guard()
    slow_good.__enter__()
    slow_bad.__enter__()
    fail_times(breaker, 3)
    clock.advance(30)
    slow_good.succeed()
    slow_bad.fail()
    seen = breaker.snapshot()

    assert (seen.state, seen.failure_count, seen.retry_after, seen.late) == (BreakerState.OPEN, 3, 30.0, 2)


def test_late_success_on_the_hot_path_does_not_break_a_new_streak(make: Make, clock: FakeClock) -> None:
    """A success admitted before the trip does not interrupt the failures counted after recovery."""
    breaker = make()
    gate, inside = threading.Event(), threading.Event()

    @breaker
    def target(slow: bool = False) -> None:
        if slow:
            inside.set()
            gate.wait(60)

    worker = threading.Thread(target=target, args=(True,))
    worker.start()
    assert inside.wait(60)
    fail_times(breaker, 3)
    clock.advance(60)
    target()
    fail_times(breaker, 2)
    gate.set()
    worker.join()
    fail_times(breaker, 1)

    assert breaker.state is BreakerState.OPEN
    assert breaker.snapshot().late == 1


# 2 — probes


@pytest.mark.parametrize("probes", [1, 3])
def test_half_open_admits_exactly_its_probes_to_twenty_threads(make: Make, clock: FakeClock, probes: int) -> None:
    """Twenty threads at once: as many get through as there are places, all others are refused."""
    breaker = make(half_open_probes=probes, success_threshold=probes)
    fail_times(breaker, 3)
    clock.advance(60)
    start, hold = threading.Barrier(20), threading.Event()
    inside: list[int] = []

    @breaker
    def probe() -> None:
        inside.append(1)
        hold.wait(60)

    def ask() -> bool:
        start.wait(60)
        try:
            probe()
        except CircuitOpenError:
            if breaker.snapshot().rejected == 20 - probes:
                hold.set()
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        admitted = sum(pool.map(lambda _: ask(), range(20)))

    assert (admitted, len(inside)) == (probes, probes)
    assert breaker.state is BreakerState.CLOSED


# 3 — cancelled and hung probes


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit])
def test_a_cancelled_probe_gives_its_place_back(make: Make, clock: FakeClock, error: type[BaseException]) -> None:
    """A probe that is broken off decides nothing, and the next call may probe."""
    breaker = make()
    fail_times(breaker, 3)
    clock.advance(60)

    def target() -> None:
        raise error

    with pytest.raises(error):
        breaker.call(target)
    assert breaker.state is BreakerState.HALF_OPEN

    breaker.call(lambda: None)
    assert breaker.state is BreakerState.CLOSED


def test_a_task_cancelled_while_probing_gives_its_place_back(make: Make, clock: FakeClock) -> None:
    """The same through asyncio: cancelling the task frees the probe."""
    breaker = make()
    fail_times(breaker, 3)
    clock.advance(60)

    @breaker
    async def target() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(target())
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpenError):
            await target()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    with breaker.guard():
        pass
    assert breaker.state is BreakerState.CLOSED


def test_a_hung_probe_loses_its_place_at_its_deadline(make: Make, clock: FakeClock) -> None:
    """A probe that never returns blocks recovery for its timeout and no longer; its late result is dropped."""
    breaker = make(probe_timeout=30.0)
    fail_times(breaker, 3)
    clock.advance(60)
    hung = breaker.guard()
    hung.__enter__()
    clock.advance(29)
    with pytest.raises(CircuitOpenError) as refused, breaker.guard():
        pass
    assert refused.value.retry_after == 1.0

    clock.advance(1)
    with breaker.guard():
        hung.fail()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.snapshot().late == 1


def test_probes_of_an_earlier_half_open_state_hold_no_place(make: Make, clock: FakeClock) -> None:
    """A probe still under way when another reopens the circuit neither blocks nor decides the next half-open."""
    breaker = make(half_open_probes=2)
    fail_times(breaker, 3)
    clock.advance(60)
    still_running = breaker.guard()
    still_running.__enter__()
    fail_times(breaker, 1)
    clock.advance(60)
    first, second = breaker.guard(), breaker.guard()
    first.__enter__()
    second.__enter__()
    still_running.fail()
    assert breaker.state is BreakerState.HALF_OPEN
    second.succeed()
    assert breaker.state is BreakerState.CLOSED


# 4 — BaseException


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_base_exceptions_pass_unchanged_and_uncounted(make: Make, error: type[BaseException]) -> None:
    """What is no Exception is neither a failure nor replaced."""
    breaker = make(failure_threshold=1)
    raised = error()

    @breaker
    def target() -> None:
        raise raised

    with pytest.raises(error) as caught:
        target()

    assert caught.value is raised
    seen = breaker.snapshot()
    assert (seen.state, seen.failures, seen.successes, seen.cancelled) == (BreakerState.CLOSED, 0, 0, 1)


def test_the_call_that_trips_raises_its_own_error(make: Make) -> None:
    """The failure that opens the circuit is seen by its caller as it is."""
    breaker = make(failure_threshold=1)
    own = Boom("mine")

    @breaker
    def target() -> None:
        raise own

    with pytest.raises(Boom) as caught:
        target()
    assert caught.value is own
    assert breaker.state is BreakerState.OPEN


# 5 — generators


def test_generator_errors_count_and_its_protocol_passes_through(make: Make) -> None:
    """``send``, ``throw``, the return value and iteration errors are those of the guarded generator."""
    breaker = make()

    @breaker
    def echo() -> Generator[Any, Any, str]:
        got = yield "ready"
        try:
            got = yield got
        except KeyError:
            got = yield "caught"
        if got == "fail":
            raise Boom
        return "done"

    first = echo()
    assert [next(first), first.send("a"), first.throw(KeyError())] == ["ready", "a", "caught"]
    with pytest.raises(StopIteration) as end:
        next(first)
    assert end.value.value == "done"
    assert breaker.snapshot().successes == 1

    second = echo()
    next(second)
    second.send("b")
    with pytest.raises(Boom):
        second.send("fail")
    assert breaker.snapshot().failures == 1
    assert inspect.isgeneratorfunction(echo)


def test_closing_a_generator_early_is_no_failure(make: Make, clock: FakeClock) -> None:
    """A reader that has enough decides nothing, and gives a probe's place back."""
    breaker = make()

    @breaker
    def rows() -> Iterator[int]:
        yield from range(10)

    fail_times(breaker, 3)
    clock.advance(60)
    for row in rows():
        if row == 2:
            break
    gc.collect()
    assert (breaker.state, breaker.snapshot().failures) == (BreakerState.HALF_OPEN, 3)
    assert list(rows()) == list(range(10))
    assert breaker.state is BreakerState.CLOSED


def test_async_generators_behave_alike(make: Make) -> None:
    """``asend``, ``athrow``, ``aclose`` and errors of async generators pass through and count."""
    breaker = make()
    closed: list[str] = []

    @breaker
    async def echo(fail: bool = False) -> AsyncIterator[Any]:
        try:
            try:
                got = yield "ready"
            except KeyError:
                got = yield "caught"
            yield got
            if fail:
                raise Boom
        finally:
            closed.append("inner")

    async def run() -> None:
        one: Any = echo()
        assert [await one.__anext__(), await one.asend("a")] == ["ready", "a"]
        with pytest.raises(StopAsyncIteration):
            await one.__anext__()
        two: Any = echo()
        assert [await two.__anext__(), await two.athrow(KeyError())] == ["ready", "caught"]
        await two.aclose()
        with pytest.raises(Boom):
            assert [value async for value in echo(fail=True)]

    asyncio.run(run())
    seen = breaker.snapshot()
    assert (seen.successes, seen.failures, seen.cancelled) == (1, 1, 1)
    assert closed == ["inner"] * 3
    assert inspect.isasyncgenfunction(echo)


def test_a_generator_is_refused_when_it_is_begun(make: Make) -> None:
    """An open circuit refuses at the first ``next``, sync and async."""
    breaker = make()
    breaker.trip("test")

    @breaker
    def rows() -> Iterator[int]:
        yield 1

    @breaker
    async def arows() -> AsyncIterator[int]:
        yield 1

    async def read() -> list[int]:
        return [row async for row in arows()]

    with pytest.raises(CircuitOpenError):
        next(rows())
    with pytest.raises(CircuitOpenError):
        asyncio.run(read())


# 6 — whatever gives an awaitable


class AsyncCallable:
    """An object that is called like an async function."""

    async def __call__(self, fail: bool) -> str:
        """Fail, or not."""
        if fail:
            raise Boom
        return "ok"


def _targets() -> dict[str, Callable[[bool], Any]]:
    inner = AsyncCallable()

    def gives_coroutine(fail: bool):  # type: ignore[no-untyped-def]
        return inner(fail)

    def gives_task(fail: bool):  # type: ignore[no-untyped-def]
        return asyncio.ensure_future(inner(fail))

    class Deferred:
        def __init__(self, fail: bool) -> None:
            self.fail = fail

        def __await__(self) -> Generator[Any, None, str]:
            return inner(self.fail).__await__()

    def gives_awaitable(fail: bool):  # type: ignore[no-untyped-def]
        return Deferred(fail)

    return {
        "partial": functools.partial(inner.__call__),
        "partial of callable": functools.partial(inner),
        "async __call__": inner,
        "returns coroutine": gives_coroutine,
        "returns task": gives_task,
        "returns awaitable": gives_awaitable,
    }


@pytest.mark.parametrize("kind", _targets())
def test_awaitables_are_guarded_until_awaited(make: Make, kind: str) -> None:
    """Failures that show only when awaited are counted, whatever gave the awaitable."""
    breaker = make()
    guarded = breaker(_targets()[kind])

    async def run(fail: bool) -> str:
        awaitable = guarded(fail)
        assert breaker.snapshot().successes == 0
        return str(await awaitable)

    for _ in range(3):
        with pytest.raises(Boom):
            asyncio.run(run(True))
    assert breaker.state is BreakerState.OPEN

    breaker.reset()
    assert asyncio.run(run(False)) == "ok"
    assert breaker.snapshot().successes == 1


def test_a_function_that_sometimes_gives_a_coroutine_is_guarded_each_time(make: Make) -> None:
    """A plain result first does not make the breaker blind to a coroutine later."""
    breaker = make(failure_threshold=1)

    @breaker
    def target(deferred: bool):  # type: ignore[no-untyped-def]
        return AsyncCallable()(True) if deferred else "plain"

    async def run() -> None:
        assert target(False) == "plain"
        with pytest.raises(Boom):
            await target(True)

    asyncio.run(run())
    assert breaker.state is BreakerState.OPEN


# 7 — refusals


def test_refusals_are_fresh_and_cost_no_memory(make: Make) -> None:
    """Each refusal is its own object with its own traceback; 20,000 of them leave nothing behind."""
    breaker = make()
    breaker.trip("test")

    @breaker
    def target() -> None: ...

    def refuse() -> CircuitOpenError:
        try:
            target()
        except CircuitOpenError as error:
            return error
        raise AssertionError

    assert refuse() is not refuse()
    refuse()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20_000):
        refuse()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 16_384
    assert breaker.snapshot().rejected == 20_003


# 8 — clocks


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_wall_clock_step_changes_nothing(make: Make, clock: FakeClock, step: float) -> None:
    """The open time runs by the monotonic clock."""
    breaker = make()
    fail_times(breaker, 3)
    clock.jump(step)
    with pytest.raises(CircuitOpenError) as refused, breaker.guard():
        pass
    assert refused.value.retry_after == 60.0
    clock.advance(60)
    with breaker.guard():
        pass
    assert breaker.state is BreakerState.CLOSED


# 9 — fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_works_while_another_thread_is_in_the_breaker(make: Make, clock: FakeClock) -> None:
    """The lock held by a thread of the parent is not held in the child; its probe's place is free there."""
    breaker = make()
    fail_times(breaker, 3)
    clock.advance(60)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with breaker.guard():
            breaker._circuit._lock.acquire()
            inside.set()
            leave.wait(60)
            breaker._circuit._lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(60)
    pid = os.fork()
    if pid == 0:
        try:
            breaker.call(lambda: None)
            os._exit(0 if breaker.snapshot().state is BreakerState.CLOSED else 3)
        except BaseException:
            os._exit(4)
    _, status = os.waitpid(pid, 0)
    leave.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert breaker.state is BreakerState.CLOSED


# 10 — subscribers


def test_a_subscriber_that_raises_blocks_or_calls_back_changes_nothing(make: Make, bus: EventBus) -> None:
    """The caller gets its own error, at once, whatever those who watch do."""
    breaker = make()
    never, called_back = threading.Event(), threading.Event()

    def raises(event: BreakerStateChanged) -> None:
        raise RuntimeError("subscriber")

    def blocks(event: BreakerStateChanged) -> None:
        never.wait(60)

    def calls_back(event: BreakerStateChanged) -> None:
        with pytest.raises(CircuitOpenError):
            breaker.call(lambda: None)
        breaker.snapshot()
        called_back.set()

    for handler in (raises, blocks, calls_back):
        bus.subscribe(handler, BreakerStateChanged)
    fail_times(breaker, 3)
    assert breaker.state is BreakerState.OPEN
    assert called_back.wait(60)
    assert not never.is_set()
    never.set()
    assert bus.drain()


def test_an_inline_subscriber_may_use_the_breaker(make: Make, bus: EventBus) -> None:
    """Even in the caller's own thread no lock is held while it is told."""
    breaker = make()
    states: list[str] = []
    bus.subscribe(lambda event: states.append(breaker.snapshot().state), BreakerStateChanged, inline=True)
    fail_times(breaker, 3)
    assert states == ["OPEN"]


# 11 — copies, names and types


def test_errors_pickle_and_copy_with_their_fields(make: Make, clock: FakeClock) -> None:
    """An error sent to another process tells the same there."""
    breaker = make("db")
    fail_times(breaker, 3)
    clock.advance(47.6)
    with pytest.raises(CircuitOpenError) as caught, breaker.guard():
        pass
    error = caught.value
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (twin.breaker, twin.state, twin.retry_after, twin.reason, str(twin)) == (
            "db",
            "OPEN",
            pytest.approx(12.4),
            error.reason,
            str(error),
        )
    assert "Retry in 12.4 s" in str(error)
    refused = ResetRefusedError("db", "unauthorized")
    conflict = CircuitConflictError("db", "a", "b")
    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)
    assert str(copy.deepcopy(conflict)) == str(conflict)


def test_decorated_functions_keep_name_doc_and_signature(make: Make) -> None:
    """The guarded function looks like the one it guards, defaults and all."""

    def target(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> tuple[Any, ...]:
        """Do it."""
        return a, b, rest, c, d, more

    guarded = make()(target)
    assert (guarded.__name__, guarded.__doc__, guarded.__module__) == ("target", "Do it.", __name__)
    assert inspect.signature(guarded) == inspect.signature(target)
    assert guarded.__wrapped__ is target  # type: ignore[attr-defined]
    assert guarded(1, c=3) == (1, 2, (), 3, 4, {})
    assert guarded(1, 5, 6, 7, c=3, d=8, e=9) == (1, 5, (6, 7), 3, 8, {"e": 9})


def test_wrong_arguments_are_the_callers_own_error(make: Make) -> None:
    """A TypeError about arguments never reaches the target and is not counted against it."""
    breaker = make(failure_threshold=1)

    @breaker
    def target(a: int) -> int:
        return a

    with pytest.raises(TypeError, match=r"target\(\) missing 1 required positional argument: 'a'"):
        target()  # type: ignore[call-arg]
    assert breaker.snapshot().failures == 0


def test_a_copied_breaker_is_the_same_breaker(make: Make) -> None:
    """An object that holds a breaker can be copied; both copies share the circuit."""
    breaker = make()
    assert copy.deepcopy({"b": breaker})["b"] is breaker
    assert copy.copy(breaker) is breaker
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(breaker)


# 12 — growing open time


def test_open_time_grows_with_each_reopening_up_to_the_cap(make: Make, clock: FakeClock) -> None:
    """Each reopening without a success between waits longer; closing begins anew."""
    breaker = make(open_backoff=ExponentialBackoff(base=5, cap=20, jitter="full", seed=1), permanent_threshold=None)
    fail_times(breaker, 3)
    waits = []
    for _ in range(50):
        waits.append(breaker.snapshot().retry_after or 0.0)
        clock.advance(20)
        fail_times(breaker, 1)
    assert max(waits) <= 20
    assert len(set(waits)) > 10

    plain = make("other", open_backoff=ExponentialBackoff(base=5, cap=20))
    fail_times(plain, 3)
    seen = [plain.snapshot().retry_after]
    for _ in range(3):
        clock.advance(20)
        fail_times(plain, 1)
        seen.append(plain.snapshot().retry_after)
    clock.advance(20)
    plain.call(lambda: None)
    fail_times(plain, 3)
    assert [*seen, plain.snapshot().retry_after] == [5, 10, 20, 20, 5]


# 13 — reentrant calls


def test_reentrant_calls_count_once_each(make: Make) -> None:
    """A guarded function that calls itself through the breaker neither deadlocks nor counts double."""
    breaker = make(failure_threshold=100)

    @breaker
    def down(depth: int) -> int:
        if depth == 0:
            raise Boom
        return down(depth - 1)

    with pytest.raises(Boom):
        down(4)
    assert breaker.snapshot().failures == 5

    @breaker
    def good(depth: int) -> int:
        return depth and good(depth - 1)

    good(4)
    assert breaker.snapshot().successes == 5


# 14 — registry


def test_get_or_create_is_atomic(clock: FakeClock) -> None:
    """Twenty threads that ask for one name at once share one circuit."""
    registry = BreakerRegistry()
    start = threading.Barrier(20)

    def ask(_: int) -> CircuitBreaker:
        start.wait(60)
        return CircuitBreaker("db", clock=clock, registry=registry)

    with ThreadPoolExecutor(20) as pool:
        made = set(pool.map(ask, range(20)))
    assert len(made) == 1
    assert len(registry) == 1


def test_another_configuration_for_a_name_shows_both(clock: FakeClock) -> None:
    """Asking again with other rules is an error that says which there are and which were asked for."""
    registry = BreakerRegistry()
    CircuitBreaker("db", clock=clock, registry=registry)
    with pytest.raises(CircuitConflictError) as caught:
        CircuitBreaker("db", clock=clock, registry=registry, open_for=5.0)
    assert "existing:  all defaults" in str(caught.value)
    assert "requested: open_for=5.0" in str(caught.value)


# 15 — PERMANENT_OPEN


@pytest.mark.parametrize("text", ["No Active API Keys", "401 UNAUTHORIZED"])
def test_a_matching_message_opens_permanently_at_once(make: Make, bus: EventBus, text: str) -> None:
    """One event, with the condition and the error in the reason; late successes change nothing."""
    events: list[BreakerStateChanged] = []
    bus.subscribe(events.append, BreakerStateChanged, inline=True)
    breaker = make()
    late = breaker.guard()
    late.__enter__()
    fail_times(breaker, 1, text)
    late.succeed()
    breaker.trip_permanently("again")

    assert [(event.old, event.new) for event in events] == [("CLOSED", "PERMANENT_OPEN")]
    reason = breaker.snapshot().permanent_open_reason
    assert reason is not None
    assert text in reason
    assert "message contains" in reason


def test_a_message_on_the_chain_matches(make: Make) -> None:
    """The cause, the context and members of a group are looked at as well."""

    def by_cause() -> None:
        raise Boom("outer") from PermissionError("unauthorized")

    def by_context() -> None:
        try:
            raise PermissionError("unauthorized")
        except PermissionError:
            raise Boom("outer")  # noqa: B904

    def by_group() -> None:
        raise ExceptionGroup("several", [Boom("a"), PermissionError("unauthorized")])

    for number, target in enumerate((by_cause, by_context, by_group)):
        breaker = make(str(number))
        with pytest.raises(Exception):  # noqa: B017, PT011
            breaker.call(target)
        assert breaker.state is BreakerState.PERMANENT_OPEN


def test_only_a_forced_reset_leaves_permanent_open(make: Make, clock: FakeClock) -> None:
    """Time, probes, other states and a plain reset leave it; a forced one closes it and is recorded."""
    breaker = make()
    fail_times(breaker, 1, "unauthorized")
    clock.advance(1e7)
    with pytest.raises(CircuitOpenError) as refused, breaker.guard():
        pass
    assert refused.value.retry_after is None
    for refused_call in (breaker.reset, lambda: breaker.disable("x"), lambda: breaker.force_open("x")):
        with pytest.raises(ResetRefusedError, match="unauthorized"):
            refused_call()
    breaker.trip("x")
    assert breaker.state is BreakerState.PERMANENT_OPEN

    assert breaker.reset(force=True, reason="key rotated", by="ann") is True
    assert breaker.state is BreakerState.CLOSED
    record = breaker.snapshot().last_reset
    assert record is not None
    assert (record.reason, record.by, record.forced, record.was) == (
        "key rotated",
        "ann",
        True,
        BreakerState.PERMANENT_OPEN,
    )
    assert breaker.snapshot().failure_count == 0


def test_ten_failures_in_a_row_open_permanently(make: Make, clock: FakeClock) -> None:
    """The count goes on through OPEN and HALF_OPEN: three failures and seven failed probes."""
    breaker = make()
    fail_times(breaker, 3)
    for failures in range(4, 11):
        assert breaker.state is BreakerState.OPEN
        clock.advance(60)
        fail_times(breaker, 1)
        assert breaker.snapshot().failure_count == failures
    assert breaker.state is BreakerState.PERMANENT_OPEN
    assert "10 failures in a row" in (breaker.snapshot().permanent_open_reason or "")


def test_a_chain_that_runs_in_a_circle_or_has_no_end_is_survived(make: Make) -> None:
    """Errors that cause one another, and chains of thousands, are looked at for a bounded time."""
    breaker = make()
    one, other = Boom("one"), Boom("other")
    one.__cause__, other.__cause__ = other, one
    long = Boom("0")
    for number in range(5_000):
        deeper = Boom(str(number))
        deeper.__cause__ = long
        long = deeper

    def raising(error: Exception) -> None:
        raise error

    for error in (one, long):
        with pytest.raises(Boom):
            breaker.call(raising, error)
    assert (breaker.state, breaker.snapshot().failures) == (BreakerState.CLOSED, 2)
