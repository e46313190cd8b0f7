"""The rate limiter: exact, fair, changed while it runs, the same for threads and coroutines."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from selfheal.errors import ConfigError, RateLimitedError
from selfheal.events import EventBus, LeverMoved
from selfheal.resources import RateLimiter
from selfheal.testing import FakeClock

PATIENCE = 60.0


def until(condition: Callable[[], object]) -> None:
    """Wait, in real time and bounded, for what threads have to do first."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.0005)


def as_time_passes(clock: FakeClock, condition: Callable[[], object], step: float = 1.0) -> None:
    """Let the clock go on until something holds: a thread may be on its way to its wait, and count from there."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        clock.advance(step)
        time.sleep(0.0005)


def in_turn(*calls: Callable[[], object]) -> None:
    """Make one call after the other."""
    for call in calls:
        call()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def threads(clock: FakeClock) -> Iterator[Callable[..., threading.Thread]]:
    """Start threads that end at the latest when time passes after the test."""
    started = []

    def start(target: Callable[..., Any], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        started.append(thread)
        return thread

    yield start
    as_time_passes(clock, lambda: not any(thread.is_alive() for thread in started))


def test_a_full_bucket_gives_its_burst_and_then_the_rate(clock: FakeClock) -> None:
    """Five at once, then one each half second, and no more than five however long nobody asks."""
    limiter = RateLimiter(2, burst=5, clock=clock)

    assert [limiter.try_acquire() for _ in range(6)] == [True] * 5 + [False]
    clock.advance(0.49)
    assert not limiter.try_acquire()
    clock.advance(0.01)
    assert limiter.try_acquire()
    clock.advance(1e9)
    assert [limiter.try_acquire() for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1.0), (1, 1.0), (7.5, 7.5), (1000, 1000.0)])
def test_the_burst_is_one_second_of_the_rate_and_at_least_one(rate: float, burst: float) -> None:
    """Without a burst, a bucket holds what comes in a second, but never less than one."""
    assert RateLimiter(rate).burst == burst


def test_a_request_may_weigh_more_than_one(clock: FakeClock) -> None:
    """Tokens are taken all or none, and fractions count."""
    limiter = RateLimiter(1, burst=10, clock=clock)

    assert limiter.try_acquire(9.5)
    assert not limiter.try_acquire(1)
    assert limiter.try_acquire(0.5)
    assert limiter.retry_after(10) == pytest.approx(10)


def test_keys_have_buckets_of_their_own(clock: FakeClock) -> None:
    """One caller that uses up its tokens takes none from another."""
    limiter = RateLimiter(1, burst=1, clock=clock)

    assert [limiter.try_acquire(key=key) for key in ("a", "a", "b", None, None)] == [True, False, True, True, False]


def test_a_bucket_that_is_not_full_keeps_its_place(clock: FakeClock) -> None:
    """A new key is refused rather than a used bucket forgotten: forgetting it would let more pass."""
    limiter = RateLimiter(1, burst=2, max_keys=2, clock=clock)
    limiter.try_acquire(key="a")
    clock.advance(0.5)
    limiter.try_acquire(key="b")

    assert not limiter.try_acquire(key="c")
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(key="c")
    assert caught.value.retry_after == pytest.approx(0.5)
    assert limiter.snapshot().keys == 2

    clock.advance(0.5)
    assert limiter.try_acquire(key="c")
    assert limiter.snapshot().keys == 2
    assert limiter.try_acquire(key="b")
    assert not limiter.try_acquire(2, key="b")


def test_the_least_recently_used_key_makes_room(clock: FakeClock) -> None:
    """Of two full buckets the one whose last take is longer ago goes; a refused request counts for nothing."""
    limiter = RateLimiter(1, burst=1, max_keys=2, clock=clock)
    limiter.try_acquire(key="a")
    clock.advance(0.5)
    limiter.try_acquire(key="b")
    assert not limiter.try_acquire(key="a")
    clock.advance(0.5)

    assert limiter.try_acquire(key="c")
    assert not limiter.try_acquire(key="b")


def test_a_take_makes_a_key_the_most_recently_used(clock: FakeClock) -> None:
    """A key that was made first but used again goes behind one that was not."""
    limiter = RateLimiter(1, burst=1, max_keys=2, clock=clock)
    limiter.try_acquire(key="a")
    clock.advance(0.2)
    limiter.try_acquire(key="b")
    clock.advance(0.8)
    assert limiter.try_acquire(key="a")
    clock.advance(0.3)

    assert limiter.try_acquire(key="c")


def test_waiting_ends_when_the_tokens_come(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A blocked caller gets its tokens at exactly the moment at which they are there."""
    limiter = RateLimiter(2, burst=2, clock=clock)
    limiter.acquire(2)
    passed: list[float] = []

    threads(in_turn, lambda: limiter.acquire(2), lambda: passed.append(clock.monotonic()))
    until(lambda: clock.waiters == 1)
    clock.advance(5)
    until(lambda: passed)

    assert passed == [pytest.approx(1001.0)]


def test_callers_are_served_in_order_of_arrival(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A large request at the head is not overtaken by small ones, nor by who asks without waiting."""
    limiter = RateLimiter(1, burst=3, clock=clock)
    limiter.acquire(3)
    order: list[str] = []

    def ask(name: str, n: int) -> None:
        limiter.acquire(n)
        order.append(name)

    for waiting, (name, n) in enumerate([("first", 3), ("second", 1), ("third", 1)], start=1):
        threads(ask, name, n)
        until(functools.partial(lambda n: limiter.snapshot().waiting == n, waiting))
    until(lambda: clock.waiters == 1)
    clock.advance(2)
    assert not limiter.try_acquire()
    assert limiter.retry_after() == pytest.approx(4)

    as_time_passes(clock, lambda: len(order) == 3)
    assert order == ["first", "second", "third"]


def test_other_keys_do_not_wait_in_that_queue(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A queue of one key holds nobody else up."""
    limiter = RateLimiter(1, burst=1, clock=clock)
    limiter.acquire(key="slow")
    threads(limiter.acquire, 1, "slow")
    until(lambda: limiter.snapshot().waiting == 1)

    assert limiter.try_acquire(key="other")
    clock.advance(1)


def test_a_wait_that_cannot_end_in_time_is_refused_at_once(clock: FakeClock) -> None:
    """Where the tokens come later than the timeout the caller is told now, with the time it would take."""
    limiter = RateLimiter(1, burst=1, name="door", clock=clock)
    limiter.acquire()

    with pytest.raises(RateLimitedError, match=r"limiter 'door': refused, the rate of 1 a second is used up") as caught:
        limiter.acquire(timeout=0.5)
    assert caught.value.retry_after == pytest.approx(1.0)
    assert limiter.snapshot().waiting == 0


def test_more_than_the_burst_is_never_to_be_had(clock: FakeClock) -> None:
    """Asking for more than a full bucket holds is refused at once, without a time to retry."""
    limiter = RateLimiter(1, burst=2, clock=clock)

    with pytest.raises(RateLimitedError, match="3 asked for, the burst is 2") as caught:
        limiter.acquire(3)
    assert caught.value.retry_after is None
    assert not limiter.try_acquire(3)


def test_a_waiter_gives_up_at_its_deadline(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A waiter whose time no longer does when the rate is lowered is refused, and the next one's turn comes."""
    limiter = RateLimiter(1, burst=1, clock=clock)
    limiter.acquire()
    told: list[object] = []

    def ask(timeout: float | None) -> None:
        try:
            limiter.acquire(timeout=timeout)
            told.append(None)
        except RateLimitedError as error:
            told.append(error)

    threads(ask, 1.5)
    until(lambda: limiter.snapshot().waiting == 1)
    threads(ask, None)
    until(lambda: limiter.snapshot().waiting == 2)
    limiter.set_rate(0.1, burst=1)
    until(lambda: told)
    assert isinstance(told[0], RateLimitedError)

    until(lambda: clock.waiters == 1)
    clock.advance(10)
    until(lambda: len(told) == 2)
    assert told[1] is None


def test_a_waiter_behind_others_gives_up_too(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A timeout counts in the middle of the queue as well."""
    limiter = RateLimiter(1, burst=1, clock=clock)
    limiter.acquire()
    threads(limiter.acquire)
    until(lambda: limiter.snapshot().waiting == 1)
    told: list[object] = []

    def ask() -> None:
        try:
            limiter.acquire(timeout=2)
        except RateLimitedError as error:
            told.append(error)

    threads(ask)
    until(lambda: clock.waiters == 2)
    limiter.set_rate(0.1)
    clock.advance(2)
    until(lambda: told)
    assert limiter.snapshot().waiting == 1
    limiter.set_rate(1000)
    clock.advance(1)


def test_waiters_follow_a_new_rate_at_once(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """A caller that would wait a thousand seconds passes when the rate is raised, without the clock moving."""
    limiter = RateLimiter(0.001, burst=1, clock=clock)
    limiter.acquire()
    passed = threading.Event()
    threads(in_turn, limiter.acquire, passed.set)
    until(lambda: clock.waiters == 1)

    limiter.set_rate(1e6, burst=1)
    as_time_passes(clock, passed.is_set, 1e-6)

    assert clock.monotonic() < 1001.0


def test_what_a_bucket_holds_stays_when_the_rate_changes(clock: FakeClock) -> None:
    """Tokens at hand are kept up to the new burst; a higher burst is not given at once."""
    limiter = RateLimiter(10, burst=10, clock=clock)
    limiter.try_acquire(6)

    limiter.set_rate(1, burst=100)
    assert limiter.snapshot().available == pytest.approx(4)
    clock.advance(7)
    assert limiter.snapshot().available == pytest.approx(11)
    limiter.set_rate(1, burst=3)
    assert limiter.snapshot().available == pytest.approx(3)


def test_a_derived_burst_follows_the_rate(clock: FakeClock) -> None:
    """A burst that was never given is derived anew; one that was given stays."""
    derived, given = RateLimiter(10, clock=clock), RateLimiter(10, burst=4, clock=clock)
    derived.set_rate(20)
    given.set_rate(20)

    assert (derived.rate, derived.burst, given.burst) == (20, 20, 4)


def test_a_change_is_an_event(clock: FakeClock) -> None:
    """Who changed the rate, to what and why, is published."""
    seen: list[LeverMoved] = []
    bus = EventBus()
    bus.subscribe(seen.append, LeverMoved, inline=True)
    RateLimiter(10, name="door", clock=clock, events=bus).set_rate(5, reason="provider slow", by="healer")

    assert [(e.kind, e.lever, e.move, e.detail, e.reason, e.by) for e in seen] == [
        ("rate_limiter", "door", "set_rate", "10/s, burst 10 -> 5/s, burst 5", "provider slow", "healer")
    ]


def test_a_refused_change_changes_nothing(clock: FakeClock) -> None:
    """A rate out of range is told and the old one stays."""
    limiter = RateLimiter(10, clock=clock)

    with pytest.raises(
        ConfigError, match=r"LimiterConfig\.rate must be between 1e-06 and 1000000000\.0 a second, got 0"
    ):
        limiter.set_rate(0)
    assert (limiter.rate, limiter.burst) == (10, 10)
    assert limiter.try_acquire()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rate": 0}, r"LimiterConfig\.rate must be between"),
        ({"rate": float("nan")}, r"LimiterConfig\.rate"),
        ({"rate": True}, r"LimiterConfig\.rate"),
        ({"rate": 1, "burst": 0.5}, r"LimiterConfig\.burst"),
        ({"rate": 1, "name": " "}, r"LimiterConfig\.name"),
        ({"rate": 1, "max_keys": 0}, r"LimiterConfig\.max_keys must be an integer"),
        ({"rate": 1, "max_waiting": -1}, r"LimiterConfig\.max_waiting"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        RateLimiter(**settings)


@pytest.mark.parametrize("n", [0, -1, float("nan"), float("inf"), "1", None])
def test_a_bad_amount_is_refused(n: Any) -> None:
    """Only a finite number above 0 can be asked for."""
    limiter = RateLimiter(5)

    for ask in (limiter.try_acquire, limiter.acquire, limiter.retry_after, limiter.limit):
        with pytest.raises(ConfigError, match="n of a rate limiter"):
            ask(n)


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_bad_timeout_is_refused(timeout: Any) -> None:
    """Only 0 or more seconds are a timeout."""
    with pytest.raises(ConfigError, match="timeout of a limiter"):
        RateLimiter(5).acquire(timeout=timeout)


def test_no_more_wait_than_may(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """The queue is bounded: one more is refused at once."""
    limiter = RateLimiter(1, burst=1, max_waiting=1, clock=clock)
    limiter.acquire()
    threads(limiter.acquire)
    until(lambda: limiter.snapshot().waiting == 1)

    with pytest.raises(RateLimitedError, match="1 wait already"):
        limiter.acquire()
    clock.advance(1)


def test_threads_get_exactly_what_there_is(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """Eight threads that fight for 500 tokens get 500, and after two seconds at 30 a second 60 more."""
    limiter = RateLimiter(30, burst=500, clock=clock)
    got = [0] * 8

    def fight(index: int) -> None:
        for _ in range(400):
            got[index] += limiter.try_acquire()

    for expected in (500, 560):
        for thread in [threads(fight, index) for index in range(8)]:
            thread.join(PATIENCE)
        assert sum(got) == expected
        clock.advance(2)
    assert limiter.snapshot().admitted == 560
    assert limiter.snapshot().refused == 8 * 400 * 2 - 560


def test_a_decorated_function_takes_a_token_a_call(clock: FakeClock) -> None:
    """Functions, methods and partials can be limited; name and docstring stay."""
    limiter = RateLimiter(1, burst=1, clock=clock)

    class Search:
        @limiter.limit(timeout=0, key=lambda self, word: word)
        def find(self, word: str) -> str:
            """Find it."""
            return word

    assert Search().find("x") == "x"
    assert Search().find.__doc__ == "Find it."
    with pytest.raises(RateLimitedError):
        Search().find("x")
    assert Search().find("y") == "y"


def test_a_decorated_coroutine_function_waits_without_blocking() -> None:
    """The third of three calls waits its time on the loop's clock."""
    clock = FakeClock(autojump=True)
    limiter = RateLimiter(1, burst=2, clock=clock)

    @limiter
    async def fetch(x: int) -> tuple[int, float]:
        return x, clock.monotonic()

    async def main() -> list[tuple[int, float]]:
        return [await fetch(x) for x in range(3)]

    assert asyncio.run(main()) == [(0, 1000.0), (1, 1000.0), (2, pytest.approx(1001.0))]


def test_async_generators_are_not_guessed_at() -> None:
    """What has no single moment to take a token is refused at decoration."""

    async def stream() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="a function or a coroutine function"):
        RateLimiter(1)(stream)
    with pytest.raises(ConfigError, match="a function or a coroutine function"):
        RateLimiter(1)(5)  # type: ignore[arg-type]


def test_callables_of_any_kind_are_recognised(clock: FakeClock) -> None:
    """Partials of coroutine functions and objects with an async call are coroutine functions."""
    limiter = RateLimiter(5, clock=clock)

    async def fetch(x: int) -> int:
        return x

    class Fetch:
        async def __call__(self) -> int:
            return 2

    assert asyncio.run(limiter(functools.partial(fetch, 1))()) == 1
    assert asyncio.run(limiter(Fetch())()) == 2


def test_coroutines_wait_in_order_and_cancelling_takes_nothing(clock: FakeClock) -> None:
    """A cancelled waiter leaves the queue, takes no token and wakes the next one."""
    limiter = RateLimiter(1, burst=1, clock=clock)
    order: list[str] = []

    async def ask(name: str) -> None:
        await limiter.aacquire()
        order.append(name)

    async def main() -> None:
        limiter.acquire()
        tasks = [asyncio.create_task(ask(name)) for name in "abc"]
        for _ in range(5):
            await asyncio.sleep(0)
        assert limiter.snapshot().waiting == 3
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)
        await clock.aadvance(1)
        assert order == ["b"]
        await clock.aadvance(1)
        assert order == ["b", "c"]
        assert limiter.snapshot().waiting == 0

    asyncio.run(main())
    assert limiter.snapshot().admitted == 3


def test_coroutines_follow_a_new_rate_at_once(clock: FakeClock) -> None:
    """Raising the rate wakes a waiting coroutine, from another thread too."""
    limiter = RateLimiter(0.001, burst=1, clock=clock)

    async def main() -> None:
        await limiter.aacquire()
        task = asyncio.create_task(limiter.aacquire())
        await asyncio.sleep(0)
        await asyncio.to_thread(limiter.set_rate, 1e6, 1)
        await clock.aadvance(1e-6)
        await asyncio.wait_for(task, PATIENCE)

    asyncio.run(main())


def test_a_timeout_of_a_coroutine_is_refused(clock: FakeClock) -> None:
    """A coroutine is refused like a thread, at once or at its deadline."""
    limiter = RateLimiter(1, burst=1, clock=clock)

    async def main() -> None:
        await limiter.aacquire()
        with pytest.raises(RateLimitedError):
            await limiter.aacquire(timeout=0.5)
        task = asyncio.create_task(limiter.aacquire(timeout=1.5))
        await asyncio.sleep(0)
        limiter.set_rate(0.01)
        with pytest.raises(RateLimitedError):
            await task

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_waiter_of_a_closed_loop_does_not_hold_the_others_up(
    clock: FakeClock, threads: Callable[..., threading.Thread]
) -> None:
    """When a loop is gone with a coroutine that waited, the next waiter's turn comes all the same."""
    limiter = RateLimiter(1, burst=1, clock=clock)
    limiter.acquire()
    loop = asyncio.new_event_loop()
    task = loop.create_task(limiter.aacquire())
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    assert limiter.snapshot().waiting == 1
    passed = threading.Event()
    threads(in_turn, limiter.acquire, passed.set)
    until(lambda: limiter.snapshot().waiting == 2)

    loop.close()
    limiter.set_rate(1)
    as_time_passes(clock, passed.is_set)

    assert not task.done()
    del task, loop
    gc.collect()  # the coroutine is closed here, and complains of its closed loop here


def test_a_fork_leaves_waiters_behind(clock: FakeClock, threads: Callable[..., threading.Thread]) -> None:
    """In a child process nobody waits, the lock is free, and the buckets are as they were."""
    limiter = RateLimiter(1, burst=2, clock=clock)
    limiter.acquire(2)
    threads(limiter.acquire)
    until(lambda: limiter.snapshot().waiting == 1)

    pid = os.fork()
    if pid == 0:
        seen = limiter.snapshot()
        os._exit(0 if seen.waiting == 0 and seen.available < 1 and not limiter.try_acquire() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    clock.advance(1)


def test_from_config() -> None:
    """Plain data makes a limiter; what is not accepted is told with its path in the file."""
    made = RateLimiter.from_config({"rate": 5, "burst": 10, "name": "door", "max_keys": 7})
    assert (made.rate, made.burst, made.name) == (5, 10, "door")

    with pytest.raises(ConfigError, match=r"levers\.door\.rate must be"):
        RateLimiter.from_config({"rate": "5"}, "levers.door")
    with pytest.raises(ConfigError, match=r"levers\.door\.rates?\b"):
        RateLimiter.from_config({"rates": 5}, "levers.door")
    with pytest.raises(ConfigError, match=r"levers\.rate_limiter\.burst must be"):
        RateLimiter.from_config({"rate": 5, "burst": -1})
