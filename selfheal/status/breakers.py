"""The breakers a person sees and steers: those of a registry, and the healer's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from selfheal.errors import NotFoundError

if TYPE_CHECKING:
    from selfheal.policies.breaker import BreakerSnapshot, CircuitBreaker


class BreakerSource(Protocol):
    """Where breakers come from: a :class:`~selfheal.policies.breaker.BreakerRegistry`, or alike."""

    def get(self, name: str) -> CircuitBreaker:
        """The breaker of this name, or :class:`~selfheal.errors.NotFoundError`."""

    def snapshots(self) -> Sequence[BreakerSnapshot]:
        """One snapshot a breaker, sorted by name."""


class HasBreaker(Protocol):
    """A healer, as far as it matters here."""

    @property
    def breaker(self) -> CircuitBreaker:
        """The breaker around its healings."""


class KnownBreakers:
    """A registry's breakers and, where the registry has none of its name, the healer's own.

    Without it the breaker that a healer makes for itself would refuse healings out of everybody's sight.

    Args:
        source: the registry; ``None`` takes the one that breakers join when none is named.
        healer: the healer, or ``None``.
    """

    def __init__(self, source: BreakerSource | None, healer: HasBreaker | None) -> None:
        self._source = _default() if source is None else source
        self._healer = healer

    def snapshots(self) -> list[BreakerSnapshot]:
        """One snapshot a breaker, sorted by name."""
        found = {snapshot.name: snapshot for snapshot in self._source.snapshots()}
        if self._healer is not None and self._healer.breaker.name not in found:
            own = self._healer.breaker.snapshot()
            found[own.name] = own
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> CircuitBreaker:
        """The breaker of this name.

        Raises:
            NotFoundError: if there is none; lists those there are.
        """
        try:
            return self._source.get(name)
        except NotFoundError as error:
            if self._healer is None:
                raise
            own = self._healer.breaker
            if own.name == name:
                return own
            raise NotFoundError(error.kind, name, [*error.known, own.name]) from None


def _default() -> BreakerSource:
    from selfheal.policies.breaker import DEFAULT_REGISTRY

    return DEFAULT_REGISTRY
