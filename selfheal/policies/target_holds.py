"""Targets that nobody touches until a person has looked: a healing ended there in doubt. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from selfheal.errors import NotFoundError
from selfheal.policies.signed import Signed
from selfheal.validators import between


@attrs.frozen(kw_only=True)
class TargetHold:
    """A target that is held.

    Args:
        target: its name.
        reason: what is in doubt.
        at: since when, wall-clock seconds since 1970 UTC.
        run: the healing that ended in doubt.
        step: the step of it that is in doubt.
    """

    target: str
    reason: str
    at: float
    run: str = ""
    step: int = 0

    def as_data(self) -> dict[str, Any]:
        """As plain data; ``structure(data, TargetHold)`` makes it again."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class TargetHoldsConfig:
    """How many.

    Args:
        limit: targets that are held by name at most; with more, all targets are held. 1 to 100000.

    Raises:
        ConfigError: if it is out of range.
    """

    limit: int = attrs.field(default=1000, validator=between(1, 100_000))


class TargetHolds:
    """Held targets. Holding is never refused; releasing takes a person. Time releases nothing.

    When more targets would be held than there is room for, *every* target is held until :meth:`release_all`.
    Not thread-safe: the owner holds a lock.

    Args:
        config: how many.

    >>> holds = TargetHolds()
    >>> _ = holds.hold("web-1", "restart in doubt", 1_700_000_000.0)
    >>> holds.check("web-1"), holds.check("web-2")
    ("'web-1' is held: restart in doubt", None)
    >>> holds.release("web-1", by="maria", reason="it runs").target
    'web-1'
    """

    def __init__(self, config: TargetHoldsConfig | None = None) -> None:
        self.config = config or TargetHoldsConfig()
        self._held: dict[str, TargetHold] = {}
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, target: str, reason: str, at: float, *, run: str = "", step: int = 0) -> TargetHold:
        """Hold a target; one that is held already keeps its first reason."""
        made = TargetHold(target=target, reason=reason, at=at, run=run, step=step)
        if target not in self._held and len(self._held) >= self.config.limit:
            self.overflowed = True
            return made
        return self._held.setdefault(target, made)

    def check(self, target: str) -> str | None:
        """Why a target may not be touched; ``None`` if it is not held."""
        held = self._held.get(target)
        if held is not None:
            return f"{target!r} is held: {held.reason}"
        if self.overflowed:
            return f"more than {self.config.limit} targets are held, so all are, {target!r} too"
        return None

    def release(self, target: str, *, by: str, reason: str) -> TargetHold:
        """Let a target be touched again.

        Raises:
            NotFoundError: if it is not held.
            ConfigError: if ``by`` or ``reason`` is blank.
        """
        Signed(by=by, reason=reason)
        if target not in self._held:
            raise NotFoundError("held target", target, self._held)
        return self._held.pop(target)

    def release_all(self, *, by: str, reason: str) -> tuple[TargetHold, ...]:
        """Let all targets be touched again.

        Raises:
            ConfigError: if ``by`` or ``reason`` is blank.
        """
        Signed(by=by, reason=reason)
        released = self.snapshot()
        self._held.clear()
        self.overflowed = False
        return released

    def restore(self, holds: Iterable[TargetHold]) -> None:
        """Take over what was held in an earlier life of the process."""
        for held in holds:
            self.hold(held.target, held.reason, held.at, run=held.run, step=held.step)

    def snapshot(self) -> tuple[TargetHold, ...]:
        """What is held by name, the oldest first."""
        return tuple(self._held.values())
