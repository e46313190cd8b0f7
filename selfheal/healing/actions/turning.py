"""Actions that turn a number, and turn it back: a rate, a count of workers."""

from __future__ import annotations

import math

import attrs

from selfheal.errors import HealingFailedError
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
from selfheal.levers import RateLimiting, Scaling
from selfheal.validators import between


def same(one: float, other: float) -> bool:
    """Whether two numbers are the same, but for what a way through text or a division may change."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def at_most(one: float, other: float) -> bool:
    """Whether a number is the other one or lower, by the same measure."""
    return one < other or same(one, other)


def between_the_two(now: float, old: float, new: float) -> Probed:
    """Whether a number that was to go from ``old`` to ``new`` did; unknown where it is neither."""
    if same(now, new):
        return Probed.DONE
    return Probed.NOT_DONE if same(now, old) else Probed.UNKNOWN


@attrs.frozen(kw_only=True)
class RateLimitParams:
    """By how much calls are slowed down.

    Args:
        factor: what the rate is multiplied by.
        rate: the rate itself, in tokens a second, instead.
        minimum: the rate is not brought below this, however often the action is used.
    """

    factor: float = attrs.field(default=0.5, validator=between(0.001, 1.0))
    rate: float | None = attrs.field(default=None, validator=between(1e-6, 1e9, "a second", optional=True))
    minimum: float = attrs.field(default=1.0, validator=between(1e-6, 1e9, "a second"))


class RateLimit(BaseAction):
    """Let fewer calls through. The burst stays, or follows where the lever derives it from the rate."""

    name = "rate_limit"
    effect = Effect.REVERSIBLE
    timeout = 10.0
    needs = (LeverNeed(role="rate_limiter", protocol=RateLimiting),)
    params = RateLimitParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """The new rate, and the old rate and burst."""
        params: RateLimitParams = call.params
        lever = call.lever("rate_limiter", RateLimiting)
        old = lever.rate
        wanted = params.rate if params.rate is not None else max(old * params.factor, params.minimum)
        if at_most(old, wanted):
            return Skip(f"the rate is {old:g} a second already")
        return {"rate": wanted, "old_rate": old, "old_burst": lever.burst}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Set it."""
        lever = call.lever("rate_limiter", RateLimiting)
        lever.set_rate(plan["rate"])
        return {"rate": lever.rate, "burst": lever.burst}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Compare the rate with the planned one and the old one."""
        return between_the_two(call.lever("rate_limiter", RateLimiting).rate, plan["old_rate"], plan["rate"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether the rate is the planned one, or lower."""
        return at_most(call.lever("rate_limiter", RateLimiting).rate, plan["rate"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Set the old rate and burst, unless somebody set another rate since."""
        lever = call.lever("rate_limiter", RateLimiting)
        standing = between_the_two(lever.rate, plan["old_rate"], plan["rate"])
        if standing is Probed.UNKNOWN:
            return f"the rate is left at {lever.rate:g} a second: {plan['rate']:g} was set, somebody changed it since"
        if standing is Probed.DONE:
            lever.set_rate(plan["old_rate"])
            if not same(lever.burst, plan["old_burst"]):
                lever.set_rate(plan["old_rate"], plan["old_burst"])
        return None


@attrs.frozen(kw_only=True)
class ScaleParams:
    """How many workers there are to be.

    Args:
        by: how many more; fewer below 0.
        to: the number itself, instead.
        at_least: not fewer than this.
        at_most: not more than this. The pool's own bounds hold beside it.
    """

    by: int = attrs.field(default=1, validator=between(-1000, 1000))
    to: int | None = attrs.field(default=None, validator=between(0, 10_000, optional=True))
    at_least: int = attrs.field(default=1, validator=between(0, 10_000))
    at_most: int = attrs.field(default=10_000, validator=between(0, 10_000))


class ScaleWorkers(BaseAction):
    """Have more workers, or fewer, within the pool's bounds."""

    name = "scale_workers"
    effect = Effect.REVERSIBLE
    timeout = 30.0
    needs = (LeverNeed(role="workers", protocol=Scaling),)
    params = ScaleParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """The new number and the old one."""
        params: ScaleParams = call.params
        told = call.lever("workers", Scaling).snapshot()
        wanted = params.to if params.to is not None else told.size + params.by
        wanted = max(min(wanted, params.at_most), params.at_least)
        wanted = max(min(wanted, getattr(told, "maximum", wanted)), getattr(told, "minimum", wanted))
        if wanted == told.size or (params.to is None and (wanted > told.size) != (params.by > 0)):
            return Skip(f"there are {told.size} workers, and the bounds allow no other number")
        return {"size": wanted, "old_size": told.size}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Scale.

        Raises:
            HealingFailedError: if the pool stays at the old number.
        """
        size = call.lever("workers", Scaling).scale(plan["size"])
        if size == plan["old_size"]:
            raise HealingFailedError(
                f"there are still {size} workers, {plan['size']} were wanted: see the pool's bounds"
            )
        return {"size": size}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Compare the number with the planned one and the old one."""
        return between_the_two(call.lever("workers", Scaling).snapshot().size, plan["old_size"], plan["size"])

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether there are to be as many as the pool promised."""
        return bool(call.lever("workers", Scaling).snapshot().size == receipt["size"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Have the old number, unless somebody chose another one since."""
        lever = call.lever("workers", Scaling)
        size = lever.snapshot().size
        if size in (plan["size"], (receipt or plan)["size"]):
            lever.scale(plan["old_size"])
        elif size != plan["old_size"]:
            return f"the number of workers is left at {size}: {plan['size']} was set, somebody changed it since"
        return None
