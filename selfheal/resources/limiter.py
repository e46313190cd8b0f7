"""How many calls in a second, by key, changed while it runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ParamSpec, TypeVar

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import RateLimitedError
from selfheal.events import DEFAULT_BUS, EventBus, LeverMoved
from selfheal.forking import track
from selfheal.resources.limiter_gcra import TokenBuckets
from selfheal.resources.limiter_settings import LimiterConfig, RateLimiterSnapshot, check_amount, check_timeout
from selfheal.resources.limiter_waiting import CoroutinePlace, Place, ThreadPlace
from selfheal.resources.limiter_wrapping import limited

P = ParamSpec("P")
R = TypeVar("R")

_FOR_EVER = float("inf")


@attrs.define(eq=False)
class _Waiter:
    """One caller in the queue of a key."""

    key: Hashable
    n: float
    deadline: float
    place: Place
    queued: bool = True


class RateLimiter:
    """Lets through ``rate`` requests a second and up to ``burst`` at once, for each key apart.

    In any time span of ``t`` seconds at most ``burst + rate * t`` tokens are given out, under any number of
    threads and event loops. Whoever waits is served in order of arrival within its key; nobody overtakes.

    >>> from selfheal.testing import FakeClock
    >>> clock = FakeClock()
    >>> door = RateLimiter(2, burst=2, name="door", clock=clock)
    >>> [door.try_acquire() for _ in range(3)]
    [True, True, False]
    >>> clock.advance(0.5)
    >>> door.try_acquire()
    True

    Args:
        rate: tokens that come in a second; 1e-6 to 1e9.
        burst: tokens a full bucket holds; 1 to 1e9; by default those of one second, at least 1.
        name: for errors, events and snapshots.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.LeverMoved` is published when the rate is changed.
        max_keys: keys kept at most. The least recently used one makes room for a new one once its bucket is
            full again; until then a new key is refused.
        max_waiting: callers that may wait, over all keys; more are refused.

    Raises:
        ConfigError: if a value is out of range.
    """

    def __init__(
        self,
        rate: float,
        burst: float | None = None,
        *,
        name: str = "limiter",
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        max_keys: int = 10_000,
        max_waiting: int = 10_000,
    ) -> None:
        config = LimiterConfig(rate=rate, burst=burst, name=name, max_keys=max_keys, max_waiting=max_waiting)
        self.name = name
        self._config = config
        self._now = clock.monotonic
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._buckets = TokenBuckets(rate, config.size, max_keys)
        self._queues: dict[Hashable, deque[_Waiter]] = {}
        self._waiting = self._admitted = self._refused = 0
        track(self, RateLimiter._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(
        cls,
        settings: Mapping[str, Any],
        where: str = "levers.rate_limiter",
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> RateLimiter:
        """Make one of plain data, whose keys are those of :class:`LimiterConfig`.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        given = structure(settings, LimiterConfig, where)
        return cls(clock=clock, events=events, **attrs.asdict(given, recurse=False))

    @property
    def rate(self) -> float:
        """Tokens that come in a second."""
        return self._buckets.rate

    @property
    def burst(self) -> float:
        """Tokens a full bucket holds."""
        return self._buckets.burst

    def try_acquire(self, n: float = 1, key: Hashable = None) -> bool:
        """Take ``n`` tokens of ``key`` now, or take nothing. Does not overtake those who wait.

        Raises:
            ConfigError: if ``n`` is not a number above 0.
        """
        if n != 1:
            check_amount(n)
        with self._lock:
            if key in self._queues or self._take(key, n, self._now()) > 0.0:
                self._refused += 1
                return False
            self._admitted += 1
            return True

    def acquire(self, n: float = 1, key: Hashable = None, timeout: float | None = None) -> None:
        """Take ``n`` tokens of ``key``, waiting for them.

        Args:
            n: tokens; more than 0, at most the burst.
            key: whose bucket; any hashable.
            timeout: seconds to wait at most; ``None``: as long as it takes.

        Raises:
            RateLimitedError: if they cannot be had in time (at once, where that is known), there is no room to
                wait or no room for a new key, or ``n`` is more than the burst.
            ConfigError: if a value is no number or out of range.
        """
        if self._at_once(n, key, timeout):
            return
        place = ThreadPlace(self._clock)
        waiter = self._join(_Waiter(key, n, self._deadline(timeout), place))
        try:
            while (wait := self._advance(waiter)) != 0.0:
                place.wait(wait)
        finally:
            self._leave(waiter)

    async def aacquire(self, n: float = 1, key: Hashable = None, timeout: float | None = None) -> None:
        """:meth:`acquire` for coroutines: suspends instead of blocking. Cancelling it takes nothing.

        Raises:
            RateLimitedError: as :meth:`acquire` does.
            ConfigError: as :meth:`acquire` does.
        """
        if self._at_once(n, key, timeout):
            return
        place = CoroutinePlace(self._clock)
        waiter = self._join(_Waiter(key, n, self._deadline(timeout), place))
        try:
            while (wait := self._advance(waiter)) != 0.0:
                await place.wait(wait)
        finally:
            self._leave(waiter)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Have each call of ``fn`` take one token, waiting for it."""
        return self.limit()(fn)

    def limit(
        self, n: float = 1, *, key: Callable[..., Hashable] | None = None, timeout: float | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator for functions and coroutine functions whose calls take tokens first.

        Args:
            n: tokens a call takes.
            key: called with the arguments of the call, says whose bucket it is.
            timeout: as for :meth:`acquire`.
        """
        check_amount(n)
        check_timeout(timeout)
        return limited(self, n, key, timeout)

    def set_rate(self, rate: float, burst: float | None = None, *, reason: str = "", by: str = "") -> None:
        """Go by another rate from now on. Those who wait follow it at once.

        Args:
            rate: tokens that come in a second.
            burst: tokens a full bucket holds; ``None`` keeps it, or derives it anew where it was derived.
            reason: why, for the event.
            by: who, for the event.

        Raises:
            ConfigError: if a value is out of range.
        """
        with self._lock:
            config = attrs.evolve(self._config, rate=rate, burst=self._config.burst if burst is None else burst)
            old = f"{self.rate:g}/s, burst {self.burst:g}"
            self._config = config
            self._buckets.change(rate, config.size, self._now())
            heads = [queue[0] for queue in self._queues.values()]
        for waiter in heads:
            self._wake(waiter)
        detail = f"{old} -> {rate:g}/s, burst {config.size:g}"
        self._events.publish(
            LeverMoved(
                kind="rate_limiter",
                lever=self.name,
                move="set_rate",
                detail=detail,
                reason=reason,
                by=by,
                at=self._clock.wall(),
            )
        )

    def retry_after(self, n: float = 1, key: Hashable = None) -> float:
        """Seconds until ``n`` tokens of ``key`` can be had behind those who wait; 0 if now. Takes nothing."""
        check_amount(n)
        with self._lock:
            return self._buckets.wait(key, n + sum(w.n for w in self._queues.get(key, ())), self._now())

    def snapshot(self) -> RateLimiterSnapshot:
        """Everything there is to see of it now."""
        with self._lock:
            return RateLimiterSnapshot(
                name=self.name,
                rate=self.rate,
                burst=self.burst,
                available=self._buckets.available(None, self._now()),
                keys=len(self._buckets),
                waiting=self._waiting,
                admitted=self._admitted,
                refused=self._refused,
            )

    def __repr__(self) -> str:
        return f"<RateLimiter {self.name!r} {self.rate:g}/s, burst {self.burst:g}>"

    def _take(self, key: Hashable, n: float, now: float) -> float:
        if key is not None and (wait := self._buckets.room(key, now)) > 0.0:
            return wait
        return self._buckets.take(key, n, now)

    def _deadline(self, timeout: float | None) -> float:
        return _FOR_EVER if timeout is None else self._now() + timeout

    def _at_once(self, n: float, key: Hashable, timeout: float | None) -> bool:
        """Take the tokens if they are there; refuse at once what waiting cannot get."""
        if n != 1:
            check_amount(n)
        if timeout is not None:
            check_timeout(timeout)
        with self._lock:
            now = self._now()
            if key not in self._queues and n <= self._buckets.burst and self._take(key, n, now) == 0.0:
                self._admitted += 1
                return True
            self._refuse_hopeless(n, key, _FOR_EVER if timeout is None else timeout, now)
            return False

    def _join(self, waiter: _Waiter) -> _Waiter:
        """Queue up behind those who wait for this key."""
        with self._lock:
            self._queues.setdefault(waiter.key, deque()).append(waiter)
            self._waiting += 1
        return waiter

    def _refuse_hopeless(self, n: float, key: Hashable, timeout: float, now: float) -> None:
        if n > self._buckets.burst:
            raise self._refusal(key, None, f"{n:g} asked for, the burst is {self.burst:g}")
        if key is not None and key not in self._queues and (wait := self._buckets.room(key, now)) > 0.0:
            raise self._refusal(key, wait, f"{self._buckets.max_keys} keys are in use")
        wait = self._buckets.wait(key, n + sum(w.n for w in self._queues.get(key, ())), now)
        if wait > timeout:
            raise self._refusal(key, wait, f"the rate of {self.rate:g} a second is used up")
        if self._waiting >= self._config.max_waiting:
            raise self._refusal(key, wait, f"{self._waiting} wait already")

    def _refusal(self, key: Hashable, retry_after: float | None, why: str) -> RateLimitedError:
        self._refused += 1
        return RateLimitedError(self.name, key, retry_after, why)

    def _advance(self, waiter: _Waiter) -> float:
        """Serve a waiter if it is its turn: 0 if it was, else the seconds until it is to ask again."""
        with self._lock:
            now = self._now()
            left = waiter.deadline - now
            if self._queues[waiter.key][0] is not waiter:
                wait = _FOR_EVER
            elif waiter.n > self._buckets.burst:
                raise self._refusal(waiter.key, None, f"{waiter.n:g} asked for, the burst is now {self.burst:g}")
            else:
                wait = self._buckets.take(waiter.key, waiter.n, now)
                if wait == 0.0:
                    self._admitted += 1
                    return 0.0
            if left <= 0.0 or left < wait < _FOR_EVER:
                behind = self._buckets.wait(waiter.key, waiter.n, now)
                raise self._refusal(waiter.key, behind, f"the rate of {self.rate:g} a second is used up")
            return min(wait, left)

    def _leave(self, waiter: _Waiter) -> None:
        """Take a waiter out of its queue; the next one's turn begins where it was the first."""
        with self._lock:
            if not waiter.queued:
                return
            waiter.queued = False
            self._waiting -= 1
            queue = self._queues[waiter.key]
            was_first = queue[0] is waiter
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.key]
            head = queue[0] if queue and was_first else None
        if head is not None:
            self._wake(head)

    def _wake(self, waiter: _Waiter) -> None:
        if not waiter.place.wake():  # its event loop is gone, and it with it
            self._leave(waiter)

    def _in_child(self) -> None:
        """Make a new lock; whoever waited is not in this process."""
        self._lock = threading.Lock()
        self._queues = {}
        self._waiting = 0
