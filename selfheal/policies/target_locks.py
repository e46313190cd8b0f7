"""No two healings on one target at once. Pure: nobody ever waits here, so nothing can deadlock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between


@attrs.frozen(kw_only=True)
class TargetLocksConfig:
    """How much may be held.

    Args:
        max_targets: targets held at most at once; beyond that nobody gets any more. 1 to 1000000.

    Raises:
        ConfigError: if it is out of range.
    """

    max_targets: int = attrs.field(default=10_000, validator=between(1, 1_000_000))


@attrs.frozen(kw_only=True)
class TargetLocksSnapshot:
    """Who holds what.

    Args:
        holders: target → owner, by name of target.
        refused: how many times targets were asked for that somebody else had.
    """

    holders: Mapping[str, str]
    refused: int


class TargetLocks:
    """Targets held by owners, all that one asks for or none.

    Asking never waits. An owner may ask for more while it holds some: what it has already counts as free for it.
    Not thread-safe: the owner holds a lock.

    Args:
        config: how much may be held.

    >>> locks = TargetLocks()
    >>> locks.acquire(["web-1", "web-2"], "run-1")
    True
    >>> locks.acquire(["web-2", "web-3"], "run-2"), locks.blockers(["web-2", "web-3"], "run-2")
    (False, {'web-2': 'run-1'})
    >>> locks.release("run-1")
    ('web-1', 'web-2')
    """

    def __init__(self, config: TargetLocksConfig | None = None) -> None:
        self.config = config or TargetLocksConfig()
        self._holders: dict[str, str] = {}
        self.refused = 0

    def acquire(self, targets: Iterable[str], owner: str) -> bool:
        """Take all of the targets for an owner, or none.

        Args:
            targets: their names; one twice is one. None at all is always had.
            owner: whose they are then: a run.

        Returns:
            Whether it has them now; ``False`` if another owner has one of them, or there is no room.
        """
        wanted = _names(targets)
        new = [target for target in wanted if target not in self._holders]
        if self.blockers(wanted, owner) or len(self._holders) + len(new) > self.config.max_targets:
            self.refused += 1
            return False
        self._holders.update(dict.fromkeys(new, owner))
        return True

    def blockers(self, targets: Iterable[str], owner: str = "") -> dict[str, str]:
        """Which of the targets another owner has: target → owner, by name of target."""
        return {
            target: holder
            for target in _names(targets)
            if (holder := self._holders.get(target)) is not None and holder != owner
        }

    def release(self, owner: str, targets: Iterable[str] | None = None) -> tuple[str, ...]:
        """Give back what an owner has.

        Args:
            owner: who gives back.
            targets: which of them; ``None``: all. What is somebody else's stays theirs.

        Returns:
            The targets that are free now, by name.
        """
        asked = self._holders if targets is None else _names(targets)
        freed = tuple(sorted(target for target in asked if self._holders.get(target) == owner))
        for target in freed:
            del self._holders[target]
        return freed

    def clear(self) -> None:
        """Forget all: what held them is not in this process."""
        self._holders.clear()

    @property
    def holders(self) -> dict[str, str]:
        """Target → owner, by name of target; a copy."""
        return dict(sorted(self._holders.items()))

    def snapshot(self) -> TargetLocksSnapshot:
        """Who holds what now."""
        return TargetLocksSnapshot(holders=self.holders, refused=self.refused)


def _names(targets: Iterable[str]) -> list[str]:
    """Sorted, each once. A text alone is refused: it would be a list of letters."""
    if isinstance(targets, str):
        raise ConfigError("targets", targets, "a list of names, not one text")
    return sorted(set(targets))
