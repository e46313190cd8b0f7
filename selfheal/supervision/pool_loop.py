"""What a pool's own thread does: asks the machine what to do, does it, and hears what the workers say."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from selfheal.errors import SelfhealError
from selfheal.events import Event, PoolFailed, PoolWorkerEnded, PoolWorkerStarted
from selfheal.resources import Delivery
from selfheal.supervision.pool_handles import Handle, Message, ProcessHandle, ThreadHandle
from selfheal.supervision.pool_machine import PoolMachine
from selfheal.supervision.pool_records import PoolState, TaskResult
from selfheal.supervision.pool_steps import Kill, Ping, Start, Step, Stop
from selfheal.supervision.worker_target import text_of

if TYPE_CHECKING:
    from selfheal.clock import Clock
    from selfheal.supervision.pool_records import TaskSource

logger = logging.getLogger("selfheal.pool")

_LONGEST = 1.0
"""Real seconds that the thread rests at most: what it may have missed it sees then."""
_PAUSE = 0.5
"""Seconds without taking tasks after the queue itself failed."""
_FEWEST = 0.02
"""Seconds between two signs of life to the queue at least."""


class Wakeup:
    """A pipe that ends the rest of the pool's thread, from any thread."""

    def __init__(self) -> None:
        self.fd, self._in = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._in, False)
        self._lock = threading.Lock()
        self._open = True

    def __call__(self) -> None:
        """End the rest."""
        with self._lock:
            if self._open:
                with contextlib.suppress(BlockingIOError):  # full: it is awake anyway
                    os.write(self._in, b".")

    def clear(self) -> None:
        """Be ready for the next one."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 1 << 16)

    def close(self) -> None:
        """Let go of the pipe."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self.fd)
                os.close(self._in)

    def disown(self) -> None:
        """In a forked child, where another thread may have held the lock."""
        self._lock = threading.Lock()
        self.close()


class PoolLoop:
    """One run of a pool, from its start to its end.

    Args:
        machine: decides; guarded by ``lock``.
        lock: held for calls of the machine only.
        queue: where tasks come from.
        launch: starts a worker by its name.
        on_result: told of each task done, before it is acknowledged.
        clock: where time comes from.
        publish: takes events.
        changed: called after each round, without the lock.

    Attributes:
        wake: ends the rest of the thread.
        returned: ids of the tasks given back.
        killed: workers ended by force.
        late: results that came too late.
    """

    def __init__(
        self,
        machine: PoolMachine,
        lock: threading.Lock,
        queue: TaskSource,
        launch: Callable[[str, Wakeup], Handle],
        on_result: Callable[[TaskResult], object] | None,
        clock: Clock,
        publish: Callable[[Event], None],
        changed: Callable[[], None],
    ) -> None:
        self.machine, self.lock, self.queue, self.clock = machine, lock, queue, clock
        self.wake = Wakeup()
        self.returned: list[int] = []
        self.killed: list[str] = []
        self.late = 0
        self.handles: dict[str, Handle] = {}
        self._launch, self._on_result, self._publish, self._changed = launch, on_result, publish, changed
        self._refusals: dict[str, str] = {}
        self._abandoned: list[threading.Thread] = []
        self._renewals: dict[str, tuple[float, float]] = {}
        self._pause_until = -math.inf
        self._name = machine.options.name

    def run(self) -> None:
        """Work until the pool is stopped and the last worker is gone."""
        unlisten = self.queue.listen(self.wake)
        try:
            while self._round():
                pass
        except Exception as error:  # a defect: nothing is left running, and the pool says so
            logger.exception("pool %r: internal error", self._name)
            with self.lock:
                self.machine.fail(f"internal error: {text_of(error)}")
            self._abandon()
        finally:
            unlisten()
            self.wake.close()
            self._changed()

    def _round(self) -> bool:
        with self.lock:
            steps = self.machine.plan(self.clock.monotonic())
            over = self.machine.state is PoolState.STOPPED
        for step in steps:
            self._do(step)
        self._dispatch()
        self._renew()
        self._changed()
        if not over:
            ready = self._rest()
            for name, handle in list(self.handles.items()):
                if name in ready or not handle.fds():  # threads have none
                    self._hear(name, handle)
        return not over

    def _do(self, step: Step) -> None:
        if isinstance(step, Start):
            try:
                self.handles[step.worker] = self._launch(step.worker, self.wake)
            except (OSError, RuntimeError) as error:  # no process or thread to be had
                self._gone(step.worker, 0, f"could not be started: {text_of(error)}")
            return
        handle = self.handles[step.worker]
        if isinstance(step, Stop):
            handle.send({"stop": True})
        elif isinstance(step, Ping):
            handle.send({"ping": 1})
        elif isinstance(step, Kill):
            self.killed.append(step.worker)
            handle.kill()
            self._left_behind(handle)

    def _left_behind(self, handle: Handle) -> None:
        """Count the threads that hang for good; too many of them and the pool gives up."""
        if not isinstance(handle, ThreadHandle):
            return
        self._abandoned.append(handle.thread)
        most = self.machine.options.max_abandoned
        if self.abandoned() > most:
            with self.lock:
                self.machine.fail(f"{self.abandoned()} hung threads were left behind, more than {most}")

    def abandoned(self) -> int:
        """Hung threads that are still there."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        return len(self._abandoned)

    def _dispatch(self) -> None:
        now = self.clock.monotonic()
        while now >= self._pause_until:
            with self.lock:
                name = self.machine.idle()
            if name is None:
                return
            delivery = self._ask(functools.partial(self.queue.take, name))
            if delivery is None:
                return
            self._hand_over(name, delivery)

    def _hand_over(self, name: str, delivery: Delivery) -> None:
        try:
            self.handles[name].send(
                {"task": delivery.id, "count": delivery.delivery_count, "payload": delivery.payload}
            )
        except (TypeError, ValueError, RecursionError) as error:
            why = f"its payload cannot be sent to a worker: {text_of(error)}"
            self._ask(lambda: self.queue.bury(delivery, why))
            return
        now = self.clock.monotonic()
        with self.lock:
            self.machine.assign(name, delivery, now)
        every = max((delivery.deadline - now) / 3.0, _FEWEST)
        self._renewals[name] = (now + every, every)

    def _renew(self) -> None:
        """Tell the queue of the tasks under way. Whether one of them hangs is for the pool to say."""
        now = self.clock.monotonic()
        for name, (due, every) in list(self._renewals.items()):
            if now >= due:
                delivery = self.machine.workers[name].delivery
                self._renewals[name] = (now + every, every)
                if delivery is not None:
                    self._ask(functools.partial(self.queue.extend, delivery))

    def _rest(self) -> set[str]:
        """Wait until something happens; answer the names of the processes to which it did."""
        now = self.clock.monotonic()
        with self.lock:
            until = self.machine.next_alarm()
            waits = self.machine.idle() is not None
        moments = [until, *(due for due, _ in self._renewals.values())]
        if waits:
            change = self._ask(self.queue.next_change_in)
            moments += [now + change] if change is not None else []
            moments += [self._pause_until] if now < self._pause_until else []
        seconds = min(max(min(moments) - now, 0.0), _LONGEST)
        poll, names = select.poll(), {self.wake.fd: ""}
        poll.register(self.wake.fd, select.POLLIN)
        for name, handle in self.handles.items():
            names |= dict.fromkeys(handle.fds(), name)
            for fd in handle.fds():
                poll.register(fd, select.POLLIN)
            if (fd_out := handle.unsent()) is not None:
                poll.register(fd_out, select.POLLOUT)
                names[fd_out] = name
        ready = {names[fd] for fd, _ in poll.poll(math.ceil(seconds * 1000.0))}
        self.wake.clear()
        return ready

    def _hear(self, name: str, handle: Handle) -> None:
        handle.flush()
        detail = handle.ended()  # first: what it said before its end is all there when it is read next
        for message in handle.receive():
            self._heard(name, handle, message)
        if detail is not None:
            del self.handles[name]
            handle.close()
            self._gone(name, handle.pid, detail)

    def _heard(self, name: str, handle: Handle, message: Message) -> None:
        now = self.clock.monotonic()
        if "ready" in message:
            with self.lock:
                restart = self.machine.ready(name, handle.pid, now)
            self._publish(
                PoolWorkerStarted(pool=self._name, worker=name, pid=handle.pid, restart=restart, at=self.clock.wall())
            )
        elif "refused" in message:
            self._refusals[name] = str(message["refused"])
        elif "done" in message or "failed" in message:
            self._finished(name, message, now)
        else:
            with self.lock:
                self.machine.heard(name, now)

    def _finished(self, name: str, message: Message, now: float) -> None:
        with self.lock:
            given = self.machine.workers[name].given
            delivery = self.machine.finished(name, now, good="done" in message)
        self._renewals.pop(name, None)
        if delivery is None:
            return
        if "done" in message:
            settled = self._ask(lambda: self._settle(name, delivery, message.get("value"), now - given))
        else:
            delay, why = self.machine.options.retry_delay, str(message.get("error"))
            settled = self._ask(lambda: self.queue.nack(delivery, delay, why))
        self.late += settled is False

    def _settle(self, name: str, delivery: Delivery, value: Any, duration: float) -> bool:
        if self._on_result is not None:
            result = TaskResult(
                task_id=delivery.id,
                payload=delivery.payload,
                value=value,
                delivery_count=delivery.delivery_count,
                worker=name,
                duration=duration,
            )
            try:
                self._on_result(result)
            except Exception as error:
                logger.exception("pool %r: on_result raised on task %d", self._name, delivery.id)
                delay = self.machine.options.retry_delay
                return self.queue.nack(delivery, delay, f"its result was not taken: {text_of(error)}")
        return self.queue.ack(delivery)

    def _gone(self, name: str, pid: int, detail: str) -> None:
        """A worker ended: give its task back at once."""
        self._renewals.pop(name, None)
        refusal = self._refusals.pop(name, None)
        detail = detail if refusal is None else refusal
        with self.lock:
            ending = self.machine.ended(name, self.clock.monotonic(), detail, refused=refusal is not None)
            reason = self.machine.reason
        task, delivery = None, ending.delivery
        if delivery is not None:
            task = delivery.id
            self.returned.append(task)
            why = f"its worker {ending.how}: {detail}"
            self._ask(lambda: self.queue.nack(delivery, 0.0, why))
        if ending.how != "stopped":
            logger.warning("pool %r: worker %s %s: %s", self._name, name, ending.how, detail)
        at = self.clock.wall()
        self._publish(
            PoolWorkerEnded(pool=self._name, worker=name, pid=pid, how=ending.how, detail=detail, task_id=task, at=at)
        )
        if ending.failed:
            logger.error("pool %r has FAILED: %s", self._name, reason)
            self._publish(PoolFailed(pool=self._name, reason=reason, at=at))

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask the queue. Where it fails, a file that cannot be written, tasks stay with it and are delivered anew."""
        try:
            return question()
        except SelfhealError:
            logger.exception("pool %r: its queue failed", self._name)
            self._pause_until = self.clock.monotonic() + _PAUSE
            return None

    def _abandon(self) -> None:
        for handle in self.handles.values():
            handle.kill()
            handle.close()
        self.handles.clear()

    def disown(self) -> None:
        """In a forked child: let go of the parent's workers without touching them."""
        self.wake.disown()
        for handle in self.handles.values():
            if isinstance(handle, ProcessHandle):
                handle.disown()
        self.handles.clear()
