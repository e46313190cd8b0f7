"""What an action is: planned, run, probed, verified, undone. It pulls levers of the host."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import attrs

from selfheal.clock import Clock
from selfheal.errors import HealingInterruptedError, LeverUnsupportedError
from selfheal.events import Alert

T = TypeVar("T")


class Effect(enum.StrEnum):
    """What is left of an action when it is to be undone.

    ``REVERSIBLE``: ``rollback`` puts things back. ``IRREVERSIBLE``: nothing does (a restart, an emptied cache).
    ``NEUTRAL``: there is nothing to put back (a notification, a snapshot).
    """

    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"
    NEUTRAL = "neutral"


class Repeat(enum.StrEnum):
    """What running an action again with the same key and plan does.

    ``ONCE``: it sees that it was done and does nothing. ``SAME``: it is done again, and leaves things as once did.
    ``AGAIN``: it is done a second time (a second notification). So one in doubt may be run again unless ``AGAIN``.
    """

    ONCE = "once"
    SAME = "same"
    AGAIN = "again"


class Probed(enum.StrEnum):
    """Whether an action that was cut off took effect."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class LeverNeed:
    """A lever that an action pulls.

    Args:
        role: what the action calls it; the lever of this name is used unless a step names another one.
        protocol: what it has to be able to do; a runtime-checkable protocol.
        optional: whether the action does without.
    """

    role: str
    protocol: type
    optional: bool = False


@attrs.frozen
class Skip:
    """What ``plan`` returns where there is nothing to do.

    Args:
        reason: why, for the journal.
    """

    reason: str


Plan = Mapping[str, Any]
"""What an action is going to do, made of what JSON has: written to the journal before it runs, and enough to probe and
undo it in another process. One that touches more than its target, or others, lists them all under ``targets``, so that
protected ones are seen."""

Receipt = Mapping[str, Any]
"""What an action did, made of what JSON has."""


@attrs.frozen(kw_only=True)
class ActionCall:
    """One use of one action, as it is handed to each of its methods.

    Args:
        key: idempotency key ``run:step``; the same for plan, run, probe, verify and rollback, also after a crash.
        strategy: name of the strategy it belongs to.
        target: what it is done to.
        alert: what is answered.
        params: an instance of the action's ``params`` class.
        levers: by role; an optional one that is not there is missing.
        clock: for all times.
        deadline: monotonic seconds at which it is given up.
        cancelled: tells whether it is to end early; long actions ask now and then.
    """

    key: str
    strategy: str
    target: str
    alert: Alert
    params: Any
    levers: Mapping[str, object]
    clock: Clock
    deadline: float
    cancelled: Callable[[], bool] = lambda: False

    def lever(self, role: str, protocol: Callable[..., T]) -> T:
        """The lever of a role, as what it can do.

        Args:
            role: what the action calls it.
            protocol: a runtime-checkable protocol. (Typed as what makes one: a ``type[T]`` may not be a protocol.)

        Raises:
            LeverUnsupportedError: if there is none, or it is something else. (Loading checks this before.)
        """
        found = self.levers.get(role)
        if not isinstance(protocol, type) or not isinstance(found, protocol):
            asked = getattr(protocol, "__name__", repr(protocol))
            raise LeverUnsupportedError(role, f"serve strategy {self.strategy!r}", f"give one that is a {asked}")
        return cast("T", found)

    def go_on(self) -> None:
        """Asked by an action between two of its steps: whether it may go on.

        Raises:
            HealingInterruptedError: if it is to end early, or its deadline is over.
        """
        if self.cancelled():
            raise HealingInterruptedError("cancelled", f"action {self.key} was cancelled")
        if self.clock.monotonic() >= self.deadline:
            raise HealingInterruptedError("deadline", f"the time of action {self.key} is over")


@attrs.frozen(kw_only=True)
class NoParams:
    """The parameters of an action that takes none."""


@runtime_checkable
class Action(Protocol):
    """One kind of thing that a healing can do.

    A plan reads and changes nothing. ``run`` may be cut off at any point: then ``probe`` tells whether it took effect.
    ``rollback`` works from the plan alone, and may be called for something that never ran, or twice.
    """

    @property
    def name(self) -> str:
        """What strategies call it."""

    @property
    def effect(self) -> Effect:
        """Whether it can be undone."""

    @property
    def destructive(self) -> bool:
        """Whether it ends or removes something; then only allowed targets are touched."""

    @property
    def timeout(self) -> float:
        """Seconds after which it is given up, unless a step says otherwise."""

    @property
    def needs(self) -> tuple[LeverNeed, ...]:
        """The levers it pulls."""

    @property
    def params(self) -> type:
        """A frozen ``attrs`` class; a step's ``params`` are made into one."""

    @property
    def repeat(self) -> Repeat:
        """What running it again with the same key and plan does."""

    def plan(self, call: ActionCall, /) -> Plan | Skip:
        """What would be done, with what is needed to undo it; or that there is nothing to do. Changes nothing."""

    def run(self, call: ActionCall, plan: Plan, /) -> Receipt | None:
        """Do it, or raise."""

    def probe(self, call: ActionCall, plan: Plan, /) -> Probed:
        """After a crash or a timeout: did it take effect?"""

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt, /) -> bool | None:
        """Whether its own effect holds now; ``None`` where that cannot be told. Changes nothing."""

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None, /) -> str | None:
        """Put things back, or raise. ``receipt`` is ``None`` where it is in doubt whether it ran.

        What somebody else changed since is left alone; then what comes back says what and why, for the journal.
        """


def asks(action: Action | None) -> bool:
    """Whether a person must always approve what this action is part of; one that does not say so does not ask."""
    return getattr(action, "asks", False) is True


class BaseAction:
    """An :class:`Action` to build on: sets what most leave as it is.

    A subclass gives at least ``name`` and ``run``; one that is ``REVERSIBLE`` gives ``plan`` and ``rollback``. With
    ``asks = True`` a person must approve each level that it is in, whatever the strategy and the engine say.
    """

    name: ClassVar[str]
    effect: ClassVar[Effect] = Effect.IRREVERSIBLE
    destructive: ClassVar[bool] = False
    timeout: ClassVar[float] = 30.0
    needs: ClassVar[tuple[LeverNeed, ...]] = ()
    params: ClassVar[type] = NoParams
    repeat: ClassVar[Repeat] = Repeat.AGAIN
    asks: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"<action {getattr(self, 'name', type(self).__name__)}>"

    def plan(self, call: ActionCall) -> Plan | Skip:
        """Nothing to note beforehand."""
        return {}

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        """Do it, or raise."""
        raise NotImplementedError(f"{type(self).__name__}.run")

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Cannot be told."""
        return Probed.UNKNOWN

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """Cannot be told."""
        return None

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Nothing to put back."""
        return None
