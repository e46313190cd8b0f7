"""When a resource budget is over, and how long work may be kept waiting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between

_PERCENT = between(0.0, 100.0, "%")
_LONG = 86_400.0


def _limit(default: float) -> float:
    value: float = attrs.field(default=default, validator=_PERCENT)
    return value


@attrs.frozen(kw_only=True)
class BudgetConfig:
    """Limits in percent of what the process may use, and times in seconds.

    Each limit is entered when the smoothed use reaches it, and left when it was at or below the lower one for
    ``hold`` seconds without a break. The first ``smoothing`` seconds of readings enter none: a start is not a load.

    Args:
        cpu_enter: CPU from which on the budget is at SLOW.
        cpu_leave: CPU to which it has to fall for SLOW to end.
        memory_enter: memory from which on the budget is at SLOW.
        memory_leave: memory to which it has to fall for SLOW to end.
        cpu_shed_enter: CPU from which on the budget is at SHED.
        cpu_shed_leave: CPU to which it has to fall for SHED to end.
        memory_shed_enter: memory from which on the budget is at SHED.
        memory_shed_leave: memory to which it has to fall for SHED to end.
        memory_hard: memory (the last reading, not smoothed) from which on nothing is admitted, critical work
            included, for the next step is the kernel's; ``None``: no such limit.
        cpu_hard: the same for CPU. ``None`` by default: no use of CPU ever killed a process.
        smoothing: time constant of the smoothing: after that long a step has come through by 63 %.
        hold: how long a use has to stay low before a level is left.
        stale_after: without a reading for that long nothing is known: the budget is at NORMAL, and says so.
        max_wait: how long work is delayed at most; then it is refused.
        slow_rate: delayed pieces of work that are let through each second at SLOW, most critical and longest waiting
            first.
        shed_rate: the same at SHED.
        ageing: after each so many seconds of waiting, a piece of work counts as one class more critical; as critical,
            it is let through.
        max_waiting: pieces of work that wait at most; more are refused at once.

    Raises:
        ConfigError: if a value is out of range, or a limit is not entered above where it is left.
    """

    cpu_enter: float = _limit(80.0)
    cpu_leave: float = _limit(70.0)
    memory_enter: float = _limit(70.0)
    memory_leave: float = _limit(60.0)
    cpu_shed_enter: float = _limit(90.0)
    cpu_shed_leave: float = _limit(80.0)
    memory_shed_enter: float = _limit(85.0)
    memory_shed_leave: float = _limit(75.0)
    memory_hard: float | None = attrs.field(default=95.0, validator=between(0.0, 100.0, "%", optional=True))
    cpu_hard: float | None = attrs.field(default=None, validator=between(0.0, 100.0, "%", optional=True))
    smoothing: float = attrs.field(default=10.0, validator=between(0.0, 3_600.0, "s"))
    hold: float = attrs.field(default=30.0, validator=between(0.0, 3_600.0, "s"))
    stale_after: float = attrs.field(default=60.0, validator=between(0.1, _LONG, "s"))
    max_wait: float = attrs.field(default=30.0, validator=between(0.0, _LONG, "s"))
    slow_rate: float = attrs.field(default=10.0, validator=between(0.001, 1e6, "a second"))
    shed_rate: float = attrs.field(default=1.0, validator=between(0.001, 1e6, "a second"))
    ageing: float = attrs.field(default=60.0, validator=between(0.1, _LONG, "s"))
    max_waiting: int = attrs.field(default=1_000, validator=between(0, 1_000_000))

    def __attrs_post_init__(self) -> None:
        pairs = [("cpu_leave", "cpu_enter"), ("cpu_shed_leave", "cpu_shed_enter")]
        pairs += [(one.replace("cpu", "memory"), other.replace("cpu", "memory")) for one, other in pairs]
        for low, high in pairs:
            self._below(low, high)
        for low, high in (("cpu_enter", "cpu_shed_enter"), ("memory_enter", "memory_shed_enter")):
            self._below(low, high, or_equal=True)

    def _below(self, low: str, high: str, *, or_equal: bool = False) -> None:
        """Refuse limits in the wrong order: equal ones would make the level flap."""
        below, above = getattr(self, low), getattr(self, high)
        if below > above or (below == above and not or_equal):
            accepted = f"at most BudgetConfig.{high}" if or_equal else f"below BudgetConfig.{high}"
            default = repr(getattr(attrs.fields(BudgetConfig), low).default)
            raise ConfigError(f"BudgetConfig.{low}", below, f"{accepted}, which is {above}", default)


class BudgetOptions(TypedDict, total=False):
    """The fields of :class:`BudgetConfig` as keyword arguments of a budget."""

    cpu_enter: float
    cpu_leave: float
    memory_enter: float
    memory_leave: float
    cpu_shed_enter: float
    cpu_shed_leave: float
    memory_shed_enter: float
    memory_shed_leave: float
    memory_hard: float | None
    cpu_hard: float | None
    smoothing: float
    hold: float
    stale_after: float
    max_wait: float
    slow_rate: float
    shed_rate: float
    ageing: float
    max_waiting: int


def checked_name(value: object, where: str = "ResourceBudget.name") -> str:
    """Accept text that is not blank and has no control characters."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise ConfigError(where, value, "text that is not blank, without control characters")


def checked_seconds(where: str, value: object) -> float:
    """Accept a finite number of seconds, 0 or more."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < math.inf:
        return float(value)
    raise ConfigError(where, value, "0 or more finite seconds")


def checked_directory(where: str, value: object) -> Path:
    """Accept the path of a directory that is there."""
    if isinstance(value, str | Path) and Path(value).is_dir():
        return Path(value)
    raise ConfigError(where, value, "the path of a directory that is there")


def split_name(settings: Any, where: str) -> tuple[dict[str, Any], Any]:
    """The name in plain settings as an argument, where there is one, and the other settings."""
    if not isinstance(settings, Mapping) or "name" not in settings:
        return {}, settings
    rest = {key: value for key, value in settings.items() if key != "name"}
    return {"name": checked_name(settings["name"], f"{where}.name")}, rest


def make_config(cls: type[Any], owner: str, config: Any, options: Any) -> Any:
    """The configuration given, with the options on top.

    Raises:
        ConfigError: if it is of another class, an option is unknown or a value out of range.
    """
    if config is not None and not isinstance(config, cls):
        raise ConfigError(f"{owner}.config", config, f"a {cls.__name__} or None")
    known = [field.name for field in attrs.fields(cls)]
    for option in options:
        if option not in known:
            raise ConfigError(f"an option of {owner}", option, "one of " + ", ".join(known))
    return attrs.evolve(config if config is not None else cls(), **options)
