"""Levers with something in between: every pull is noted, and one can be made to fail."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from selfheal.healing.actions import LeverNeed


class LeverBrokenError(Exception):
    """Raised by a lever that a test broke; the message says which move of which."""


class Taps:
    """Stands between an action and its levers.

    A pull is told as ``role.method``. Reading a property is none.
    """

    def __init__(self) -> None:
        self._pulled = collections.Counter[str]()
        self._broken: set[str] = set()

    def pulled(self) -> Mapping[str, int]:
        """Which moves were made, and how often."""
        return dict(self._pulled)

    def forget(self) -> None:
        """Count from nothing."""
        self._pulled.clear()

    def break_off(self, tap: str) -> None:
        """Have one move raise :class:`LeverBrokenError` from now on, without doing anything."""
        self._broken.add(tap)

    def tapped(self, levers: Mapping[str, object], needs: Iterable[LeverNeed]) -> dict[str, object]:
        """The levers that ``needs`` name by a protocol, with this in between; the others as they are."""
        made = dict(levers)
        for need in needs:
            if need.role in levers and getattr(need.protocol, "_is_protocol", False):
                made[need.role] = self._between(need.role, levers[need.role], need.protocol)
        return made

    def _between(self, role: str, lever: object, protocol: type) -> object:
        """An object with the members of the protocol, seen also by those who do not ask ``__getattr__``."""
        members: dict[str, Any] = {"__getattr__": lambda _, name: getattr(lever, name)}
        for name in dir(protocol):
            if name.startswith("_"):
                continue
            if isinstance(getattr(protocol, name, None), property):
                members[name] = property(self._reading(lever, name))
            else:
                members[name] = self._move(f"{role}.{name}", lever, name)
        return type(f"Tapped{protocol.__name__}", (), members)()

    @staticmethod
    def _reading(lever: object, name: str) -> Callable[[object], Any]:
        return lambda _: getattr(lever, name)

    def _move(self, tap: str, lever: object, name: str) -> Callable[..., Any]:
        def move(_: object, *args: Any, **kwargs: Any) -> Any:
            self._pulled[tap] += 1
            if tap in self._broken:
                raise LeverBrokenError(f"{tap} was broken by the test")
            return getattr(lever, name)(*args, **kwargs)

        return move
