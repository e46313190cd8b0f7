"""Random scenarios: strategies, limits and what happens, drawn by hypothesis or from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from tests.healing.engine.world import EFFECTS, FATES, OK, USELESS

T = TypeVar("T")

METRICS = ("cpu", "memory", "latency")
TARGETS = ("web", "db", "queue", "cache")
FAULTS = ("fire", "flood")
"""Kinds of alerts that others raise."""

OPS = {
    "ill": 14,
    "well": 4,
    "silent": 2,
    "raise": 8,
    "clear": 4,
    "approve": 8,
    "deny": 2,
    "flag_off": 1,
    "flag_on": 4,
    "sleep": 1,
    "resume": 8,
    "jump": 2,
    "tell_jump": 1,
    "kill": 1,
    "close": 1,
    "full": 2,
    "silence": 2,
    "release": 4,
    "schedule": 4,
    "swap": 1,
    "wait": 8,
}
"""What happens, and how often."""
_OPS = tuple(kind for kind, often in OPS.items() for _ in range(often))


class Source(Protocol):
    """Where random choices come from."""

    def pick(self, options: Sequence[T], /) -> T:
        """One of them."""


@attrs.frozen(kw_only=True)
class Op:
    """Something that happens, and the time after it.

    Args:
        kind: one of :data:`OPS`.
        seconds: until the next.
        metric: it is about.
        target: it is about.
        number: whatever else it needs.
    """

    kind: str
    seconds: float
    metric: str
    target: str
    number: int


@attrs.frozen(kw_only=True)
class Scenario:
    """What an engine is made of.

    Args:
        strategies: as a file has them.
        others: another such set, put in place at times.
        fates: what becomes of actions.
        options: of the engine.
        denied: targets never touched.
        allowed: targets that may be harmed.
        most_unhealthy: targets at once; ``None``: any number.
        inhibited: whether ``fire`` on a target keeps ``flood`` on it back.
        mode: live or dry run.
        keeps_dormancy: whether dormancy outlives the process.
    """

    strategies: list[dict[str, Any]]
    others: list[dict[str, Any]]
    fates: list[str]
    options: dict[str, Any]
    denied: tuple[str, ...]
    allowed: tuple[str, ...]
    most_unhealthy: int | None
    inhibited: bool
    mode: str
    keeps_dormancy: bool

    def spec(self, name: str) -> dict[str, Any]:
        """A strategy by its name."""
        return next(one for one in (*self.strategies, *self.others) if one["name"] == name)


def draw_scenario(source: Source) -> Scenario:
    """A scenario."""
    pick = source.pick
    concurrency = pick((1, 1, 1, 2, 4))
    return Scenario(
        strategies=[_strategy(source, f"s{n}") for n in range(pick((1, 2, 3, 5, 8)))],
        others=[_strategy(source, f"t{n}") for n in range(pick((1, 2)))],
        fates=[pick((OK,) * 6 + (USELESS,) * 4 + FATES) for _ in range(pick((1, 7, 23, 53)))],
        options={
            "actions_per_hour": pick((1, 3, 6, 12, 60)),
            "stale_after": pick((300.0, 1200.0)),
            "auto_critical": pick((False, True)),
            "concurrency": concurrency,
            "history_limit": 30,
            "pending_limit": pick((5, 100)),
            "settle": pick((0.0, 30.0)),
        },
        denied=pick(((), (), ("db",), ("*-twin",), ("web", "cache"))),
        allowed=pick(((), ("*",), ("web", "queue"))),
        most_unhealthy=pick((None, 2, 4)),
        inhibited=pick((False, True)),
        mode=pick(("live", "live", "live", "live", "dry_run")),
        keeps_dormancy=pick((True, False)),
    )


def draw_ops(source: Source, count: int) -> Iterator[Op]:
    """What happens, one after the other."""
    pick = source.pick
    for _ in range(count):
        yield Op(
            kind=pick(_OPS),
            seconds=pick((0.0, 5.0, 60.0, 300.0, 1800.0, 3600.0, 7200.0)),
            metric=pick(METRICS),
            target=pick(TARGETS),
            number=pick(range(8)),
        )


def _strategy(source: Source, name: str) -> dict[str, Any]:
    pick = source.pick
    by = pick(("condition", "condition", "alert", "actions"))
    triggered = by == "condition" or pick((False, True))
    made: dict[str, Any] = {
        "name": name,
        "priority": pick((-5, 0, 0, 5)),
        "severity": pick(("info", "warning", "critical")),
        "grace_period": pick((0.0, 60.0, 300.0, 900.0)),
        "max_attempts_per_hour": pick((1, 2, 3, 10)),
        "settle": pick((0.0, 10.0, 60.0)),
        "verify": {"by": by, "samples": pick((1, 2, 3)), "within": pick((0.0, 30.0, 120.0, 600.0))},
        "rollback": pick((True, True, False)),
        "levels": [
            _level(source, level)
            for level in pick(
                (
                    ("soft",),
                    ("soft",),
                    ("soft", "hard"),
                    ("soft", "critical"),
                    ("critical",),
                    ("soft", "hard", "critical"),
                )
            )
        ],
    }
    if triggered:
        held = pick(("", " for 30s", " for 5m"))
        made["trigger"] = f"{pick(METRICS)} > 80{held} clear 70"
        made["keep_firing_for"] = pick((0.0, 60.0))
    if not triggered or pick((False, True)):
        made["alerts"] = [pick(FAULTS)]
    return made


def _level(source: Source, level: str) -> dict[str, Any]:
    pick = source.pick
    names = [pick(tuple(EFFECTS)) for _ in range(pick((1, 1, 2, 3)))]
    order = ("reversible", "neutral", "irreversible")  # what cannot be undone comes last
    actions = []
    for name in sorted(names, key=lambda one: order.index(EFFECTS[one])):
        step: dict[str, Any] = {"do": name, "on_failure": pick(("rollback", "rollback", "abort", "continue"))}
        if EFFECTS[name] == "reversible" and pick((False, True)):
            step["undo_after"] = pick((0.0, 120.0, 3600.0))
        if name == "tell" and pick((False, True)):
            step["target"] = "shared"
        actions.append(step)
    made: dict[str, Any] = {"level": level, "actions": actions}
    if level == "hard" and pick((False, True)):
        made["when"] = f"{pick(METRICS)} > 85"
    if pick((False, False, False, True)):
        made["approval"] = pick((False, True))
    return made
