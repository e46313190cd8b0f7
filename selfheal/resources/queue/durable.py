"""The task queue in a SQLite file: the rules of :mod:`~selfheal.resources.queue.machine` as transactions.

What a call did is in the file when it returns, whole, or not at all: a process may be killed at any moment. Several
processes may use the file. The numbers of the states are those of :mod:`~selfheal.resources.queue.lanes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.book import NEVER, News, Refused, gap_of, order_key, rank_of
from selfheal.resources.queue.durable_file import QueueFile
from selfheal.resources.queue.options import QueueOptions
from selfheal.resources.queue.records import Buried, Counts, DeadLetter, Delivery, QueueSnapshot, Shed
from selfheal.state.store import decode, encode

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = "id, payload, delivered, generation, priority, criticality"
_FIRST = f"SELECT {_COLUMNS}, key FROM tasks WHERE state = 0 AND critical = ? ORDER BY key, id LIMIT 1"  # noqa: S608
_DUE = (
    "SELECT min(due) FROM (SELECT min(due) AS due FROM tasks WHERE state = 1"
    " UNION ALL SELECT min(due) FROM tasks WHERE state = 2)"
)
_BURY = "UPDATE tasks SET state = 3, dedup = NULL, reason = ?, buried_at = ? WHERE id = ?"


class FileBook:
    """Keeps the tasks of all processes that use the file. See :class:`~selfheal.resources.queue.book.Book`.

    Args:
        options: of the queue.
        now: monotonic seconds.
        wall: wall-clock seconds at that moment.
    """

    def __init__(self, options: QueueOptions, now: float, wall: float) -> None:
        self.options = options
        self.counts = Counts()
        self.news: list[News] = []
        self._wall_ahead = wall - now
        self._file = QueueFile(options, now)

    def put(
        self, payload: Any, priority: int, criticality: Criticality, delay: float, dedup: str | None, now: float
    ) -> int:
        """Keep a task."""
        text = encode(str(self._file.path), f"queue {self.options.name}", {"payload": payload})
        since = now + delay
        key = order_key(since, rank_of(priority, criticality), self.options)
        critical = criticality is Criticality.CRITICAL
        row = (
            text,
            priority,
            criticality.value,
            critical,
            since,
            key,
            2 if delay else 0,
            since if delay else 0.0,
            dedup,
        )
        with self._file.writing() as connection:
            if dedup is not None:
                there = connection.execute("SELECT id FROM tasks WHERE dedup = ?", (dedup,)).fetchone()
                if there is not None:
                    self.counts.deduplicated += 1
                    return int(there[0])
            self._check_room(connection, critical, now)
            made = connection.execute(
                "INSERT INTO tasks (payload, priority, criticality, critical, since, key, state, due, dedup)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            connection.execute("UPDATE queue SET size = size + 1, stamp = max(stamp, ?)", (now,))
        self.counts.put += 1
        return int(made or 0)

    def _check_room(self, connection: sqlite3.Connection, critical: bool, now: float) -> None:
        (size,) = connection.execute("SELECT size FROM queue").fetchone()
        if size < self.options.max_size:
            return
        if critical and self.options.shed_for_critical:
            victim = connection.execute(
                "SELECT max(id) FROM tasks WHERE state = 0 AND criticality = 'sheddable'"
            ).fetchone()[0]
            if victim is not None:
                self._delete(connection, victim, now)
                self.counts.shed += 1
                self.news.append(Shed(victim))
                return
        self.counts.refused += 1
        dead = connection.execute("SELECT count(*) FROM tasks WHERE state = 3").fetchone()[0]
        raise Refused(size, dead)

    def take(self, worker: str, now: float) -> Delivery | None:
        """Hand out the task that is next."""
        if not self._something_to_do(now):
            return None
        with self._file.writing() as connection:
            self._expire(connection, now)
            row = self._next(connection, now)
            if row is None:
                return None
            due = now + self.options.visibility
            connection.execute(
                "UPDATE tasks SET state = 1, delivered = delivered + 1, generation = generation + 1,"
                " worker = ?, due = ? WHERE id = ?",
                (worker, due, row[0]),
            )
        task, text, delivered, generation, priority, criticality, _ = row
        self.counts.taken += 1
        self.counts.redelivered += delivered > 0
        payload = decode(str(self._file.path), f"task {task}", text)["payload"]
        return Delivery(task, payload, delivered + 1, due, worker, generation + 1, priority, Criticality(criticality))

    def _something_to_do(self, now: float) -> bool:
        """A look without a lock, so that waiting for tasks does not hold up those who put some."""
        with self._file.reading() as connection:
            if connection.execute("SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 0)").fetchone()[0]:
                return True
            due = connection.execute(_DUE).fetchone()[0]
        return due is not None and due <= now

    def _next(self, connection: sqlite3.Connection, now: float) -> Any:
        factor, slot, run = connection.execute("SELECT factor, slot, run FROM queue").fetchone()
        critical = connection.execute(_FIRST, (1,)).fetchone()
        other = connection.execute(_FIRST, (0,)).fetchone() if now >= slot else None
        burst = self.options.critical_burst
        if critical is not None:
            overdue = other is not None and other[-1] <= now - self.options.ageing_bound
            if burst is None or run < burst or not overdue:
                if burst is not None:
                    connection.execute("UPDATE queue SET run = run + 1")
                return critical
        gap = gap_of(factor, self.options)
        if other is not None and (gap or run):
            connection.execute("UPDATE queue SET run = 0, slot = ?", (now + gap if gap else slot,))
        return other

    def next_change(self, now: float) -> float:
        """When a take may find more than now."""
        with self._file.reading() as connection:
            due = connection.execute(_DUE).fetchone()[0]
            slot = connection.execute("SELECT slot FROM queue").fetchone()[0]
            held_up = now < slot and connection.execute(_FIRST, (0,)).fetchone() is not None
        return min(NEVER if due is None else due, slot if held_up else NEVER)

    def ack(self, delivery: Delivery, now: float) -> bool:
        """The task is done."""
        with self._file.writing() as connection:
            self._expire(connection, now)
            there = connection.execute(
                "SELECT 1 FROM tasks WHERE id = ? AND generation = ? AND state != 3", (delivery.id, delivery.generation)
            ).fetchone()
            if there is not None:
                self._delete(connection, delivery.id, now)
        return self._counted(there is not None, "acked")

    def nack(self, delivery: Delivery, delay: float, reason: str, now: float) -> bool:
        """The taker gives the task back."""
        with self._file.writing() as connection:
            held = self._held(connection, delivery, now)
            if held:
                connection.execute("UPDATE tasks SET generation = generation + 1 WHERE id = ?", (delivery.id,))
                why = reason or "given back by its taker"
                self._give_back(connection, delivery.id, delivery.delivery_count, why, now, delay)
        return self._counted(held, "nacked")

    def bury(self, delivery: Delivery, reason: str, now: float) -> bool:
        """The task is not to be delivered any more."""
        with self._file.writing() as connection:
            held = self._held(connection, delivery, now)
            if held:
                self._bury(connection, delivery.id, delivery.delivery_count, reason, now)
        return self._counted(held)

    def extend(self, delivery: Delivery, now: float) -> Delivery | None:
        """A sign of life."""
        due = now + self.options.visibility
        with self._file.writing() as connection:
            held = self._held(connection, delivery, now)
            if held:
                connection.execute("UPDATE tasks SET due = ? WHERE id = ?", (due, delivery.id))
        return delivery._replace(deadline=due) if self._counted(held) else None

    def redistribute(self, worker: str, reason: str, now: float) -> int:
        """Take all tasks away from a worker."""
        with self._file.writing() as connection:
            self._expire(connection, now)
            query = "SELECT id, delivered FROM tasks WHERE state = 1 AND worker = ? ORDER BY due, id"
            held = connection.execute(query, (worker,)).fetchall()
            for task, delivered in held:
                self._give_back(connection, task, delivered, reason or f"taken away from {worker!r}", now)
        self.counts.redistributed += len(held)
        return len(held)

    def change(self, task: int, priority: int | None, criticality: Criticality | None, now: float) -> bool:
        """Give a task another rank."""
        with self._file.writing() as connection:
            query = "SELECT priority, criticality, since FROM tasks WHERE id = ? AND state != 3"
            row = connection.execute(query, (task,)).fetchone()
            if row is None:
                return False
            wanted = Criticality(row[1]) if criticality is None else criticality
            level = row[0] if priority is None else priority
            connection.execute(
                "UPDATE tasks SET priority = ?, criticality = ?, critical = ?, key = ? WHERE id = ?",
                (
                    level,
                    wanted.value,
                    wanted is Criticality.CRITICAL,
                    order_key(row[2], rank_of(level, wanted), self.options),
                    task,
                ),
            )
        return True

    def slow_down(self, factor: float, now: float) -> bool:
        """Space non-critical deliveries, for all processes."""
        with self._file.writing() as connection:
            old, slot = connection.execute("SELECT factor, slot FROM queue").fetchone()
            gap = gap_of(factor, self.options)
            slot = slot - gap_of(old, self.options) + gap if gap else min(slot, now)
            connection.execute("UPDATE queue SET factor = ?, slot = ?", (factor, slot))
        return bool(old != factor)

    def expire(self, now: float) -> None:
        """Let leases and delays end whose time is over."""
        with self._file.reading() as connection:
            due = connection.execute(_DUE).fetchone()[0]
        if due is not None and due <= now:
            with self._file.writing() as connection:
                self._expire(connection, now)

    def dead_letters(self, now: float, wall: float) -> tuple[DeadLetter, ...]:
        """All dead letters."""
        query = f"SELECT {_COLUMNS}, reason, buried_at FROM tasks WHERE state = 3 ORDER BY buried_at, id"  # noqa: S608
        with self._file.reading() as connection:
            rows = connection.execute(query).fetchall()
        return tuple(
            DeadLetter(
                id=task,
                payload=decode(str(self._file.path), f"task {task}", text)["payload"],
                delivery_count=delivered,
                reason=reason,
                at=at,
                priority=priority,
                criticality=Criticality(criticality),
            )
            for task, text, delivered, _, priority, criticality, reason, at in rows
        )

    def revive(self, task: int, now: float) -> bool:
        """Put a dead letter back as if it were new."""
        with self._file.writing() as connection:
            query = "SELECT priority, criticality FROM tasks WHERE id = ? AND state = 3"
            row = connection.execute(query, (task,)).fetchone()
            if row is None:
                return False
            key = order_key(now, rank_of(row[0], Criticality(row[1])), self.options)
            connection.execute(
                "UPDATE tasks SET state = 0, delivered = 0, since = ?, key = ?, reason = '' WHERE id = ?",
                (now, key, task),
            )
        return True

    def discard(self, task: int) -> bool:
        """Forget a dead letter."""
        with self._file.writing() as connection:
            gone = connection.execute("DELETE FROM tasks WHERE id = ? AND state = 3", (task,)).rowcount
            connection.execute("UPDATE queue SET size = size - ?", (gone,))
        return gone > 0

    def snapshot(self, now: float) -> QueueSnapshot:
        """Sizes and counts."""
        with self._file.reading() as connection:
            sizes = dict(connection.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall())
            holders = connection.execute(
                "SELECT worker, count(*) FROM tasks WHERE state = 1 GROUP BY worker"
            ).fetchall()
            oldest = connection.execute("SELECT min(since) FROM tasks WHERE state = 0").fetchone()[0]
            factor = connection.execute("SELECT factor FROM queue").fetchone()[0]
        return QueueSnapshot(
            name=self.options.name,
            size=sum(sizes.values()),
            max_size=self.options.max_size,
            ready=sizes.get(0, 0),
            delayed=sizes.get(2, 0),
            delivered=sizes.get(1, 0),
            dead=sizes.get(3, 0),
            holders=dict(holders),
            oldest_wait=0.0 if oldest is None else max(now - oldest, 0.0),
            ageing_bound=self.options.ageing_bound,
            slow_factor=factor,
            gap=gap_of(factor, self.options),
            **self.counts.as_dict(),
        )

    def close(self) -> None:
        """Let go of the file until the next call."""
        self._file.close()

    def after_fork(self) -> None:
        """In a forked child: open the file anew at the next call."""
        self.news = []
        self.counts = Counts()
        self._file.after_fork()

    def _counted(self, good: bool, what: str = "") -> bool:
        if not good:
            self.counts.late += 1
        elif what:
            setattr(self.counts, what, getattr(self.counts, what) + 1)
        return good

    def _held(self, connection: sqlite3.Connection, delivery: Delivery, now: float) -> bool:
        self._expire(connection, now)
        query = "SELECT 1 FROM tasks WHERE id = ? AND generation = ? AND state = 1"
        return connection.execute(query, (delivery.id, delivery.generation)).fetchone() is not None

    def _expire(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("UPDATE tasks SET state = 0 WHERE state = 2 AND due <= ?", (now,))
        query = "SELECT id, delivered, worker FROM tasks WHERE state = 1 AND due <= ? ORDER BY due, id"
        for task, delivered, worker in connection.execute(query, (now,)).fetchall():
            self.counts.expired += 1
            self._give_back(connection, task, delivered, f"no sign of its taker {worker!r}", now)

    def _give_back(
        self, connection: sqlite3.Connection, task: int, delivered: int, why: str, now: float, delay: float = 0.0
    ) -> None:
        if delivered >= self.options.max_deliveries:
            told = f"{why}, at delivery {delivered} of {self.options.max_deliveries}"
            self._bury(connection, task, delivered, told, now)
            return
        state = 2 if delay > 0.0 else 0
        connection.execute("UPDATE tasks SET state = ?, due = ?, worker = '' WHERE id = ?", (state, now + delay, task))

    def _bury(self, connection: sqlite3.Connection, task: int, delivered: int, reason: str, now: float) -> None:
        connection.execute(_BURY, (reason, now + self._wall_ahead, task))
        self.counts.buried += 1
        self.news.append(Buried(task, delivered, reason))

    def _delete(self, connection: sqlite3.Connection, task: int, now: float) -> None:
        connection.execute("DELETE FROM tasks WHERE id = ?", (task,))
        connection.execute("UPDATE queue SET size = size - 1, stamp = max(stamp, ?)", (now,))
