"""Where an action is tried: a scene, and how what is found there is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from selfheal.clock import Clock
from selfheal.events import Alert
from selfheal.testing.clock import FakeClock
from selfheal.testing.contract import ContractBreachError, require
from selfheal.testing.lever_proxies import LeverBrokenError

MOST_BYTES = 32_768
"""Size of a plan, and of a receipt, as JSON: a journal cuts longer ones, and a cut plan undoes nothing."""


@attrs.frozen(kw_only=True)
class ActionScene:
    """Something for an action to do: fresh levers in which it finds work.

    Args:
        levers: by role.
        look: gives what can be seen of them and matters, as values that can be compared: the rate, not the count of
            how often it was set. Two looks between which nothing was done must be equal.
        target: what it is done to.
        alert: what is answered.
        params: an instance of the action's ``params``; ``None``: made without arguments.
        clock: for all times; by default one that moves when somebody sleeps.
        meddle: changes what the action changed, as a person would; a rollback must leave that alone.
        close: ends what the scene started.
    """

    levers: Mapping[str, object]
    look: Callable[[], object]
    target: str = "api"
    alert: Alert = attrs.field(factory=lambda: Alert(kind="high_latency", target="api", severity="critical"))
    params: Any = None
    clock: Clock = attrs.field(factory=lambda: FakeClock(autojump=True))
    meddle: Callable[[], object] | None = None
    close: Callable[[], object] = lambda: None


def same(before: object, after: object, otherwise: str) -> None:
    """Raise a breach unless two looks show the same."""
    require(before == after, f"{otherwise}: {before!r} -> {after!r}")


def is_json(value: Mapping[str, Any], what: str) -> None:
    """Raise a breach unless a mapping goes through JSON unharmed, and fits into a line of a journal."""
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractBreachError(f"{what} is not made of what JSON has: {error}") from error
    require(json.loads(text) == value, f"{what} comes back from JSON as something else: {value!r} -> {text}")
    require(len(text.encode()) <= MOST_BYTES, f"{what} has {len(text.encode())} bytes as JSON, at most {MOST_BYTES}")


def raises(do: Callable[[], object], otherwise: str) -> None:
    """Raise a breach unless the error of a broken lever comes through, itself or as a cause."""
    try:
        do()
    except LeverBrokenError:
        return
    except Exception as error:
        require(_came_from(error), f"{otherwise}, and raised {type(error).__name__} without it as its cause")
        return
    raise ContractBreachError(otherwise)


def _came_from(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, LeverBrokenError):
            return True
        error = error.__cause__ or error.__context__
    return False
