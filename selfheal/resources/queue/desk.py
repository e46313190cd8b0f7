"""The lock, the waiting and the telling around a book that decides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import Event, TaskBuried, TaskShed
from selfheal.forking import track
from selfheal.resources.queue.book import NEVER, Book
from selfheal.resources.queue.machine import MemoryBook
from selfheal.resources.queue.options import QueueOptions
from selfheal.resources.queue.records import Buried, Delivery
from selfheal.resources.queue.waiting import Waiter, Waiters

if TYPE_CHECKING:
    from selfheal.clock import Clock
    from selfheal.events import EventBus

logger = logging.getLogger("selfheal.queue")

_PAUSE = 50e-6
"""Real seconds: enough for another thread to run. A virtual clock stands still meanwhile."""
_TRIES = 100

T = TypeVar("T")


class Desk:
    """Keeps calls to a book one at a time, and wakes and tells after each, when the lock was given back.

    Attributes:
        lock: held for each call of the book and for nothing else.
        book: what decides.
        waiters: those who wait for a task; guarded by the lock.
        closed: whether no more tasks are taken in.
        now: the clock's monotonic seconds.
    """

    def __init__(self, options: QueueOptions, clock: Clock, events: EventBus) -> None:
        self.options = options
        self.clock = clock
        self.now = clock.monotonic
        self.lock = threading.Lock()
        self.waiters = Waiters()
        self.closed = False
        self.book: Book = self._open()
        self._events = events
        track(self, Desk._in_child, lock=lambda me: me.lock)

    def give_way(self) -> None:
        """Let whoever holds the lock finish, for a while, before lining up for it. Does nothing with a file.

        Who lines up is handed the lock before it can run: it holds it while it waits for the interpreter, so that the
        next thread that runs has to line up as well, and from then on each turn costs a change of threads. The holder
        was interrupted in the middle of microseconds' work: so let it run. Around a file it may take long in earnest.

        Source: Blasgen et al., "The Convoy Phenomenon", ACM SIGOPS Operating Systems Review 13(2), 1979.
        """
        tries = 0 if self.options.path is not None else _TRIES
        while tries and self.lock.locked():
            SYSTEM_CLOCK.sleep(_PAUSE)
            tries -= 1

    def _open(self) -> Book:
        if self.options.path is None:
            return MemoryBook(self.options)
        from selfheal.resources.queue.durable import FileBook  # SQLite only for who wants a file

        return FileBook(self.options, self.now(), self.clock.wall())

    def moved(self, step: Callable[[float], T]) -> T:
        """Do something after which a task may be takeable; then wake whoever waits, and tell the news."""
        if self.lock.locked():
            self.give_way()
        with self.lock:
            result = step(self.now())
            everyone = self.waiters.all()
        everyone()
        self.tell()
        return result

    def read(self, step: Callable[[float], T]) -> T:
        """Let time do its part, then look at something."""
        with self.lock:
            now = self.now()
            self.book.expire(now)
            result = step(now)
        self.tell()
        return result

    def attempt(self, worker: str, waiter: Waiter, end: float) -> tuple[Delivery | None, float]:
        """Take, or say for how many seconds to wait before the next attempt; 0: it is over."""
        if self.lock.locked():
            self.give_way()
        with self.lock:
            now = self.now()
            delivery = self.book.take(worker, now)
            wait = 0.0
            if delivery is None and now < end and not self.closed:
                self.waiters.add(waiter)
                # A lease given after this moment cannot end before one visibility time from now.
                wait = max(min(end, self._next_look(now), now + self.options.visibility) - now, 1e-6)
        if self.book.news:
            self.tell()
        return delivery, wait

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting, and let the next one look: it may have relied on this one's alarm."""
        with self.lock:
            self.waiters.remove(waiter)
            following = self.waiters.next()
        following()

    def next_change_in(self) -> float | None:
        """Seconds until time alone may make a task takeable; ``None``: only a call can."""
        with self.lock:
            now = self.now()
            until = self._next_look(now)
        return None if until == NEVER else max(until - now, 0.0)

    def _next_look(self, now: float) -> float:
        until = self.book.next_change(now)
        return until if self.options.path is None else min(until, now + self.options.poll)

    def listen(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Have ``wake`` called after each step that may have made a task takeable; answer what ends that."""
        listener = Waiter(wake)
        with self.lock:
            self.waiters.listen(listener)

        def end() -> None:
            with self.lock:
                self.waiters.forget(listener)

        return end

    def close(self) -> None:
        """Take in no more, end all waiting, let go of the file between calls."""
        with self.lock:
            self.closed = True
            everyone = self.waiters.all()
            self.book.close()
        everyone()

    def tell(self) -> None:
        """Publish and log what the book has to tell."""
        while self.book.news:
            with self.lock:
                news, self.book.news = self.book.news, []
            for item in news:
                self.publish(self._event(item))

    def _event(self, item: object) -> Event:
        queue, at = self.options.name, self.clock.wall()
        if isinstance(item, Buried):
            logger.warning("queue %r: task %d is a dead letter: %s", queue, item.id, item.reason)
            return TaskBuried(
                queue=queue, task_id=item.id, delivery_count=item.delivery_count, reason=item.reason, at=at
            )
        shed: int = getattr(item, "id", 0)
        logger.warning("queue %r: task %d was shed for a critical one", queue, shed)
        return TaskShed(queue=queue, task_id=shed, at=at)

    def publish(self, event: Event) -> None:
        """Tell whoever subscribed."""
        self._events.publish(event)

    def _in_child(self) -> None:
        """Start over: waiters, the lock's holder and open files are the parent's, and so are tasks in memory."""
        self.lock = threading.Lock()
        self.waiters = Waiters()
        self.book.after_fork()
