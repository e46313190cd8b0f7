"""What strategies restart, by name: the lever ``services`` of the app; and the lever ``queue``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from examples.reference_app.workers import SummaryWorkers
from selfheal.errors import NotFoundError


@attrs.frozen(kw_only=True)
class Service:
    """One thing that can be restarted.

    Args:
        restart: ends it and starts it anew.
        status: tells how it is.
    """

    restart: Callable[[], object]
    status: Callable[[], object]


class Services:
    """Services by name: a :class:`selfheal.levers.protocols.ServiceControl`.

    One supervisor is one, as it is. This app has two of them and a pool, each with its own way to restart: so a few
    lines join them under the names that the alerts have.

    Args:
        services: by name.
    """

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = dict(services)

    def restart(self, name: str, /) -> None:
        """Stop the service and start it again.

        Raises:
            NotFoundError: if there is none of that name.
        """
        self._find(name).restart()

    def status(self, name: str, /) -> object:
        """How it is.

        Raises:
            NotFoundError: if there is none of that name.
        """
        return self._find(name).status()

    def _find(self, name: str) -> Service:
        if name not in self._services:
            raise NotFoundError("service", name, list(self._services))
        return self._services[name]


class WorkInHand:
    """What the summary workers have in hand: a :class:`selfheal.levers.protocols.TaskRedistribution`.

    Args:
        workers: the pool and its queue.
    """

    def __init__(self, workers: SummaryWorkers) -> None:
        self._workers = workers

    def redistribute(self, worker: str, /) -> int:
        """Give what a worker has in hand to others, or what all of the pool have; return how many tasks."""
        queue, pool = self._workers.queue, self._workers.pool
        holders = list(queue.snapshot().holders) if worker == pool.name else [worker]
        return sum(queue.redistribute(holder, "healing") for holder in holders)
