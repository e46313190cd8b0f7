"""What is read over HTTP besides the whole status: breakers, tasks, the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.errors import NotFoundError
from selfheal.integrations.messages import Request, Response, respond_json
from selfheal.redaction import scrub_all
from selfheal.status import shape
from selfheal.status.words import iso

if TYPE_CHECKING:
    from selfheal.status.steering import Steering


class Views:
    """Reads the parts that a :class:`~selfheal.status.Steering` steers.

    Args:
        steering: whose breakers, tasks and audit are shown.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def breakers(self, request: Request, _: str) -> Response:
        """All breakers, as in the status, and their details by name."""
        snapshots = self._steering.breakers.snapshots()
        shown = {
            "circuitBreakers": [shape.breaker(one) for one in snapshots],
            "circuitBreakerDetails": {one.name: shape.breaker_details(one) for one in snapshots},
        }
        return respond_json(200, scrub_all(shown))

    def tasks(self, request: Request, _: str) -> Response:
        """All tasks, as in the status, and their details by id."""
        registry = self._steering.tasks
        snapshot = registry.snapshot() if registry is not None else None
        shown = {
            "backgroundTasks": shape.background_tasks(snapshot),
            "backgroundTaskDetails": {one.id: shape.task_details(one) for one in (snapshot.tasks if snapshot else ())},
        }
        return respond_json(200, scrub_all(shown))

    def task(self, request: Request, task_id: str) -> Response:
        """One task. :raises NotFoundError: if there is none of this id."""
        registry = self._steering.tasks
        tasks = {one.id: one for one in (registry.snapshot().tasks if registry is not None else ())}
        if task_id not in tasks:
            raise NotFoundError("task", task_id, tasks)
        one = tasks[task_id]
        return respond_json(200, scrub_all({**shape.task(one), "details": shape.task_details(one)}))

    def audit(self, request: Request, _: str) -> Response:
        """What was changed and refused, oldest first."""
        shown = [
            {
                "at": iso(record.at),
                "who": record.who,
                "what": record.what,
                "target": record.target,
                "reason": record.reason,
                "allowed": record.allowed,
                "detail": record.detail,
            }
            for record in self._steering.audit
        ]
        return respond_json(200, {"audit": shown})
