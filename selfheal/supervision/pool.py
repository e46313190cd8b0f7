"""The worker pool people use: workers that take tasks from a queue, as many as wanted, replaced when they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import Unpack

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, NotFoundError, PoolFailedError
from selfheal.events import DEFAULT_BUS, ActionAudited, PoolScaled
from selfheal.forking import track
from selfheal.supervision.pool_handles import Handle, ProcessHandle, ThreadHandle
from selfheal.supervision.pool_loop import PoolLoop, Wakeup
from selfheal.supervision.pool_machine import PoolMachine
from selfheal.supervision.pool_options import PoolFields, PoolOptions
from selfheal.supervision.pool_records import PoolSnapshot, PoolState, PoolStopReport, TaskResult, WorkerPhase
from selfheal.supervision.worker_target import name_of, runner

if TYPE_CHECKING:
    from selfheal.clock import Clock, Waker
    from selfheal.events import EventBus
    from selfheal.supervision.pool_records import TaskSource

_SLACK = 2.0
"""Seconds beyond its deadline that a stop waits for the killed to be gone."""


class WorkerPool:
    """Workers that take tasks from a queue. No task is lost when a worker ends, in whatever way.

    A task is acknowledged when its worker says that it is done. A worker that crashes, hangs or is killed is replaced,
    and its task goes back to the queue at once: it may be done more than once, and says so by its delivery count.

    Args:
        target: what does one task: ``"module:function"`` or, in its place, the function; called with the payload. For
            processes it must be importable by that name. May be a coroutine function.
        queue: where tasks come from, a :class:`selfheal.resources.TaskQueue` or another
            :class:`~selfheal.supervision.pool_records.TaskSource`.
        name: what it is called in errors, events and figures.
        on_result: called in the pool's own thread with each :class:`~selfheal.supervision.pool_records.TaskResult`
            before its task is acknowledged; it must be quick. If it raises, the task is delivered anew.
        clock: where time comes from; that of the queue.
        events: where workers that start and end, scaling and giving up are told.
        options: fields of :class:`~selfheal.supervision.pool_options.PoolOptions`, among them ``mode``
            (``process`` or ``thread``), ``size``, ``minimum``, ``maximum`` and ``task_timeout`` (seconds).

    Raises:
        ConfigError: if the target or an option is not accepted.
    """

    def __init__(
        self,
        target: str | Callable[[Any], Any],
        queue: TaskSource,
        *,
        name: str = "pool",
        on_result: Callable[[TaskResult], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        **options: Unpack[PoolFields],
    ) -> None:
        self.options = PoolOptions(name=name, **options)
        if on_result is not None and not callable(on_result):
            raise ConfigError("WorkerPool.on_result", on_result, "a callable or None", "None")
        if self.options.mode == "process" or isinstance(target, str):
            self._target: str | Callable[[Any], Any] = name_of(target)
        elif callable(target):
            self._target = target
        else:
            raise ConfigError("WorkerPool.target", target, "'module:function' or a callable")
        self.name = name
        self._queue, self._on_result, self._clock, self._events = queue, on_result, clock, events
        self._lock = threading.Lock()
        self._changed: set[Waker] = set()
        self._thread: threading.Thread | None = None
        self._loop: PoolLoop | None = None
        self._machine = PoolMachine(self.options)
        self._done_before = (0, 0, 0)
        track(self, WorkerPool._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        target: str | Callable[[Any], Any],
        queue: TaskSource,
        *,
        where: str = "pool",
        on_result: Callable[[TaskResult], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> WorkerPool:
        """Make a pool with options from plain data, as they stand in a JSON or TOML file.

        Raises:
            InvalidConfigError: with all that is not accepted, each with its path in the file, below ``where``.
        """
        from selfheal.configuring import structure

        options = structure(config, PoolOptions, where)
        fields: dict[str, Any] = {name: getattr(options, name) for name in PoolFields.__annotations__}
        return cls(target, queue, name=options.name, on_result=on_result, clock=clock, events=events, **fields)

    def __repr__(self) -> str:
        return f"WorkerPool({self._target!r}, name={self.name!r}, state={self._machine.state.value})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the workers. Does nothing if they were started.

        Raises:
            PoolFailedError: if the pool gave up.
            ConfigError: if, with threads, the target cannot be imported.
        """
        run = runner(self._target) if self.options.mode == "thread" else None
        with self._lock:
            self._refuse_failed()
            if not self._machine.start():
                return
            self._done_before = self._counts()
            self._loop = loop = PoolLoop(
                self._machine,
                self._lock,
                self._queue,
                lambda name, wake: self._launch(name, wake, run),
                self._on_result,
                self._clock,
                self._events.publish,
                self._tell,
            )
            self._thread = threading.Thread(target=loop.run, name=f"selfheal-pool-{self.name}", daemon=True)
            self._thread.start()

    def _launch(self, name: str, wake: Wakeup, run: Callable[[Any], Any] | None) -> Handle:
        if run is not None:
            return ThreadHandle(name, run, wake)
        return ProcessHandle(str(self._target), results=self._on_result is not None)

    def scale(self, n: int, reason: str = "") -> int:
        """Have ``n`` workers, within ``minimum`` and ``maximum``.

        Workers too many finish their task and end; new ones are started at once.

        Returns:
            How many there are to be.

        Raises:
            ConfigError: if ``n`` is no whole number of 0 or more.
            PoolFailedError: if the pool gave up.
        """
        _check_number(n)
        with self._lock:
            self._refuse_failed()
            old, new = self._machine.size, self._machine.scale(n)
        self._wake()
        if new != old:
            self._events.publish(PoolScaled(pool=self.name, old=old, new=new, reason=reason, at=self._clock.wall()))
        return new

    def drain(self, timeout: float | None = None) -> bool:
        """Give out no more tasks, and wait until those under way are finished. The workers stay: see ``resume``.

        Args:
            timeout: seconds to wait; ``None``: as long as it takes; 0: do not wait.

        Returns:
            Whether nothing is under way any more.
        """
        with self._lock:
            self._machine.drain()
        self._wake()
        return self._wait(lambda: all(w.phase is not WorkerPhase.BUSY for w in self._machine.workers.values()), timeout)

    def resume(self) -> None:
        """Give out tasks again after a drain."""
        with self._lock:
            self._machine.resume()
        self._wake()

    def stop(self, timeout: float = 10.0) -> PoolStopReport:
        """Let every worker finish its task and end; whoever has not in time is killed, its task given back.

        Args:
            timeout: seconds until workers are killed. Idempotent.
        """
        began = self._clock.monotonic()
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return PoolStopReport()
            returned, killed = len(loop.returned), len(loop.killed)
            self._machine.stop(began + max(timeout, 0.0))
        loop.wake()
        if thread is not threading.current_thread():  # a callback may stop its own pool: it ends soon after
            thread.join(max(timeout, 0.0) + self.options.stop_grace + _SLACK)
        if not thread.is_alive():
            with self._lock:
                self._machine.over()
        return PoolStopReport(
            returned=tuple(sorted(loop.returned[returned:])),
            killed=tuple(loop.killed[killed:]),
            duration=self._clock.monotonic() - began,
        )

    def restart(self, worker: str, *, kill: bool = False, reason: str = "", by: str = "") -> None:
        """Replace a worker: after its task or, with ``kill``, at once, its task given back. Not counted as a crash.

        Raises:
            NotFoundError: if there is no such worker.
        """
        with self._lock:
            if not self._machine.retire(worker, kill=kill):
                raise NotFoundError("worker", worker, list(self._machine.workers))
        self._wake()
        self._audit("pool.restart", f"{self.name}/{worker}", reason, by)

    def reset(self, reason: str, by: str = "") -> bool:
        """Have workers again after the pool has FAILED. For a person who has seen to the cause.

        Returns:
            Whether it had failed.

        Raises:
            ConfigError: if ``reason`` is blank.
        """
        _check_reason(reason)
        with self._lock:
            done = self._machine.reset()
        if done:
            self._wake()
            self._audit("pool.reset", self.name, reason, by)
        return done

    def wait_ready(self, timeout: float = 30.0) -> bool:
        """Wait until as many workers as there are to be can take tasks, or work on one; tell whether they can."""
        ready = {WorkerPhase.IDLE, WorkerPhase.BUSY}
        return self._wait(
            lambda: sum(w.phase in ready for w in self._machine.workers.values()) >= self._machine.size, timeout
        )

    def snapshot(self) -> PoolSnapshot:
        """The pool and its workers at this moment."""
        with self._lock:
            machine, now = self._machine, self._clock.monotonic()
            workers = machine.rows(now)
            returned, late, abandoned = self._counts()
            return PoolSnapshot(
                name=self.name,
                state=machine.state,
                reason=machine.reason,
                mode=self.options.mode,
                size=machine.size,
                minimum=self.options.minimum,
                maximum=self.options.maximum,
                workers=workers,
                busy=sum(worker.task_id is not None for worker in workers),
                done=machine.done,
                failed=machine.failed,
                returned=returned,
                late=late,
                crashes=machine.crashes,
                hung=machine.hung,
                recent_ends=machine.recent_ends(now),
                intensity=self.options.intensity,
                abandoned=abandoned,
            )

    def _counts(self) -> tuple[int, int, int]:
        """Tasks given back, late results, and threads left behind, over all runs."""
        (returned, late, _), loop = self._done_before, self._loop
        if loop is None:
            return returned, late, 0
        return returned + len(loop.returned), late + loop.late, loop.abandoned()

    def _refuse_failed(self) -> None:
        if self._machine.state is PoolState.FAILED:
            raise PoolFailedError(self.name, self._machine.reason)

    def _wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self._clock.monotonic() + timeout
        waker = self._clock.waker()
        self._changed.add(waker)
        try:
            while True:
                with self._lock:
                    if until():
                        return True
                    over = self._machine.state in {PoolState.STOPPED, PoolState.FAILED, PoolState.NEW}
                left = None if end is None else end - self._clock.monotonic()
                if over or (left is not None and left <= 0):
                    return False
                waker.wait(left)
        finally:
            self._changed.discard(waker)

    def _tell(self) -> None:
        for waker in tuple(self._changed):
            waker.wake()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            loop.wake()

    def _audit(self, what: str, target: str, reason: str, by: str) -> None:
        self._events.publish(ActionAudited(who=by, what=what, target=target, reason=reason, at=self._clock.wall()))

    def _in_child(self) -> None:
        """The workers are the parent's: this pool is as new, to be started if it is wanted here."""
        self._lock, self._changed, self._thread = threading.Lock(), set(), None
        if self._loop is not None:
            self._loop.disown()
        self._loop = None
        self._machine = PoolMachine(self.options)


def _check_number(n: object) -> None:
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ConfigError("n of WorkerPool.scale", n, "an integer of 0 or more")


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError("reason of WorkerPool.reset", reason, "text that is not blank")
