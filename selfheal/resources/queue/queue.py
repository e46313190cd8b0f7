"""The task queue people use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import NotFoundError, QueueClosedError, QueueFullError
from selfheal.events import DEFAULT_BUS, ActionAudited, QueueSlowed, TasksRedistributed
from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.arguments import (
    check_criticality,
    check_factor,
    check_priority,
    check_seconds,
    check_text,
)
from selfheal.resources.queue.book import NEVER, Refused, gap_of
from selfheal.resources.queue.desk import Desk
from selfheal.resources.queue.options import DEFAULT_PRIORITY, HIGHEST, LOWEST, QueueFields, QueueOptions
from selfheal.resources.queue.records import DeadLetter, Delivery, QueueSnapshot
from selfheal.resources.queue.waiting import Waiter, pause, waker_of

if TYPE_CHECKING:
    from selfheal.clock import Clock
    from selfheal.events import EventBus

_DEFAULT = Criticality.DEFAULT


class TaskQueue:
    """A priority queue for work that must not be lost: each task is taken, worked on, and acknowledged.

    Critical tasks go first. All others are ordered by priority and age, so that none waits for ever: see
    :attr:`~selfheal.resources.queue.options.QueueOptions.ageing_bound`. A task that is not acknowledged in time is
    delivered anew, up to a limit, after which it is a dead letter. A full queue refuses.

    Args:
        name: what it is called in errors, events and figures.
        clock: where time comes from.
        events: where dead letters, shed and redistributed tasks and slow-downs are told.
        options: fields of :class:`~selfheal.resources.queue.options.QueueOptions`, among them ``max_size``,
            ``visibility`` (seconds), ``max_deliveries``, ``age_step`` (seconds) and ``path`` (a SQLite file).

    Raises:
        ConfigError: if an option is not accepted.
        StateError: if the file cannot be used.

    >>> queue = TaskQueue("mail")
    >>> queue.put({"to": "ann"}), queue.put({"to": "bob"}, criticality="critical")
    (1, 2)
    >>> delivery = queue.take("w1")
    >>> delivery.payload, queue.ack(delivery)
    ({'to': 'bob'}, True)
    """

    def __init__(
        self,
        name: str = "queue",
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        **options: Unpack[QueueFields],
    ) -> None:
        self.options = QueueOptions(name=name, **options)
        self.name = name
        self._desk = Desk(self.options, clock, events)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        where: str = "queue",
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> TaskQueue:
        """Make a queue of plain data, as it stands in a JSON or TOML file.

        Raises:
            InvalidConfigError: with all that is not accepted, each with its path in the file, below ``where``.
        """
        from selfheal.configuring import structure

        options = structure(config, QueueOptions, where)
        fields: dict[str, Any] = {name: getattr(options, name) for name in QueueFields.__annotations__}
        return cls(options.name, clock=clock, events=events, **fields)

    def __repr__(self) -> str:
        kept = "in memory" if self.options.path is None else f"in {self.options.path!r}"
        return f"TaskQueue({self.name!r}, {kept})"

    def put(
        self,
        payload: Any,
        *,
        priority: int = DEFAULT_PRIORITY,
        criticality: Criticality | str = _DEFAULT,
        delay: float = 0.0,
        dedup: str | None = None,
    ) -> int:
        """Add a task.

        Args:
            payload: what the taker needs. With a file: made of what JSON has.
            priority: 0 to 9, the higher the earlier.
            criticality: ``critical``, ``default`` or ``sheddable``.
            delay: seconds before it may be taken; it ages from then on.
            dedup: a key: while a task with the same key waits or is worked on, no second one is put.

        Returns:
            The task's id; that of the task already there, if ``dedup`` found one.

        Raises:
            QueueFullError: if there is no room; nothing was put.
            QueueClosedError: if the queue was closed.
            ConfigError: if an argument is not accepted.
        """
        if criticality is not _DEFAULT:
            criticality = check_criticality("TaskQueue.put", criticality)
        if priority.__class__ is not int or not LOWEST <= priority <= HIGHEST:
            check_priority("TaskQueue.put", priority)
        if delay:
            check_seconds("delay of TaskQueue.put", delay)
        desk = self._desk
        if desk.closed:
            raise QueueClosedError(self.name)
        if desk.lock.locked():
            desk.give_way()
        try:
            with desk.lock:
                task = desk.book.put(payload, priority, criticality, delay, dedup, desk.now())
                wake = desk.waiters.next() if desk.waiters.there else None
        except Refused as refused:
            raise QueueFullError(self.name, refused.size, self.options.max_size, refused.dead) from None
        if wake is not None:
            wake()
        if desk.book.news:
            desk.tell()
        return task

    def take(self, worker: str = "", timeout: float | None = 0.0) -> Delivery | None:
        """Take the task that is next.

        Args:
            worker: who takes it; what :meth:`redistribute` goes by.
            timeout: seconds to wait for a task; 0: do not wait; ``None``: until there is one, or the queue is closed.

        Returns:
            The delivery, to be acknowledged before its deadline; ``None`` if there was none in time.
        """
        desk = self._desk
        if desk.lock.locked():
            desk.give_way()
        with desk.lock:
            delivery = desk.book.take(worker, desk.now())
        if desk.book.news:
            desk.tell()
        if delivery is not None or timeout == 0.0:
            return delivery
        end, waker = self._end(timeout), desk.clock.waker()
        waiter = Waiter(waker.wake)
        try:
            while True:
                delivery, wait = desk.attempt(worker, waiter, end)
                if not wait:
                    return delivery
                waker.wait(wait)
        finally:
            desk.leave(waiter)

    async def atake(self, worker: str = "", timeout: float | None = None) -> Delivery | None:
        """:meth:`take` for coroutines: waits without holding up the event loop. Cancelling it loses nothing."""
        import asyncio

        desk, end, woken = self._desk, self._end(timeout), asyncio.Event()
        waiter = Waiter(waker_of(woken))
        try:
            while True:
                delivery, wait = desk.attempt(worker, waiter, end)
                if not wait:
                    return delivery
                await pause(woken, desk.clock, wait)
        finally:
            desk.leave(waiter)

    def _end(self, timeout: float | None) -> float:
        if timeout is not None:
            check_seconds("timeout of TaskQueue.take", timeout)
        return NEVER if timeout is None else self._desk.now() + timeout

    def ack(self, delivery: Delivery) -> bool:
        """The task is done: forget it.

        Returns:
            Whether that counted. ``False``: the task was taken by somebody else since, or is a dead letter.
        """
        desk = self._desk
        if desk.lock.locked():
            desk.give_way()
        with desk.lock:
            done = desk.book.ack(delivery, desk.now())
        if desk.book.news:
            desk.tell()
        return done

    def nack(self, delivery: Delivery, delay: float = 0.0, reason: str = "") -> bool:
        """Give the task back: it was not done.

        Args:
            delivery: what was taken.
            delay: seconds before it may be taken again. It keeps its age.
            reason: why, for the dead letter it may become.

        Returns:
            Whether that counted.
        """
        check_seconds("delay of TaskQueue.nack", delay)
        return self._desk.moved(lambda now: self._desk.book.nack(delivery, delay, reason, now))

    def bury(self, delivery: Delivery, reason: str) -> bool:
        """The task can never be done: make it a dead letter now. Tells whether that counted."""
        return self._desk.moved(lambda now: self._desk.book.bury(delivery, reason, now))

    def extend(self, delivery: Delivery) -> Delivery | None:
        """A sign of life: the task stays with its taker for another visibility time.

        Returns:
            The delivery with its new deadline; ``None`` if it is over: stop working on it.
        """
        return self._desk.read(lambda now: self._desk.book.extend(delivery, now))

    def redistribute(self, worker: str, reason: str = "") -> int:
        """Take all tasks away from a worker that is stuck or gone, so that others take them.

        Returns:
            How many there were. Those delivered for the last time become dead letters.
        """
        moved = self._desk.moved(lambda now: self._desk.book.redistribute(worker, reason, now))
        if moved:
            self._desk.publish(
                TasksRedistributed(
                    queue=self.name, worker=worker, tasks=moved, reason=reason, at=self._desk.clock.wall()
                )
            )
        return moved

    def reprioritise(
        self, task: int, *, priority: int | None = None, criticality: Criticality | str | None = None
    ) -> bool:
        """Change the rank of a task that waits or is worked on; its age stays.

        Returns:
            Whether the queue holds the task (dead letters apart).

        Raises:
            ConfigError: if an argument is not accepted.
        """
        if priority is not None:
            check_priority("TaskQueue.reprioritise", priority)
        wanted = None if criticality is None else check_criticality("TaskQueue.reprioritise", criticality)
        return self._desk.moved(lambda now: self._desk.book.change(task, priority, wanted, now))

    def slow_down(self, factor: float, reason: str = "") -> None:
        """Space deliveries of all but critical tasks: at least ``(factor - 1) * slow_gap`` seconds apart.

        Args:
            factor: 1 for full speed, up to 1000.
            reason: why, for the event.

        Raises:
            ConfigError: if ``factor`` is out of range.
        """
        check_factor("factor of TaskQueue.slow_down", factor)
        if self._desk.moved(lambda now: self._desk.book.slow_down(float(factor), now)):
            gap = gap_of(factor, self.options)
            self._desk.publish(
                QueueSlowed(queue=self.name, factor=factor, gap=gap, reason=reason, at=self._desk.clock.wall())
            )

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """All dead letters, oldest first. They take room in the queue until they are revived or discarded."""
        desk = self._desk
        return desk.read(lambda now: desk.book.dead_letters(now, desk.clock.wall()))

    def revive(self, task: int, reason: str, by: str = "") -> None:
        """Put a dead letter back as if it were new. For a person who has seen to its cause.

        Raises:
            NotFoundError: if there is no such dead letter.
        """
        self._settle("queue.revive", task, reason, by, lambda now: self._desk.book.revive(task, now))

    def discard(self, task: int, reason: str, by: str = "") -> None:
        """Forget a dead letter.

        Raises:
            NotFoundError: if there is no such dead letter.
        """
        self._settle("queue.discard", task, reason, by, lambda _: self._desk.book.discard(task))

    def _settle(self, what: str, task: int, reason: str, by: str, step: Callable[[float], bool]) -> None:
        check_text(f"reason of {what}", reason)
        if not self._desk.moved(step):
            raise NotFoundError("dead letter", str(task), [str(letter.id) for letter in self.dead_letters()])
        target = f"{self.name}/{task}"
        self._desk.publish(ActionAudited(who=by, what=what, target=target, reason=reason, at=self._desk.clock.wall()))

    def snapshot(self) -> QueueSnapshot:
        """Sizes and counts at this moment."""
        return self._desk.read(self._desk.book.snapshot)

    def next_change_in(self) -> float | None:
        """Seconds until time alone may make a task takeable; ``None``: only a call can. For who polls."""
        return self._desk.next_change_in()

    def listen(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Have ``wake`` called, from any thread, after each call that may have made a task takeable.

        It must be quick and must not raise.

        Returns:
            What ends it.
        """
        return self._desk.listen(wake)

    def close(self) -> None:
        """Take in no more tasks, and end all waiting. What is there can still be taken and acknowledged. Idempotent.

        A file is let go of; the tasks in it stay for whoever opens it next.
        """
        self._desk.close()
