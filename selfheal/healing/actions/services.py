"""Actions that restart services."""

from __future__ import annotations

import math
from typing import Literal

import attrs

from selfheal.errors import HealingFailedError
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
from selfheal.healing.actions.service_marks import is_up, mark, restarted, tells_state
from selfheal.levers import Dependencies, ServiceControl
from selfheal.validators import boolean, one_of

_SERVICES = LeverNeed(role="services", protocol=ServiceControl)
_LOOK_EVERY = 0.1
"""Seconds between two looks at a service that is coming up."""


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


@attrs.frozen(kw_only=True)
class DependantsParams:
    """Who is restarted.

    Args:
        include_target: whether the target is, first of all, or only those that depend on it.
    """

    include_target: bool = attrs.field(default=True, validator=boolean)


class RestartDependants(BaseAction):
    """Restart the target and all that depend on it, each after what it depends on itself.

    Each is waited for until its status says that it is up, where it tells, before the next one is restarted.
    """

    name = "restart_dependants"
    effect = Effect.IRREVERSIBLE
    destructive = True
    timeout = 600.0
    needs = (_SERVICES, LeverNeed(role="dependencies", protocol=Dependencies))
    params = DependantsParams
    repeat = Repeat.ONCE

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Who, in which order, and which run of each is to end."""
        params: DependantsParams = call.params
        services, wall = call.lever("services", ServiceControl), call.clock.wall()
        order = [call.target] if params.include_target else []
        order += call.lever("dependencies", Dependencies).dependants(call.target)
        if not order:
            return Skip(f"nothing depends on {call.target}")
        return {"targets": order, "before": {name: mark(services.status(name), wall) for name in order}}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Restart one after the other, but for those restarted since the plan was made.

        Raises:
            HealingFailedError: if one does not come up: those that depend on it are not restarted.
            HealingInterruptedError: if it is cancelled, or its time is over, between two of them.
        """
        services, done = call.lever("services", ServiceControl), list[str]()
        for name in plan["targets"]:
            call.go_on()
            if self._one(call, plan, name) is not Probed.DONE:
                services.restart(name)
                done.append(name)
            self._wait_for(call, name)
        return {"restarted": done}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Done where all are other runs now, not done where none is; else it cannot be told."""
        found = {self._one(call, plan, name) for name in plan["targets"]}
        return found.pop() if len(found) == 1 else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """Whether all are up, and other runs; not told while one starts."""
        services = call.lever("services", ServiceControl)
        if any(self._one(call, plan, name) is Probed.NOT_DONE for name in plan["targets"]):
            return False
        up = [is_up(services.status(name)) for name in plan["targets"]]
        return False if False in up else None if None in up else True

    def _one(self, call: ActionCall, plan: Plan, name: str) -> Probed:
        status = call.lever("services", ServiceControl).status(name)
        return restarted(plan["before"][name], mark(status, call.clock.wall()))

    def _wait_for(self, call: ActionCall, name: str) -> None:
        """Wait until it is up; where its status tells no state there is nothing to wait for."""
        services = call.lever("services", ServiceControl)
        while (up := is_up(status := services.status(name))) is not True and tells_state(status):
            if up is False:
                raise HealingFailedError(f"{name} did not come up after its restart: those after it are not restarted")
            call.go_on()
            call.clock.sleep(_LOOK_EVERY)
