"""Why a strategy does not heal a target now, or that it would."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from selfheal.conditions import describe
from selfheal.events import Alert
from selfheal.healing.healer import Healer
from selfheal.healing.machine import Refused
from selfheal.healing.strategies.specs import StrategySpec


@attrs.frozen(kw_only=True)
class Explanation:
    """The answer to "why not?".

    Args:
        strategy: name.
        target: what it would heal.
        would_heal: whether it would begin now.
        problem: whether there is anything to heal, in words.
        open: whether there is.
        refusals: everything that stands against it, in the order in which the guards are asked.
        under_way: whether it is healing it right now.
    """

    strategy: str
    target: str
    would_heal: bool
    problem: str
    open: bool
    refusals: tuple[Refused, ...] = ()
    under_way: bool = False

    def __str__(self) -> str:
        named = f"{self.strategy} on {self.target or 'the host'}"
        if self.under_way:
            return f"{named}: is being healed now"
        answer = "would be healed now" if self.would_heal else "is not healed now"
        lines = [f"{named}: {answer}", f"  problem: {self.problem}"]
        for refused in self.refusals:
            wait = "" if refused.retry_in is None else f" (may pass in {refused.retry_in:.0f} s)"
            lines.append(f"  {refused.guard}: {refused.reason}{wait}")
        return "\n".join(lines)


def problem_of(spec: StrategySpec, open_kinds: list[str]) -> str:
    """What there is to heal, or what would have to be there."""
    if open_kinds:
        return f"alert {', '.join(map(repr, sorted(set(open_kinds))))} is open"
    awaited = [f"alert {kind!r}" for kind in spec.alerts]
    if spec.trigger is not None:
        awaited.insert(0, f"its trigger, {describe(spec.trigger)}")
    return f"none: {' or '.join(awaited)} does not fire"


def explained(healer: Healer, spec: StrategySpec, target: str, open_alerts: Iterable[Alert]) -> Explanation:
    """Ask everything that is asked before a healing begins, and begin none.

    Args:
        healer: whose guards are asked.
        spec: the strategy.
        target: what it would heal.
        open_alerts: all that are open.
    """
    found = next(one for one in healer.strategies if one.name == spec.name)
    mine = [alert for alert in open_alerts if alert.target == target and found.answers(alert)]
    alert = mine[0] if mine else Alert(kind=spec.name, target=target)
    under_way = healer.heals(alert.fingerprint)
    refusals = () if under_way else tuple(healer.refusals(alert, found))
    return Explanation(
        strategy=spec.name,
        target=target,
        would_heal=bool(mine) and not refusals and not under_way,
        problem=problem_of(spec, [one.kind for one in mine]),
        open=bool(mine),
        refusals=refusals,
        under_way=under_way,
    )
