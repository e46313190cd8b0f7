"""Rate limiters beside one another: what a call costs where it passes, where it is refused, and by key."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiolimiter
import pyrate_limiter

from benchmarks.table import Gate, print_gates, print_table
from selfheal.resources import AdaptiveLimit, RateLimiter

CALLS = 20_000
ROUNDS = 7
THREADS = 8
PLENTY = 1e8
"""A rate at which nobody waits."""

Sync = Callable[[], Any]
Async = Callable[[], Awaitable[Any]]


class _Nothing:
    """The least a limiter can do: take a lock and read the clock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def try_acquire(self) -> bool:
        with self.lock:
            return time.monotonic() > 0


def pyrate(rate: float) -> pyrate_limiter.Limiter:
    return pyrate_limiter.Limiter(pyrate_limiter.Rate(int(rate), pyrate_limiter.Duration.SECOND))


def sync_contenders() -> dict[str, Sync]:
    theirs = pyrate(PLENTY)
    ours, adaptive = RateLimiter(PLENTY), AdaptiveLimit(100)
    keyed, keys = RateLimiter(PLENTY, max_keys=1000), [f"user-{n}" for n in range(1000)]
    turn = iter(range(10**12))

    def slot() -> None:
        with adaptive.slot():
            pass

    return {
        "lock and clock": _Nothing().try_acquire,
        "selfheal try_acquire": ours.try_acquire,
        "selfheal acquire": ours.acquire,
        "selfheal, 1,000 keys": lambda: keyed.try_acquire(1, keys[next(turn) % 1000]),
        "selfheal AdaptiveLimit slot": slot,
        "pyrate-limiter": lambda: theirs.try_acquire("x"),
    }


def async_contenders() -> dict[str, Async]:
    """Made in the loop that runs them: aiolimiter binds itself to it."""
    theirs = aiolimiter.AsyncLimiter(PLENTY, 1)
    ours, adaptive, others = RateLimiter(PLENTY), AdaptiveLimit(100), pyrate(PLENTY)

    async def slot() -> None:
        async with adaptive.slot():
            pass

    return {
        "selfheal aacquire": ours.aacquire,
        "selfheal AdaptiveLimit slot": slot,
        "aiolimiter": theirs.acquire,
        "pyrate-limiter": lambda: others.try_acquire_async("x"),
    }


def refusing() -> dict[str, Sync]:
    ours, theirs = RateLimiter(0.001, burst=1), pyrate(1)
    ours.try_acquire()
    theirs.try_acquire("x", blocking=False)
    return {
        "selfheal try_acquire": ours.try_acquire,
        "pyrate-limiter": lambda: theirs.try_acquire("x", blocking=False),
    }


def time_calls(fn: Sync) -> float:
    """Nanoseconds a call."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        fn()
    return (time.perf_counter_ns() - start) / CALLS


async def time_async(fn: Async) -> float:
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        await fn()
    return (time.perf_counter_ns() - start) / CALLS


def time_threads(fn: Sync) -> float:
    """Nanoseconds of the clock for each of the calls that all threads make together."""
    ready = threading.Barrier(THREADS + 1)
    each = CALLS // THREADS

    def work() -> None:
        ready.wait()
        for _ in range(each):
            fn()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - start) / (each * THREADS)


def race(contenders: dict[str, Sync], timer: Callable[[Sync], float]) -> dict[str, float]:
    """Median nanoseconds a call of each, taking turns; one round before to warm up."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(ROUNDS + 1):
        for name, fn in contenders.items():
            ns = timer(fn)
            if index:
                took[name].append(ns)
    return {name: statistics.median(times) for name, times in took.items()}


async def arace() -> dict[str, float]:
    contenders = async_contenders()
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(ROUNDS + 1):
        for name, fn in contenders.items():
            ns = await time_async(fn)
            if index:
                took[name].append(ns)
    return {name: statistics.median(times) for name, times in took.items()}


def show(title: str, medians: dict[str, float]) -> dict[str, float]:
    print_table(title, ["contender", "ns a call"], [[name, f"{ns:,.0f}"] for name, ns in medians.items()])
    return medians


def check_exactness() -> list[list[str]]:
    """How many of 8 threads' calls pass within half a second, beside what may."""
    limiter = RateLimiter(5_000, burst=100)
    passed = [0] * THREADS
    started = time.monotonic()

    def work(index: int) -> None:
        while time.monotonic() - started < 0.5:
            passed[index] += limiter.try_acquire()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    allowed = 100 + 5_000 * (time.monotonic() - started)
    if sum(passed) > allowed:
        raise SystemExit(f"{sum(passed)} passed, {allowed:.0f} may")
    return [["selfheal", f"{sum(passed):,}", f"{allowed:,.0f}"]]


def main() -> int:
    """Run all races and say which gate holds."""
    print(f"Rate limiters: medians of {ROUNDS} rounds of {CALLS:,} calls, contenders taking turns.")
    passing = show("a call that passes, sync", race(sync_contenders(), time_calls))
    suspended = show("a call that passes, async", asyncio.run(arace()))
    refused = show("a call that is refused", race(refusing(), time_calls))
    threads = show(
        f"a call that passes, {THREADS} threads",
        race({name: fn for name, fn in sync_contenders().items() if "keys" not in name}, time_threads),
    )
    print_table("exact under threads", ["limiter", "passed", "may pass"], check_exactness())
    return print_gates(
        [
            Gate("passes, of pyrate-limiter", passing["selfheal acquire"] / passing["pyrate-limiter"], "≤", 0.5),
            Gate("passes, of aiolimiter", suspended["selfheal aacquire"] / suspended["aiolimiter"], "≤", 1.5),
            Gate("refused, of pyrate-limiter", refused["selfheal try_acquire"] / refused["pyrate-limiter"], "≤", 0.5),
            Gate("8 threads, of pyrate-limiter", threads["selfheal acquire"] / threads["pyrate-limiter"], "≤", 0.5),
            Gate("1,000 keys, of one", passing["selfheal, 1,000 keys"] / passing["selfheal try_acquire"], "≤", 3.0),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
