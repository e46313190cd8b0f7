"""What a person asks of backups over HTTP, beside the calls that selfheal has: the same token, the same answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from examples.reference_app.backups import Backups
from selfheal.backup import RestoreReport
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import SelfhealError
from selfheal.events import ActionAudited, EventBus
from selfheal.healing import StrategyEngine
from selfheal.integrations.access import Access
from selfheal.integrations.bodies import WHY, fields_of
from selfheal.integrations.http import SteeringApi
from selfheal.integrations.messages import RefusedError, Request, Response, respond_json
from selfheal.integrations.refusals import refusal_of
from selfheal.status import Caller, StatusReport, Steering

logger = logging.getLogger("reference_app.desk")

APPROVALS = "/api/approvals/"
Call = Callable[[Request, Caller], Mapping[str, Any]]


class Desk(SteeringApi):
    """The steering calls, and some more. Each wants the token, and a reason in its body.

    ::

        POST /api/backups              make a backup now, and prove it; ?as_it_is=true: what is gone was let go of
        POST /api/approvals/<id>       let a level begin that waits for a person; .strategies.approvals in the status
        POST /api/restores             put the newest backup back (?which= another), whatever healing may do
        POST /api/restores/commit      what was there before a restore may go
        POST /api/restores/rollback    put it back instead

    Args:
        report: the status.
        steering: the steering calls that selfheal has.
        backups: of the app.
        engine: whose levels wait for approval.
        events: where is told who did what.
        token: of the bearer.
        clock: for the time of that.
    """

    def __init__(
        self,
        report: StatusReport,
        steering: Steering,
        *,
        backups: Backups,
        engine: StrategyEngine,
        events: EventBus,
        token: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(report, steering, token=token)
        self._backups = backups
        self._engine = engine
        self._events = events
        self._at_desk = Access(token, None, 20, clock)
        self._now = clock.wall
        self._calls: dict[str, Call] = {
            "/api/backups": self._back_up,
            APPROVALS: self._approve,
            "/api/restores": self._restore,
            "/api/restores/commit": self._commit,
            "/api/restores/rollback": self._take_back,
        }

    def dispatch(self, request: Request) -> Response:
        """Answer ``request``."""
        call = self._calls.get(APPROVALS if request.path.startswith(APPROVALS) else request.path)
        if call is None or request.method != "POST":
            return super().dispatch(request)
        try:
            self._at_desk.to_write(request)
            return respond_json(200, self._done(call, request))
        except RefusedError as refused:
            return refused.response()
        except SelfhealError as error:
            return refusal_of(error).response()
        except Exception:
            logger.exception("%s failed", request.path)
            return RefusedError(500, "internal_error", "It failed; the log has the traceback.").response()

    def _done(self, call: Call, request: Request) -> Mapping[str, Any]:
        fields = fields_of(request, WHY, self.max_body)
        who, reason = fields["by"] or "somebody", fields["reason"]
        told = call(request, Caller(reason=reason, by=who))
        self._events.publish(ActionAudited(at=self._now(), who=who, what=request.path, reason=reason))
        logger.info("%s by %s: %s", request.path, who, reason)
        return told

    def _back_up(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        done = self._backups.now(as_it_is=request.parameters().get("as_it_is") == "true")
        made, found = done.backup, done.verification
        return {
            "backup": None if made is None else made.id,
            "files": 0 if made is None else made.files,
            "proven": done.ok,
            "verified": None if found is None else found.id,
            "errors": list(done.errors),
        }

    def _approve(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        approved = self._engine.approve(request.path.removeprefix(APPROVALS), by=caller.by, reason=caller.reason)
        return {"approved": approved.id, "strategy": approved.strategy, "level": approved.level}

    def _restore(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        return _told(self._backups.put_back(request.parameters().get("which", "latest")))

    def _commit(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        return _told(self._backups.restorer.commit())

    def _take_back(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        return _told(self._backups.restorer.rollback(caller.reason))


def _told(report: RestoreReport) -> Mapping[str, Any]:
    return {"outcome": report.outcome, "backup": report.backup, "sections": [one.name for one in report.sections]}
