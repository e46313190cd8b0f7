"""What a healer runs: strategies, and plain callables as strategies."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from selfheal.errors import ConfigError, HealingInterruptedError
from selfheal.events import Alert
from selfheal.healing.machine import Refused
from selfheal.healing.records import GuardName

logger = logging.getLogger("selfheal.healing")


class IntervalRegistry(Protocol):
    """What :meth:`Healer.register` needs of a task registry."""

    def register_interval(self, id: str, fn: Callable[[], Any], every: float, /, *, owner: str | None = None) -> object:
        """Have ``fn`` called every so many seconds."""


class HealingContext:
    """What a healing in progress can ask of its healer. Made by the healer, for one healing.

    Args:
        strategy: name of what runs.
        attempt: number of this healing, counted from 1.
        stands: tells what stands against going on, if anything does.
    """

    def __init__(self, strategy: str, attempt: int, stands: Callable[[], Refused | None]) -> None:
        self.strategy = strategy
        self.attempt = attempt
        self._stands = stands
        self._told: Refused | None = None

    @property
    def stopped(self) -> bool:
        """Whether to stop before the next action: a flag was switched off, dormancy entered, or a stop asked for.

        Looked up anew at each question until it is true; from then on it stays true.
        """
        if self._told is None:
            self._told = self._stands()
        return self._told is not None

    @property
    def stop_reason(self) -> str:
        """Why to stop, as told by the last :attr:`stopped` or :meth:`checkpoint`; empty if it said to go on."""
        return "" if self._told is None else self._told.reason

    @property
    def told(self) -> GuardName | None:
        """The guard that this healing was told to stop by; ``None`` if it was not told. Asks nothing."""
        return None if self._told is None else self._told.guard

    def checkpoint(self) -> None:
        """Go on, or not: call it before each action.

        Raises:
            HealingInterruptedError: if the healing has to stop. Let it pass.
        """
        if self.stopped and self._told is not None:
            raise HealingInterruptedError(self._told.guard, self._told.reason)


@runtime_checkable
class Strategy(Protocol):
    """Answers some alerts with a healing."""

    @property
    def name(self) -> str:
        """Unique among the strategies of a healer."""

    def answers(self, alert: Alert) -> bool:
        """Whether this strategy is for this alert. Quick, and without effect."""

    def heal(self, alert: Alert, context: HealingContext) -> object | Awaitable[object]:
        """Heal; plain or ``async``.

        Success is ``None``, ``True`` or a :class:`~selfheal.healing.HealingResult` that says so. Failure
        is ``False``, a result that says so, an exception, or anything else that is returned.
        """


class CallableStrategy:
    """A plain callable as a strategy that answers every alert.

    Args:
        fn: called with as many of ``arguments`` as it takes, at least ``least``.
        name: for records; by default the name of the callable.
        arguments: what is offered, in words.
        least: how many of them it has to take.

    Raises:
        ConfigError: if it is not callable, or takes too few or too many arguments.
    """

    def __init__(
        self,
        fn: Callable[..., object],
        name: str = "",
        *,
        where: str = "Healer.heal",
        arguments: tuple[str, ...] = ("alert", "context"),
        least: int = 1,
    ) -> None:
        self._fn = fn
        self.name = name or getattr(fn, "__qualname__", "") or type(fn).__name__
        self._takes = _takes(fn, where, arguments, least)
        self._offers = arguments

    @property
    def is_async(self) -> bool:
        """Whether the callable is a coroutine function."""
        return is_async(self._fn)

    def answers(self, alert: Alert) -> bool:
        """Every alert."""
        return True

    def heal(self, alert: Alert, context: HealingContext) -> object:
        """Call the callable."""
        offered = {"alert": alert, "context": context}
        return self._fn(*[offered[name] for name in self._offers[: self._takes]])


def strategies_of(heal: object) -> tuple[Strategy, ...]:
    """Take a callable, a strategy, or several strategies.

    Raises:
        ConfigError: if it is something else, there is none, or two have one name.
    """
    if isinstance(heal, Strategy):
        return (heal,)
    if callable(heal):
        return (CallableStrategy(heal),)
    found = tuple(heal) if isinstance(heal, Iterable) and not isinstance(heal, str) else ()
    wrong = [one for one in found if not isinstance(one, Strategy)]
    if not found or wrong:
        accepted = "a callable, a strategy (name, answers, heal), or a sequence of strategies"
        raise ConfigError("Healer.heal", wrong[0] if wrong else heal, accepted)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ConfigError("Healer.heal", names, "strategies of different names")
    return found


def choose(strategies: Iterable[Strategy], alert: Alert) -> tuple[Strategy | None, str]:
    """The first strategy that answers an alert; or why there is none."""
    for strategy in strategies:
        try:
            if strategy.answers(alert):
                return strategy, ""
        except Exception as error:
            logger.exception("strategy %r raised when asked about %s", strategy.name, alert.fingerprint)
            return None, f"strategy {strategy.name!r} could not be asked: {type(error).__name__}: {error}"
    return None, f"no strategy answers {alert.kind!r}"


def is_async(fn: object) -> bool:
    """Whether calling ``fn`` gives something to await: partials and callable objects too."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or (callable(fn) and inspect.iscoroutinefunction(fn.__call__))


def runs_async(strategy: Strategy) -> bool:
    """Whether a strategy heals asynchronously, as far as one can tell before calling it."""
    told = getattr(strategy, "is_async", None)
    return told if isinstance(told, bool) else is_async(strategy.heal)


def _takes(fn: Any, where: str, arguments: tuple[str, ...], least: int) -> int:
    """How many of ``arguments`` to call ``fn`` with.

    One with a default of its own is left alone unless it has the very name: ``def heal(alert, timeout=5)``
    is not given a context for a timeout.
    """
    accepted = f"a callable that takes {' and '.join(arguments)}" + (
        f", or {least} of them" if least else ", or nothing"
    )
    if not callable(fn):
        raise ConfigError(where, fn, accepted)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # some built-ins do not tell
        return len(arguments)
    for count in range(len(arguments), least - 1, -1):
        try:
            bound = signature.bind(*arguments[:count])
        except TypeError:
            continue
        if _meant(signature, bound, arguments[:count], least):
            return count
    raise ConfigError(where, fn, accepted)


def _meant(signature: inspect.Signature, bound: inspect.BoundArguments, given: tuple[str, ...], least: int) -> bool:
    for name, value in bound.arguments.items():
        own = signature.parameters[name].default is not inspect.Parameter.empty
        if own and value in given[least:] and name != value:
            return False
    return True


def preventive_strategy(preventive: Callable[..., object] | Strategy) -> Strategy:
    """What ``Healer.prevent`` runs: a callable taking ``(context)`` or nothing, or a strategy.

    Raises:
        ConfigError: if it is nothing that can heal.
    """
    if isinstance(preventive, Strategy):
        return preventive
    return CallableStrategy(preventive, where="Healer.preventive", arguments=("context",), least=0)
