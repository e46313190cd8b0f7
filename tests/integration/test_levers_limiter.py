"""Limiters in real time, with real threads and a real event loop."""

from __future__ import annotations

import asyncio
import threading
import time

from selfheal.errors import RateLimitedError
from selfheal.resources import RateLimiter

PATIENCE = 60.0


def test_real_threads_and_time_never_pass_the_bound() -> None:
    """Under real threads that wait, each window between two admissions holds at most the burst and the rate's share."""
    limiter = RateLimiter(2000, burst=20)
    times: list[float] = []
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(40):
            limiter.acquire(timeout=PATIENCE)
            with lock:
                times.append(time.monotonic())

    started = time.monotonic()
    workers = [threading.Thread(target=ask) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(times) == 240
    assert max(times) - started >= (240 - 20) / 2000 - 1e-6


def test_real_coroutines_and_threads_share_one_bucket() -> None:
    """Coroutines of two loops and a thread wait on one limiter; all pass, in no less time than the rate allows."""
    limiter = RateLimiter(500, burst=5)
    passed: list[float] = []

    async def ask() -> None:
        for _ in range(10):
            await limiter.aacquire(timeout=PATIENCE)
            passed.append(time.monotonic())

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(3)))

    def block() -> None:
        for _ in range(10):
            limiter.acquire(timeout=PATIENCE)
            passed.append(time.monotonic())

    started = time.monotonic()
    workers = [threading.Thread(target=t) for t in (lambda: asyncio.run(main()), lambda: asyncio.run(main()), block)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(passed) == 70
    assert max(passed) - started >= (70 - 5) / 500 - 1e-6
    assert limiter.snapshot().waiting == 0


def test_a_timeout_ends_a_real_wait() -> None:
    """A caller that waits for a token which will not come in time any more is refused, not left waiting for it."""
    limiter = RateLimiter(0.001, burst=1)
    limiter.acquire()
    refused: list[RateLimitedError] = []

    def ask() -> None:
        try:
            limiter.acquire(timeout=2000.0)  # it would come after 1000
        except RateLimitedError as error:
            refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    ends = time.monotonic() + PATIENCE
    while not limiter.snapshot().waiting and time.monotonic() < ends:
        time.sleep(0.001)
    limiter.set_rate(0.0001)
    asking.join(PATIENCE)

    assert [bool(error.retry_after) for error in refused] == [True]
