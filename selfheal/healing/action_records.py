"""The records of an action queue: its limits, its items, and what there is to see of it."""

from __future__ import annotations

from typing import Generic, TypedDict, TypeVar

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between

T = TypeVar("T")
Key = tuple[str, str]
"""Strategy and target."""

SPAN = 9
"""From the lowest priority, 0, to the highest."""
_moment = between(-1e15, 1e15, "s")


@attrs.frozen(kw_only=True)
class ActionQueueConfig:
    """The limits of a queue.

    Args:
        max_size: items that wait at most; 1 to 10000.
        ttl: seconds that an item waits at most from when it was to be done first; up to a week.
        age_step: seconds of waiting that make up for one step of priority. Nine of them are the bound of waiting: see
            :attr:`ageing_bound`; it must not be longer than ``ttl``.

    Raises:
        ConfigError: if a value is out of range.
    """

    max_size: int = attrs.field(default=100, validator=between(1, 10_000))
    ttl: float = attrs.field(default=300.0, validator=between(0.001, 604_800.0, "s"))
    age_step: float = attrs.field(default=20.0, validator=between(0.0, 86_400.0, "s"))

    def __attrs_post_init__(self) -> None:
        if self.ageing_bound > self.ttl:
            accepted = f"at most a ninth of ttl ({self.ttl / SPAN:g} s): an item must be served before it is too old"
            raise ConfigError("ActionQueueConfig.age_step", self.age_step, accepted, "20.0")

    @property
    def ageing_bound(self) -> float:
        """Seconds after which an item that is due is overtaken by nothing that becomes due then or later."""
        return SPAN * self.age_step


class ActionQueueOptions(TypedDict, total=False):
    """The fields of :class:`ActionQueueConfig` as keyword arguments."""

    max_size: int
    ttl: float
    age_step: float


@attrs.frozen(kw_only=True, eq=False)
class QueuedAction(Generic[T]):
    """An item that waits.

    Args:
        item: what is to be done.
        strategy: that does it.
        target: what it is done to.
        due: when it may be done, monotonic seconds.
        priority: 0 to 9, the highest first.
        added: when it was put first, monotonic seconds.
        expires: when it is too old, monotonic seconds.
        sequence: counts items, from 1.
        scheduled: whether it was not due when it was put.
        deferrals: how many times it was put off.
        reason: why it was put off last.
    """

    item: T
    strategy: str
    target: str
    due: float = attrs.field(validator=_moment)
    priority: int = attrs.field(default=0, validator=between(0, SPAN))
    added: float
    expires: float
    sequence: int
    scheduled: bool = False
    deferrals: int = 0
    reason: str = ""

    @property
    def key(self) -> Key:
        """Strategy and target: at most one item of each pair waits."""
        return (self.strategy, self.target)


@attrs.frozen(kw_only=True)
class ActionQueueSnapshot:
    """What waits, and what came of the others.

    Args:
        size: items that wait.
        max_size: how many may.
        ready: those that are due.
        scheduled: those that are not due yet and were never put off.
        deferred: those that were put off and are not due yet.
        oldest_wait: seconds that the one that is due longest has been due; 0 if none is.
        ttl: seconds that an item waits at most.
        ageing_bound: seconds after which an item that is due is not overtaken any more.
        added: items put so far.
        deduplicated: those that were one with an item that waited.
        refused: those there was no room for.
        taken: those handed out.
        removed: those taken back.
        expired: those that became too old.
        deferrals: how many times one was put off.
    """

    size: int
    max_size: int
    ready: int
    scheduled: int
    deferred: int
    oldest_wait: float
    ttl: float
    ageing_bound: float
    added: int
    deduplicated: int
    refused: int
    taken: int
    removed: int
    expired: int
    deferrals: int


@attrs.define
class Counts:
    """What happened so far; the fields are those of :class:`ActionQueueSnapshot`."""

    added: int = 0
    deduplicated: int = 0
    refused: int = 0
    taken: int = 0
    removed: int = 0
    expired: int = 0
    deferrals: int = 0
