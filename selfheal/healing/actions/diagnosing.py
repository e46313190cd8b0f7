"""Actions that look closer: a profile, upstreams, more measurements."""

from __future__ import annotations

from pathlib import Path

import attrs

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
from selfheal.healing.actions.turning import at_most, between_the_two
from selfheal.levers import HealthChecking, Profiling, TighteningMonitoring
from selfheal.validators import between


@attrs.frozen(kw_only=True)
class ProfileParams:
    """How long is looked.

    Args:
        seconds: of looking; give the step a longer ``timeout`` than that.
    """

    seconds: float = attrs.field(default=5.0, validator=between(0.01, 600.0, "s"))


class Profile(BaseAction):
    """Find out what the threads do, into a file. Verified by the file being there."""

    name = "profile"
    effect = Effect.NEUTRAL
    timeout = 60.0
    needs = (LeverNeed(role="profiler", protocol=Profiling),)
    params = ProfileParams

    def plan(self, call: ActionCall) -> Plan:
        """How long."""
        params: ProfileParams = call.params
        return {"seconds": params.seconds}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Look, but not beyond the deadline.

        Raises:
            HealingInterruptedError: if it is cancelled before it began.
            OSError: if it cannot be written.
        """
        call.go_on()
        seconds = min(plan["seconds"], call.deadline - call.clock.monotonic())
        path = call.lever("profiler", Profiling).profile(seconds, f"{call.strategy} {call.target}", call.cancelled)
        return {"path": str(path)}

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether the file is there."""
        return Path(receipt["path"]).is_file()


@attrs.frozen(kw_only=True)
class CheckUpstreamParams:
    """What is checked.

    Args:
        names: of upstreams; empty: all.
    """

    names: tuple[str, ...] = ()


class CheckUpstream(BaseAction):
    """Look whether upstreams and the network are well. That one is not is a finding, no failure of the action."""

    name = "check_upstream"
    effect = Effect.NEUTRAL
    timeout = 60.0
    needs = (LeverNeed(role="upstreams", protocol=HealthChecking),)
    params = CheckUpstreamParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Which."""
        params: CheckUpstreamParams = call.params
        names = list(params.names or call.lever("upstreams", HealthChecking).names())
        return {"names": names} if names else Skip("there is no upstream to check")

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Check one after the other.

        Raises:
            NotFoundError: if there is no check of a name.
        """
        lever, found = call.lever("upstreams", HealthChecking), {}
        for name in plan["names"]:
            call.go_on()
            report = lever.check(name)
            found[name] = {"ok": report.ok, "detail": report.detail, "seconds": round(report.seconds, 3)}
        return {"upstreams": found, "not_well": [name for name, told in found.items() if not told["ok"]]}


@attrs.frozen(kw_only=True)
class TightenParams:
    """How much more often is measured.

    Args:
        factor: what the interval is multiplied by.
        minimum: seconds below which it is not brought.
    """

    factor: float = attrs.field(default=0.25, validator=between(0.001, 1.0))
    minimum: float = attrs.field(default=1.0, validator=between(0.001, 86_400.0, "s"))


class TightenMonitoring(BaseAction):
    """Measure more often. Undone by the old interval."""

    name = "tighten_monitoring"
    effect = Effect.REVERSIBLE
    timeout = 10.0
    needs = (LeverNeed(role="monitoring", protocol=TighteningMonitoring),)
    params = TightenParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """The new interval and the old one."""
        params: TightenParams = call.params
        old = call.lever("monitoring", TighteningMonitoring).interval
        wanted = max(old * params.factor, params.minimum)
        if at_most(old, wanted):
            return Skip(f"it is measured every {old:g} s already")
        return {"interval": wanted, "old_interval": old}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Set it."""
        lever = call.lever("monitoring", TighteningMonitoring)
        lever.set_interval(plan["interval"])
        return {"interval": lever.interval}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Compare the interval with the planned one and the old one."""
        lever = call.lever("monitoring", TighteningMonitoring)
        return between_the_two(lever.interval, plan["old_interval"], plan["interval"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether it is the planned one, or shorter."""
        return at_most(call.lever("monitoring", TighteningMonitoring).interval, plan["interval"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Set the old interval, unless somebody set another one since."""
        lever = call.lever("monitoring", TighteningMonitoring)
        standing = between_the_two(lever.interval, plan["old_interval"], plan["interval"])
        if standing is Probed.UNKNOWN:
            set_to = f"{plan['interval']:g} was set, somebody changed it since"
            return f"the interval is left at {lever.interval:g} s: {set_to}"
        if standing is Probed.DONE:
            lever.set_interval(plan["old_interval"])
        return None
