"""What a task queue hands out and tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from selfheal.resources.criticality import Criticality


class Delivery(NamedTuple):
    """One task in the hands of one taker, until its deadline.

    Attributes:
        id: of the task; the same at each delivery.
        payload: what was put.
        delivery_count: 1 at the first delivery. More than 1 says that the work may have been done before.
        deadline: seconds of the queue's clock at which the task goes back unless it was acknowledged.
        worker: who took it.
        generation: of this delivery; one of an older generation decides nothing any more.
        priority: as put, 0 to 9.
        criticality: as put.
    """

    id: int
    payload: Any
    delivery_count: int
    deadline: float
    worker: str
    generation: int
    priority: int
    criticality: Criticality


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A task that is not delivered any more until a person puts it back.

    Args:
        id: of the task.
        payload: what was put.
        delivery_count: how often it was delivered.
        reason: why it was given up.
        at: wall-clock seconds since 1970 UTC when it was.
        priority: as put.
        criticality: as put.
    """

    id: int
    payload: Any
    delivery_count: int
    reason: str
    at: float
    priority: int
    criticality: Criticality


@attrs.frozen(kw_only=True)
class QueueSnapshot:
    """A task queue at one moment.

    Sizes are of the queue; with a file they are those of all its processes. Counts are of this object.

    Args:
        name: of the queue.
        size: tasks it holds: ready, delayed, delivered and dead.
        max_size: tasks it may hold.
        ready: waiting to be taken.
        delayed: waiting for their time.
        delivered: with a taker now.
        dead: dead letters.
        holders: taker → tasks it holds now.
        oldest_wait: seconds that the ready task put first has waited since; 0 if none is ready.
        ageing_bound: seconds after its put from which on nothing non-critical put later goes before a
            non-critical task: ``19 * age_step``, less for those of higher rank: ``(19 - rank) * age_step``.
        slow_factor: 1 at full speed.
        gap: seconds kept between two deliveries of non-critical work.
        put: tasks accepted.
        deduplicated: puts that found their task in the queue already.
        refused: puts refused because it was full.
        shed: sheddable tasks that gave way to critical ones.
        taken: deliveries made.
        redelivered: those of them that were not the first of their task.
        acked: deliveries acknowledged.
        nacked: deliveries given back by their taker.
        expired: deliveries whose time ran out.
        redistributed: deliveries taken away from a worker.
        late: acknowledgements and the like of a delivery that was over; they had no effect.
        buried: tasks that became dead letters.
    """

    name: str
    size: int
    max_size: int
    ready: int
    delayed: int
    delivered: int
    dead: int
    holders: Mapping[str, int]
    oldest_wait: float
    ageing_bound: float
    slow_factor: float
    gap: float
    put: int
    deduplicated: int
    refused: int
    shed: int
    taken: int
    redelivered: int
    acked: int
    nacked: int
    expired: int
    redistributed: int
    late: int
    buried: int


class Counts:
    """What happened so far, as plain numbers that only grow."""

    put = deduplicated = refused = shed = taken = redelivered = 0
    acked = nacked = expired = redistributed = late = buried = 0

    def as_dict(self) -> dict[str, int]:
        """All counts by name."""
        names = ("put", "deduplicated", "refused", "shed", "taken", "redelivered", "acked", "nacked")
        return {n: getattr(self, n) for n in (*names, "expired", "redistributed", "late", "buried")}


class Buried(NamedTuple):
    """News: a task became a dead letter."""

    id: int
    delivery_count: int
    reason: str


class Shed(NamedTuple):
    """News: a sheddable task was dropped to make room for a critical one."""

    id: int
