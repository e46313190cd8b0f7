"""What a task queue can be told, with its defaults."""

from __future__ import annotations

import os
from typing import Any, TypedDict

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between, boolean, name, one_of

LOWEST, HIGHEST = 0, 9
"""Priorities: a higher number is served earlier."""
DEFAULT_PRIORITY = 5
SPAN = HIGHEST - LOWEST + 1
"""Ranks that lie between sheddable and default work of the same priority."""
_LONGEST = 366 * 86_400.0


def _path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _a_file(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value.strip() or value == ":memory:" or "\0" in value:
        raise ConfigError("QueueOptions.path", value, "a path to a file, or None for a queue in memory", "None")


@attrs.frozen(kw_only=True)
class QueueOptions:
    """How one task queue behaves.

    Args:
        name: what it is called in errors, events and figures.
        max_size: tasks it holds at most: waiting, delivered and dead ones together. A put beyond is refused.
        visibility: seconds a delivered task stays with its taker without a sign; then it is delivered anew.
        max_deliveries: deliveries after which a task that was never acknowledged is a dead letter.
        age_step: seconds of waiting that are worth one step of priority; 0: first come, first served.
        slow_gap: seconds between deliveries of non-critical work for each step of ``slow_down`` above 1.
        critical_burst: critical deliveries in a row after which one other that is past its ageing bound is
            served, should there be one; ``None``: critical work always goes first.
        shed_for_critical: let the last sheddable task give way when a critical one finds the queue full.
        path: SQLite file that keeps the tasks; ``None``: they live in memory.
        synchronous: with a file: ``full`` survives a loss of power, ``normal`` only the death of
            processes, and is several times as fast.
        poll: seconds between looks for what other processes put into the file, while waiting.

    Raises:
        ConfigError: if a value is not accepted.
    """

    name: str = attrs.field(default="queue", validator=name)
    max_size: int = attrs.field(default=10_000, validator=between(1, 100_000_000))
    visibility: float = attrs.field(default=60.0, validator=between(0.001, _LONGEST, "s"))
    max_deliveries: int = attrs.field(default=5, validator=between(1, 1_000_000))
    age_step: float = attrs.field(default=10.0, validator=between(0.0, 86_400.0, "s"))
    slow_gap: float = attrs.field(default=0.05, validator=between(0.0, 3_600.0, "s"))
    critical_burst: int | None = attrs.field(default=None, validator=between(1, 1_000_000, optional=True))
    shed_for_critical: bool = attrs.field(default=False, validator=boolean)
    path: str | None = attrs.field(default=None, converter=_path, validator=_a_file)
    synchronous: str = attrs.field(default="full", validator=one_of("full", "normal"))
    poll: float = attrs.field(default=0.1, validator=between(0.001, 60.0, "s"))

    @property
    def ageing_bound(self) -> float:
        """Seconds after which nothing non-critical put later goes before a non-critical task, whatever its rank.

        The bound is ``(top rank - lowest rank) * age_step``: priorities 0 to 9, and ten ranks between
        sheddable and default work.
        """
        return (2 * SPAN - 1) * self.age_step


class QueueFields(TypedDict, total=False):
    """The fields of :class:`QueueOptions`, its name apart, as keyword arguments of a queue."""

    max_size: int
    visibility: float
    max_deliveries: int
    age_step: float
    slow_gap: float
    critical_burst: int | None
    shed_for_critical: bool
    path: str | os.PathLike[str] | None
    synchronous: str
    poll: float
