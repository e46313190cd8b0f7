"""Actions made of functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from selfheal.errors import ConfigError
from selfheal.healing.actions.checking import refuse_async
from selfheal.healing.actions.protocol import (
    ActionCall,
    Effect,
    LeverNeed,
    NoParams,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
)

F = TypeVar("F", bound=Callable[..., Any])
Runs = Callable[..., Receipt | None]


@attrs.define(eq=False)
class CallableAction:
    """An action whose steps are functions; :meth:`ActionRegistry.action` makes them."""

    name: str
    runs: Runs
    effect: Effect = Effect.IRREVERSIBLE
    destructive: bool = False
    timeout: float = 30.0
    needs: tuple[LeverNeed, ...] = ()
    params: type = NoParams
    repeat: Repeat = Repeat.AGAIN
    steps: dict[str, Callable[..., Any]] = attrs.field(factory=dict, init=False)
    _wants_plan: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._wants_plan = _takes(self.runs, f"action {self.name}") == 2

    def __repr__(self) -> str:
        return f"<action {self.name}>"

    def plan(self, call: ActionCall) -> Plan | Skip:
        """What the function of ``.plan`` says; without one there is nothing to note beforehand."""
        step = self.steps.get("plan")
        made: Plan | Skip = {} if step is None else step(call)
        return made

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        """Call the function, with the plan if it takes one."""
        return self.runs(call, plan) if self._wants_plan else self.runs(call)

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """What the function of ``.probe`` says; without one it cannot be told."""
        step = self.steps.get("probe")
        return Probed.UNKNOWN if step is None else Probed(step(call, plan))

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """What the function of ``.verify`` says; without one it cannot be told."""
        step = self.steps.get("verify")
        holds: bool | None = None if step is None else step(call, plan, receipt)
        return holds

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Call the function of ``.rollback``; without one there is nothing to put back."""
        step = self.steps.get("rollback")
        left: str | None = None if step is None else step(call, plan, receipt)
        return left


class ActionDeclaration:
    """What the decorator leaves in place of the function: it can be called as before, and be given further steps.

    Args:
        action: the action.
    """

    def __init__(self, action: CallableAction) -> None:
        self.action = action
        self.__name__ = action.name
        self.__doc__ = action.runs.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Receipt | None:
        """Call the function itself."""
        return self.action.runs(*args, **kwargs)

    def plan(self, function: F) -> F:
        """Have ``function(call)`` say what will be done, with what is needed to undo it, or :class:`Skip`."""
        return self._step("plan", function, 1)

    def probe(self, function: F) -> F:
        """Have ``function(call, plan)`` say whether it took effect."""
        return self._step("probe", function, 2)

    def verify(self, function: F) -> F:
        """Have ``function(call, plan, receipt)`` say whether its effect holds."""
        return self._step("verify", function, 3)

    def rollback(self, function: F) -> F:
        """Have ``function(call, plan, receipt)`` put things back."""
        return self._step("rollback", function, 3)

    def __repr__(self) -> str:
        return repr(self.action)

    def _step(self, step: str, function: F, takes: int) -> F:
        where = f"action {self.action.name}: {step}"
        if _takes(function, where, takes) != takes:
            raise ConfigError(where, function, f"a function of {takes} arguments")
        self.action.steps[step] = function
        return function


def _takes(function: object, where: str, wanted: int = 2) -> int:
    """How many arguments, at most ``wanted``, a function takes by position.

    Raises:
        ConfigError: if it is none, is async, or needs other arguments.
    """
    if not callable(function):
        raise ConfigError(where, function, "a function")
    refuse_async(function, where)
    signature = inspect.signature(function)
    for number in (wanted, 1):
        try:
            signature.bind(*[None] * number)
        except TypeError:
            continue
        return number
    raise ConfigError(
        where, f"{getattr(function, '__name__', function)}{signature}", f"a function of {wanted} arguments"
    )
