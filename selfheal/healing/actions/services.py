"""Actions that restart services."""

from __future__ import annotations

import math
from typing import Literal

import attrs

from selfheal.events import Severity
from selfheal.healing.actions.protocol import (
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
)
from selfheal.healing.actions.service_marks import is_up, mark, restarted
from selfheal.levers import ServiceControl
from selfheal.validators import one_of

_SERVICES = LeverNeed(role="services", protocol=ServiceControl)


class RestartService(BaseAction):
    """Restart the target. What the status tells of its run (pid, start) is compared before and after."""

    name = "restart_service"
    effect = Effect.IRREVERSIBLE
    destructive = True
    timeout = 120.0
    needs = (_SERVICES,)
    repeat = Repeat.ONCE

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Which run of the service is to end."""
        status = call.lever("services", ServiceControl).status(call.target)
        return {"service": call.target, "before": mark(status, call.clock.wall())}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Restart it, unless it was restarted since the plan was made."""
        if self.probe(call, plan) is Probed.DONE:
            return {"service": plan["service"], "restarted": False}
        call.lever("services", ServiceControl).restart(plan["service"])
        return {"service": plan["service"], "restarted": True}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether another run of it is there now; unknown where the status does not tell runs apart."""
        status = call.lever("services", ServiceControl).status(plan["service"])
        return restarted(plan["before"], mark(status, call.clock.wall()))

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """Whether it is up, and another run; not told while it starts."""
        if self.probe(call, plan) is Probed.NOT_DONE:
            return False
        return is_up(call.lever("services", ServiceControl).status(plan["service"]))


@attrs.frozen(kw_only=True)
class CriticalParams:
    """What is critical.

    Args:
        critical_value: a value of the alert at or beyond it is; ``None``: only the severity decides.
        when: ``above``: larger values are worse; ``below``: smaller ones are.
    """

    critical_value: float | None = None
    when: Literal["above", "below"] = attrs.field(default="above", validator=one_of("above", "below"))


class RestartIfCritical(RestartService):
    """Restart the target if the alert is critical, or its value beyond what is given; else there is nothing to do."""

    name = "restart_if_critical"
    params = CriticalParams

    def plan(self, call: ActionCall) -> Plan | Skip:
        """As ``restart_service``, or why not."""
        params: CriticalParams = call.params
        value, limit = call.alert.value, params.critical_value
        if call.alert.severity is not Severity.CRITICAL and not _beyond(value, limit, params.when):
            told = "" if limit is None or math.isnan(value) else f", and {value:g} is not {params.when} {limit:g}"
            return Skip(f"not critical: the alert is {call.alert.severity}{told}")
        return super().plan(call)


def _beyond(value: float, limit: float | None, when: str) -> bool:
    if limit is None:
        return False
    return value >= limit if when == "above" else value <= limit
