"""The circuit breaker beside its peers, in one run on one machine: ``python -m benchmarks.bench_breaker``.

Everything is a ratio to the *minimal wrapper*, a decorator that only does ``try: return fn(*a, **k)`` and
``except Exception: raise`` and counts nothing. Contenders take turns round by round and medians are shown, so
that whatever else the machine does falls on all alike. Refusals are compared with the minimal wrapper around a
function that raises: both end in an exception that the caller catches.

Where the target sleeps, what a guard adds is less than what threads and timers do by themselves. So there the
unguarded target is also raced against itself, and a guarded one may be slower only by what that race cannot tell.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
import types
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiobreaker
import circuitbreaker
import hyx.circuitbreaker
import interlock
import purgatory
import pybreaker

from benchmarks.table import Gate, print_gates, print_table
from selfheal import BreakerRegistry, CircuitBreaker, CountWindow, TimeWindow

ROUNDS = 15
CALLS = 20_000
THREADS = 8
ASLEEP_ROUNDS = 61
ASLEEP_CALLS = 100
TELLABLE = 0.02
"""How fine the race of sleeping targets has to tell; a run that cannot is no measurement."""

Sync = Callable[[int], int]
Async = Callable[[int], Awaitable[int]]
REGISTRY = BreakerRegistry()


def target(x: int) -> int:
    return x


async def atarget(x: int) -> int:
    return x


def failing(x: int) -> int:
    raise ValueError("broken")


def sleeping(x: int) -> int:
    time.sleep(0.001)
    return x


def minimal(fn: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception:
            raise

    return wrapper


def aminimal(fn: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await fn(*args, **kwargs)
        except Exception:
            raise

    return wrapper


def ours(name: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return CircuitBreaker(name, registry=REGISTRY, **options)


def generic(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` with a signature that is not to be trusted, so that ``*args, **kwargs`` have to serve."""
    twin = types.FunctionType(fn.__code__, fn.__globals__)
    twin.__annotations__ = fn.__annotations__
    twin.__signature__ = None  # type: ignore[attr-defined]
    return twin


def unannotated(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` without its return annotation: it might return an awaitable, so each result is looked at."""
    return types.FunctionType(fn.__code__, fn.__globals__)


def sync_contenders() -> dict[str, Sync]:
    return {
        "minimal wrapper": minimal(target),
        "selfheal (specialised)": ours("s")(target),
        "selfheal (no return annotation)": ours("u")(unannotated(target)),
        "selfheal (generic)": ours("g")(generic(target)),
        "selfheal (generic, no return annotation)": ours("gu")(generic(unannotated(target))),
        "selfheal (count window)": ours("c", window=CountWindow())(target),
        "selfheal (time window)": ours("t", window=TimeWindow())(target),
        "selfheal (time window, slow calls)": ours("ts", window=TimeWindow(slow_call_rate=0.5), slow_call_duration=1.0)(
            target
        ),
        "circuitbreaker": circuitbreaker.CircuitBreaker()(target),
        "pybreaker": pybreaker.CircuitBreaker()(target),
        "aiobreaker": aiobreaker.CircuitBreaker()(target),
        "purgatory": purgatory.SyncCircuitBreakerFactory()("p")(target),
        "interlock-cb": interlock.CircuitBreaker(name="i")(target),
    }


def async_contenders() -> dict[str, Async]:
    return {
        "minimal wrapper": aminimal(atarget),
        "selfheal (specialised)": ours("as")(atarget),
        "selfheal (generic)": ours("ag")(generic(atarget)),
        "selfheal (time window)": ours("at", window=TimeWindow())(atarget),
        "circuitbreaker": circuitbreaker.CircuitBreaker()(atarget),
        "aiobreaker": aiobreaker.CircuitBreaker()(atarget),
        "purgatory": purgatory.AsyncCircuitBreakerFactory()("p")(atarget),
        "hyx": hyx.circuitbreaker.consecutive_breaker()(atarget),
        "interlock-cb": interlock.CircuitBreaker(name="ia")(atarget),
    }


def open_contenders() -> dict[str, Sync]:
    once = interlock.Config(minimum_number_of_calls=1, wait_duration_in_open=600.0)
    guarded = {
        "selfheal (specialised)": ours("os", failure_threshold=1, open_for=600.0)(failing),
        "circuitbreaker": circuitbreaker.CircuitBreaker(failure_threshold=1, recovery_timeout=600)(failing),
        "pybreaker": pybreaker.CircuitBreaker(fail_max=1, reset_timeout=600)(failing),
        "aiobreaker": aiobreaker.CircuitBreaker(fail_max=1)(failing),
        "purgatory": purgatory.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=600)("p")(failing),
        "interlock-cb": interlock.CircuitBreaker(name="io", config=once)(failing),
    }
    for name, fn in guarded.items():
        refusals = 0
        for _ in range(20):
            try:
                fn(1)
            except ValueError:
                continue
            except Exception:
                refusals += 1
        if refusals < 15:
            raise SystemExit(f"{name} did not open: its refusals cannot be measured")
    return {"minimal wrapper": minimal(failing), **guarded}


def time_calls(fn: Sync) -> float:
    """Nanoseconds a call."""
    calls = range(CALLS)
    start = time.perf_counter_ns()
    for x in calls:
        fn(x)
    return (time.perf_counter_ns() - start) / CALLS


def time_raising(fn: Sync) -> float:
    caught = 0
    calls = range(CALLS)
    start = time.perf_counter_ns()
    for x in calls:
        try:
            fn(x)
        except Exception:
            caught += 1
    return (time.perf_counter_ns() - start) / CALLS


def time_async(fn: Async) -> float:
    async def run() -> float:
        calls = range(CALLS)
        start = time.perf_counter_ns()
        for x in calls:
            await fn(x)
        return (time.perf_counter_ns() - start) / CALLS

    return asyncio.run(run())


def time_threads(fn: Sync, calls: int) -> float:
    """Nanoseconds of the clock for each of the calls that all threads make together."""
    ready = threading.Barrier(THREADS + 1)

    def work() -> None:
        ready.wait()
        for x in range(calls):
            fn(x)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - start) / (calls * THREADS)


def race(contenders: dict[str, Any], timer: Callable[[Any], float], rounds: int = ROUNDS) -> dict[str, float]:
    """Median nanoseconds a call of each, taking turns; one round before to warm up."""
    for fn in contenders.values():
        timer(fn)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, fn in contenders.items():
            took[name].append(timer(fn))
    return {name: statistics.median(times) for name, times in took.items()}


class Paired(NamedTuple):
    """A contender beside the unguarded target, round by round.

    Attributes:
        ns: median nanoseconds a call.
        ratio: median of its throughput by that of the unguarded target, each of the same round.
        low: with ``high``, where 95 of 100 such medians lie, by drawing the rounds anew (bootstrap).
    """

    ns: float
    ratio: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the width of that."""
        return (self.high - self.low) / 2


def race_asleep(rounds: int = ASLEEP_ROUNDS, calls: int = ASLEEP_CALLS) -> dict[str, Paired]:
    """Guarded targets that sleep beside the unguarded one, and that beside itself; places change every round."""
    contenders: dict[str, Sync] = {
        "unguarded": sleeping,
        "unguarded again": sleeping,
        "minimal wrapper": minimal(sleeping),
        "selfheal": ours("sl")(sleeping),
    }
    took: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1, rounds):  # the first one warms up
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            ns = time_threads(contenders[name], calls)
            if number >= 0:
                took[name].append(ns)
    return {name: _paired(took["unguarded"], times) for name, times in took.items()}


def _paired(base: list[float], times: list[float]) -> Paired:
    ratios = [unguarded / own for unguarded, own in zip(base, times, strict=True)]
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(2000))
    return Paired(statistics.median(times), statistics.median(ratios), low=medians[50], high=medians[-51])


def show_asleep(pairs: dict[str, Paired], slow: dict[str, float]) -> list[Gate]:
    """Print the race of sleeping targets, and give the gates that follow from it."""
    base = pairs["unguarded"].ns
    rows = [
        [name, f"{1e9 / one.ns:,.0f}", f"{one.ratio:.3f}", f"{one.low:.3f} to {one.high:.3f}"]
        for name, one in pairs.items()
        if name != "unguarded"
    ]
    rows = [["unguarded", f"{1e9 / base:,.0f}", "1", ""], *rows]
    rows += [[name, f"{1e9 / ns:,.0f}", f"{base / ns:.3f}", ""] for name, ns in slow.items()]
    title = f"{THREADS} threads, target sleeps 1 ms: {ASLEEP_ROUNDS} rounds of {THREADS * ASLEEP_CALLS} calls each"
    print_table(title, ["contender", "calls/s", "of unguarded", "95 % of medians"], rows)
    spread = pairs["unguarded again"].spread
    return [
        Gate("8 threads, 1 ms target: unguarded beside itself, spread in %", 100 * spread, "≤", 100 * TELLABLE),
        Gate("8 threads, 1 ms target, % of unguarded", 100 * pairs["selfheal"].ratio, "≥", 100 - 200 * spread),
    ]


def show(title: str, medians: dict[str, float]) -> dict[str, float]:
    base = medians["minimal wrapper"]
    ratios = {name: ns / base for name, ns in medians.items()}
    rows = [[name, f"{ns:,.0f}", f"{ratios[name]:.2f}"] for name, ns in medians.items()]
    print_table(title, ["contender", "ns a call", "ratio"], rows)
    return ratios


def check_counts() -> list[list[str]]:
    """What the breakers of the closed races say they counted, beside what was called."""
    rounds = ROUNDS + 1
    expected = {
        "s": rounds * CALLS,
        "g": rounds * CALLS,
        "gu": rounds * CALLS,
        "c": rounds * CALLS,
        "t": rounds * CALLS,
        "as": rounds * CALLS,
    }
    expected["th"] = (5 + 1) * THREADS * CALLS
    expected["sl"] = (ASLEEP_ROUNDS + 1) * THREADS * ASLEEP_CALLS
    rows = []
    for name, calls in expected.items():
        counted = REGISTRY.get(name).snapshot().successes
        if counted != calls:
            raise SystemExit(f"breaker {name!r} counted {counted} of {calls} calls")
        rows.append([name, f"{calls:,}", f"{counted:,}"])
    return rows


def main() -> int:
    """Run all races and say which gate holds."""
    print(f"Circuit breakers: medians of {ROUNDS} rounds of {CALLS:,} calls, contenders taking turns.")
    closed = show("closed, success, sync", race(sync_contenders(), time_calls))
    opened = show(
        "open, refusal, sync (base: minimal wrapper around a function that raises)",
        race(open_contenders(), time_raising),
    )
    aclosed = show("closed, success, async", race(async_contenders(), time_async))
    in_threads = {
        "minimal wrapper": minimal(target),
        "selfheal": ours("th")(target),
        "circuitbreaker": circuitbreaker.CircuitBreaker()(target),
        "pybreaker": pybreaker.CircuitBreaker()(target),
        "interlock-cb": interlock.CircuitBreaker(name="it")(target),
    }
    threads = show(f"closed, {THREADS} threads", race(in_threads, lambda fn: time_threads(fn, CALLS), rounds=5))
    slow = race({"pybreaker": pybreaker.CircuitBreaker()(sleeping)}, lambda fn: time_threads(fn, 50), rounds=3)
    asleep = show_asleep(race_asleep(), slow)
    print_table("exact counts after it", ["breaker", "calls made", "counted"], check_counts())
    return print_gates(
        [
            Gate("closed, sync, generic", closed["selfheal (generic)"], "≤", 1.4),
            Gate("closed, sync, specialised", closed["selfheal (specialised)"], "≤", 0.95),
            Gate("closed, sync, count window", closed["selfheal (count window)"], "≤", 5.0),
            Gate("closed, sync, time window", closed["selfheal (time window)"], "≤", 5.0),
            Gate("open, refusal, sync", opened["selfheal (specialised)"], "≤", 1.6),
            Gate("closed, async", aclosed["selfheal (specialised)"], "≤", 1.3),
            Gate("closed, 8 threads, of its throughput", 1 / threads["selfheal"], "≥", 0.7),
            *asleep,
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
