"""The switchable cache: bounded in number and age, switched while it runs, never stale."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import ConfigError
from selfheal.levers import SwitchableCache
from selfheal.testing import FakeClock


def counted(cache: SwitchableCache) -> tuple[Any, list[Any]]:
    """A cached function and the calls that reached it."""
    calls: list[Any] = []

    @cache
    def fn(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return args

    return fn, calls


def test_results_are_kept_until_their_time() -> None:
    """Within the time to live the function is called once; after it once more."""
    clock = FakeClock()
    fn, calls = counted(SwitchableCache(ttl=10, clock=clock))
    for wait in (0, 9.9, 0.1, 5):
        clock.advance(wait)
        fn(1)

    assert len(calls) == 2


def test_the_least_recently_used_goes_first() -> None:
    """It never holds more than its size; what was used last stays."""
    cache = SwitchableCache(maxsize=2)
    fn, calls = counted(cache)
    for x in (1, 2, 1, 3, 1, 2):
        fn(x)

    assert [args[0] for args, _ in calls] == [1, 2, 3, 2]
    assert cache.size().entries == 2


def test_switched_off_it_forgets_and_is_passed_by() -> None:
    """Off means every call is made; on again it begins empty."""
    cache = SwitchableCache()
    fn, calls = counted(cache)
    fn(1)
    assert cache.disable()
    assert not cache.disable()
    fn(1)
    fn(1)
    assert len(calls) == 3
    assert cache.enable()
    fn(1)
    fn(1)
    assert len(calls) == 4
    seen = cache.snapshot()
    assert (seen.hits, seen.misses, seen.bypassed, seen.entries, seen.enabled) == (1, 2, 2, 1, True)


def test_types_and_names_make_a_difference() -> None:
    """1, 1.0, True and x=1 are four different calls; the order of named arguments is none."""
    fn, calls = counted(SwitchableCache())
    for _ in range(2):
        fn(1)
        fn(1.0)
        fn(True)
        fn(x=1)
        fn(x=1, y=2)
        fn(y=2, x=1)

    assert len(calls) == 5


def test_what_cannot_be_a_key_is_passed_by() -> None:
    """A call with a list is made each time, and raises nothing of its own."""
    cache = SwitchableCache()
    fn, calls = counted(cache)
    fn([1])
    fn([1])

    assert len(calls) == 2
    assert cache.snapshot().bypassed == 2


def test_errors_are_not_kept_and_none_is() -> None:
    """What raises is tried again; ``None`` is a result like any other."""
    calls = []

    @SwitchableCache()
    def fn(x: int) -> None:
        calls.append(x)
        if len(calls) == 1:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fn(1)
    fn(1)
    fn(1)

    assert calls == [1, 1]


@pytest.mark.parametrize("move", ["clear", "disable"])
def test_a_result_from_before_a_clearing_is_not_kept(move: str) -> None:
    """A call that was under way when the cache was cleared may have seen the old state: its result is not kept."""
    cache = SwitchableCache()
    calls = []

    @cache
    def fn(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            getattr(cache, move)()
            cache.enable()
        return x

    fn(1)
    assert cache.size().entries == 0
    fn(1)
    fn(1)
    assert calls == [1, 1]


def test_coroutine_functions_keep_their_result() -> None:
    """The result is awaited once and given to all who ask later."""
    calls = []

    @SwitchableCache()
    async def fetch(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return x

    async def main() -> list[int]:
        return [await fetch(1), await fetch(1)]

    assert asyncio.run(main()) == [1, 1]
    assert calls == [1]


def test_functions_do_not_share_results() -> None:
    """One cache may decorate several functions; each has results of its own."""
    cache = SwitchableCache()
    one, two = cache(lambda x: ("one", x)), cache(lambda x: ("two", x))

    assert (one(1), two(1), one(1)) == (("one", 1), ("two", 1), ("one", 1))
    assert cache.size().entries == 2
    assert cache.clear().entries == 2


@given(st.lists(st.tuples(st.sampled_from(["call", "clear", "off", "on"]), st.integers(0, 5)), max_size=60))
def test_it_answers_as_the_function_does(steps: list[tuple[str, int]]) -> None:
    """Through any calls, clearings and switches, callers get what the function gives, within the bound."""
    cache = SwitchableCache(maxsize=3)
    fn = cache(lambda x: x * 10)
    for step, x in steps:
        if step == "call":
            assert fn(x) == x * 10
        else:
            {"clear": cache.clear, "off": cache.disable, "on": cache.enable}[step]()
        assert cache.size().entries <= (3 if cache.enabled else 0)


def test_threads_may_use_and_switch_it_at_once() -> None:
    """Under threads that call, clear and switch, answers stay right and the bound holds."""
    cache = SwitchableCache(maxsize=8)
    fn = cache(lambda x: x + 1)
    wrong: list[int] = []

    def call() -> None:
        wrong.extend(x for x in range(2000) if fn(x % 16) != x % 16 + 1 or cache.size().entries > 8)

    def switch() -> None:
        for _ in range(500):
            cache.disable()
            cache.enable()
            cache.clear()

    threads = [threading.Thread(target=t) for t in (call, call, switch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_generators_are_refused() -> None:
    """A generator is used up by the first who asks, so it cannot be kept."""

    def stream() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="a function or a coroutine function"):
        SwitchableCache()(stream)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"maxsize": 0}, r"SwitchableCacheConfig\.maxsize must be an integer"),
        ({"maxsize": -5}, "maxsize"),
        ({"ttl": 0}, "ttl"),
        ({"enabled": 1}, "enabled must be True or False"),
        ({"name": ""}, "name"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        SwitchableCache(**options)


def test_from_config() -> None:
    """Plain data makes a cache; what is not accepted is told with its path in the file."""
    assert not SwitchableCache.from_config({"name": "prices", "ttl": 5, "enabled": False}).enabled
    with pytest.raises(ConfigError, match=r"levers\.prices\.maxsize must be"):
        SwitchableCache.from_config({"maxsize": -1}, "levers.prices")
