"""How many calls at once, found by itself from how long they take."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConcurrencyLimitedError, ConfigError
from selfheal.forking import track
from selfheal.resources.limiter_settings import check_timeout
from selfheal.resources.limiter_vegas import AdaptiveLimitConfig, AdaptiveLimitSnapshot, ConcurrencyMachine, Evidence
from selfheal.resources.limiter_waiting import CoroutinePlace, Place, ThreadPlace

_FOR_EVER = float("inf")


class Permit:
    """Leave to be under way. It is given back once: by the first of :meth:`succeed`, :meth:`fail`, :meth:`drop`."""

    __slots__ = ("_cohort", "_generation", "_limit", "_started")

    def __init__(self, limit: AdaptiveLimit, cohort: int, started: float, generation: int) -> None:
        self._limit: AdaptiveLimit | None = limit
        self._cohort, self._started, self._generation = cohort, started, generation

    def succeed(self) -> None:
        """It worked, and took as long as it took."""
        self._give_back(Evidence.SUCCESS)

    def fail(self) -> None:
        """It failed because there was too much to do (a time-out, a refusal for load)."""
        self._give_back(Evidence.FAILURE)

    def drop(self) -> None:
        """It says nothing about load: cancelled, answered from a cache, a mistake of the caller."""
        self._give_back(Evidence.DROPPED)

    def _give_back(self, evidence: Evidence) -> None:
        limit, self._limit = self._limit, None
        if limit is not None:
            limit._release(self._cohort, self._started, self._generation, evidence)


@attrs.define(eq=False)
class _Waiter:
    place: Place
    permit: Permit | None = None


class AdaptiveLimit:
    """Lets as many be under way at once as the thing behind it can take, and finds that number by itself.

    >>> limit = AdaptiveLimit(initial=2)
    >>> with limit.slot() as permit:
    ...     limit.in_flight
    1

    Latency is the evidence: where it grows beyond what it is without a queue, there is too much under way.
    Failures of load are evidence too. What was cancelled is none. See :class:`ConcurrencyMachine` for the rule.

    Args:
        initial: the limit at the start.
        minimum: the limit never falls below it.
        maximum: the limit never rises above it.
        name: for errors and snapshots.
        clock: the time it goes by.
        max_waiting: callers that may wait for a place, in order of arrival; 0: none.
        remeasure: seconds between two looks at the latency without a queue; grows 16-fold while it stays.
        failures: errors that say there is too much to do; other errors in a slot are no evidence.

    Raises:
        ConfigError: if a value is out of range.
    """

    def __init__(
        self,
        initial: int = 10,
        minimum: int = 1,
        maximum: int = 1000,
        *,
        name: str = "limit",
        clock: Clock = SYSTEM_CLOCK,
        max_waiting: int = 0,
        remeasure: float = 60.0,
        failures: tuple[type[BaseException], ...] = (TimeoutError,),
    ) -> None:
        self._config = AdaptiveLimitConfig(
            initial=initial, minimum=minimum, maximum=maximum, name=name, max_waiting=max_waiting, remeasure=remeasure
        )
        self.name = name
        self.failures = _exceptions(failures)
        self._clock = clock
        self._lock = threading.Lock()
        self._machine = ConcurrencyMachine(self._config)
        self._queue: deque[_Waiter] = deque()
        self._in_flight = self._refused = self._generation = 0
        self._counts = dict.fromkeys(Evidence, 0)
        track(self, AdaptiveLimit._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(
        cls, settings: Mapping[str, Any], where: str = "levers.adaptive_limit", *, clock: Clock = SYSTEM_CLOCK
    ) -> AdaptiveLimit:
        """Make one of plain data, whose keys are those of :class:`AdaptiveLimitConfig`.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        given = structure(settings, AdaptiveLimitConfig, where)
        return cls(clock=clock, **attrs.asdict(given, recurse=False))

    @property
    def limit(self) -> int:
        """How many may be under way. While it measures, half of that for the moment."""
        return self._machine.limit

    @property
    def in_flight(self) -> int:
        """How many are under way."""
        return self._in_flight

    def try_acquire(self) -> Permit | None:
        """A permit, or ``None`` where as many are under way as may be or others wait."""
        with self._lock:
            if self._queue or self._in_flight >= self._machine.ceiling:
                self._refused += 1
                return None
            return self._grant()

    def acquire(self, timeout: float | None = None) -> Permit:
        """A permit, waiting for a place where that is allowed.

        Args:
            timeout: seconds to wait at most; ``None``: as long as it takes.

        Raises:
            ConcurrencyLimitedError: if no place comes free in time, or no more may wait.
            ConfigError: if ``timeout`` is not 0 or more seconds.
        """
        check_timeout(timeout)
        if (permit := self._at_once(timeout)) is not None:
            return permit
        place = ThreadPlace(self._clock)
        waiter = self._join(place)
        deadline = _FOR_EVER if timeout is None else self._clock.monotonic() + timeout
        try:
            while waiter.permit is None and (left := deadline - self._clock.monotonic()) > 0:
                place.wait(left)
        except BaseException:
            self._abandon(waiter)
            raise
        return self._granted(waiter)

    async def aacquire(self, timeout: float | None = None) -> Permit:
        """:meth:`acquire` for coroutines. Cancelling it leaves the queue.

        Raises:
            ConcurrencyLimitedError: as :meth:`acquire` does.
            ConfigError: as :meth:`acquire` does.
        """
        check_timeout(timeout)
        if (permit := self._at_once(timeout)) is not None:
            return permit
        place = CoroutinePlace(self._clock)
        waiter = self._join(place)
        deadline = _FOR_EVER if timeout is None else self._clock.monotonic() + timeout
        try:
            while waiter.permit is None and (left := deadline - self._clock.monotonic()) > 0:
                await place.wait(left)
        except BaseException:
            self._abandon(waiter)
            raise
        return self._granted(waiter)

    def slot(self, timeout: float | None = None) -> Slot:
        """A block of code under a permit: ``with limit.slot():`` or ``async with limit.slot():``.

        A block that ends is a success; one that raises one of ``failures`` is a failure; one that raises anything
        else, or is cancelled, is no evidence. The permit it gives can be given back earlier and otherwise.
        """
        check_timeout(timeout)
        return Slot(self, timeout)

    def snapshot(self) -> AdaptiveLimitSnapshot:
        """Everything there is to see of it now."""
        with self._lock:
            machine, counts = self._machine, self._counts
            return AdaptiveLimitSnapshot(
                name=self.name,
                limit=machine.limit,
                measuring=machine.measuring,
                in_flight=self._in_flight,
                waiting=len(self._queue),
                baseline=machine.baseline,
                latency=machine.latency,
                succeeded=counts[Evidence.SUCCESS],
                failed=counts[Evidence.FAILURE],
                dropped=counts[Evidence.DROPPED],
                refused=self._refused,
            )

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.name!r} {self._in_flight} of {self.limit}>"

    def _grant(self) -> Permit:
        self._in_flight += 1
        now = self._clock.monotonic()
        return Permit(self, self._machine.begin(now, self._in_flight), now, self._generation)

    def _at_once(self, timeout: float | None) -> Permit | None:
        """A permit if there is one; ``None`` if waiting for one is allowed."""
        with self._lock:
            if not self._queue and self._in_flight < self._machine.ceiling:
                return self._grant()
            if len(self._queue) >= self._config.max_waiting:
                raise self._refusal("no more may wait")
            if timeout == 0:
                raise self._refusal("no place is free")
            return None

    def _refusal(self, why: str) -> ConcurrencyLimitedError:
        self._refused += 1
        return ConcurrencyLimitedError(self.name, self._machine.ceiling, len(self._queue), why)

    def _join(self, place: Place) -> _Waiter:
        waiter = _Waiter(place)
        with self._lock:
            self._queue.append(waiter)
            served = self._serve()
        self._wake(served)
        return waiter

    def _serve(self) -> list[_Waiter]:
        """Grant the free places to those who wait longest. The lock is held; they are woken without it."""
        served = []
        while self._queue and self._in_flight < self._machine.ceiling:
            waiter = self._queue.popleft()
            waiter.permit = self._grant()
            served.append(waiter)
        return served

    def _wake(self, served: list[_Waiter]) -> None:
        for waiter in served:
            if not waiter.place.wake() and waiter.permit is not None:
                waiter.permit.drop()  # its event loop is gone, and it with it

    def _granted(self, waiter: _Waiter) -> Permit:
        """The permit of a waiter whose wait is over, or the refusal."""
        with self._lock:
            if waiter.permit is not None:
                return waiter.permit
            self._queue.remove(waiter)
            raise self._refusal("no place came free in time")

    def _abandon(self, waiter: _Waiter) -> None:
        """A waiter was broken off: give back what it may have been granted meanwhile."""
        with self._lock:
            if waiter.permit is None:
                self._queue.remove(waiter)
        if waiter.permit is not None:
            waiter.permit.drop()

    def _release(self, cohort: int, started: float, generation: int, evidence: Evidence) -> None:
        with self._lock:
            if generation != self._generation:
                return  # from before a fork: it is not under way in this process
            self._in_flight -= 1
            self._counts[evidence] += 1
            self._machine.record(cohort, started, self._clock.monotonic(), evidence)
            served = self._serve()
        self._wake(served)

    def _in_child(self) -> None:
        """Make a new lock; what was under way or waited is not in this process. What was learnt stays."""
        self._lock = threading.Lock()
        self._queue = deque()
        self._in_flight = 0
        self._generation += 1
        self._machine.forget()


def _exceptions(given: Any) -> tuple[type[BaseException], ...]:
    if isinstance(given, tuple) and all(isinstance(f, type) and issubclass(f, BaseException) for f in given):
        return given
    raise ConfigError("AdaptiveLimit.failures", given, "a tuple of exception classes", "(TimeoutError,)")


class Slot:
    """One block under a permit, sync or async. Made by :meth:`AdaptiveLimit.slot`."""

    __slots__ = ("_limit", "_permit", "_timeout")

    def __init__(self, limit: AdaptiveLimit, timeout: float | None) -> None:
        self._limit, self._timeout = limit, timeout
        self._permit: Permit | None = None

    def __enter__(self) -> Permit:
        self._check()
        self._permit = self._limit.acquire(self._timeout)
        return self._permit

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        permit, self._permit = self._permit, None
        if permit is None:
            return
        if error is None:
            permit.succeed()
        elif isinstance(error, self._limit.failures):
            permit.fail()
        else:
            permit.drop()

    async def __aenter__(self) -> Permit:
        self._check()
        self._permit = await self._limit.aacquire(self._timeout)
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _check(self) -> None:
        if self._permit is not None:
            raise RuntimeError("a slot serves one block at a time; take another by limit.slot()")
