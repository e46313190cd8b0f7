"""Actions that switch: to another provider, a cache on, a cache empty."""

from __future__ import annotations

from typing import Any

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
from selfheal.levers import Caching, Fallback

_CACHE = LeverNeed(role="cache", protocol=Caching)


@attrs.frozen(kw_only=True)
class FallbackParams:
    """Where calls go.

    Args:
        to: name of the provider; empty: the one after the active one.
    """

    to: str = ""


class FallbackLlm(BaseAction):
    """Use another provider. Undone by using the one before again, unless it moved on since."""

    name = "fallback_llm"
    effect = Effect.REVERSIBLE
    timeout = 10.0
    needs = (LeverNeed(role="fallback", protocol=Fallback),)
    params = FallbackParams
    repeat = Repeat.ONCE

    def plan(self, call: ActionCall) -> Plan | Skip:
        """From where to where. Where the lever does not tell its order, the next one has no name yet."""
        params: FallbackParams = call.params
        lever = call.lever("fallback", Fallback)
        active = lever.active
        if params.to == active:
            return Skip(f"{active!r} is in use already")
        return {"from": active, "to": params.to or _after(lever, active)}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Switch, unless it moved since the plan was made.

        Raises:
            FallbackExhaustedError: if there is none after the active one.
            NotFoundError: if there is none of that name.
        """
        lever = call.lever("fallback", Fallback)
        if lever.active != plan["from"]:
            return {"active": lever.active, "switched": False}
        return {"active": lever.switch(plan["to"] or None, reason=_why(call)), "switched": True}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether the planned one is in use; unknown where it is a third one."""
        active = call.lever("fallback", Fallback).active
        if active == plan["from"]:
            return Probed.NOT_DONE
        return Probed.DONE if active == plan["to"] else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether another one than before is in use."""
        return bool(call.lever("fallback", Fallback).active != plan["from"])

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Use the one before again."""
        lever = call.lever("fallback", Fallback)
        ours = plan["to"] or (receipt or {}).get("active", lever.active)
        if lever.active == plan["from"]:
            return None
        if lever.active != ours:
            return f"provider {lever.active!r} is left in use: {ours!r} was chosen, it moved on since"
        lever.switch(plan["from"], reason=f"undone: {_why(call)}")
        return None


def _after(lever: Fallback, active: str) -> str:
    """The provider after the active one, where the lever tells its order; else empty."""
    snapshot: Any = getattr(lever, "snapshot", None)
    order = tuple(getattr(snapshot(), "providers", ())) if callable(snapshot) else ()
    after = order[order.index(active) + 1 :] if active in order else ()
    return str(after[0]) if after else ""


def _why(call: ActionCall) -> str:
    return f"strategy {call.strategy}: {call.alert.kind}"


class EnableCache(BaseAction):
    """Switch the cache on. Undone by switching it off."""

    name = "enable_cache"
    effect = Effect.REVERSIBLE
    timeout = 10.0
    needs = (_CACHE,)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """That it was off."""
        if call.lever("cache", Caching).enabled:
            return Skip("the cache is on already")
        return {"was_enabled": False}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Switch it on.

        Raises:
            LeverUnsupportedError: if it cannot be switched.
        """
        lever = call.lever("cache", Caching)
        lever.enable()
        return {"enabled": lever.enabled}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether it is on."""
        return Probed.DONE if call.lever("cache", Caching).enabled else Probed.NOT_DONE

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether it is on."""
        return call.lever("cache", Caching).enabled

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Switch it off, if it is on."""
        lever = call.lever("cache", Caching)
        if lever.enabled:
            lever.disable()
        return None


class ClearCache(BaseAction):
    """Empty the cache. A directory is never left: see :class:`~selfheal.levers.CacheControl`."""

    name = "clear_cache"
    effect = Effect.IRREVERSIBLE
    timeout = 120.0
    needs = (_CACHE,)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan | Skip:
        """How much there is to clear."""
        held = amounts(call.lever("cache", Caching).size())
        return Skip("the cache is empty") if held.get("entries") == 0 else held

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Clear it; what could not be removed is in the receipt."""
        return amounts(call.lever("cache", Caching).clear())

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Done where it is empty. One that holds something may have been filled again: that cannot be told."""
        held = amounts(call.lever("cache", Caching).size())
        return Probed.DONE if held.get("entries") == 0 else Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """False where something could not be removed; true where it holds less than before; else not told."""
        if receipt.get("failures"):
            return False
        held, before = amounts(call.lever("cache", Caching).size()).get("entries"), plan.get("entries")
        return True if held == 0 or (held is not None and before is not None and held < before) else None


def amounts(told: object) -> dict[str, Any]:
    """The whole numbers of a report: entries, bytes, failures. A bare number is one of entries."""
    if isinstance(told, int) and not isinstance(told, bool):
        return {"entries": told}
    found = {name: getattr(told, name, None) for name in ("entries", "bytes", "failures")}
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
