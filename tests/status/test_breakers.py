"""The breakers a person sees and steers."""

from __future__ import annotations

import pytest

from selfheal.errors import NotFoundError
from selfheal.events import EventBus
from selfheal.healing import Healer
from selfheal.policies.breaker import DEFAULT_REGISTRY, BreakerRegistry, CircuitBreaker
from selfheal.policies.flags import FeatureFlags
from selfheal.status.breakers import KnownBreakers


def _healer(breaker: CircuitBreaker | None = None) -> Healer:
    return Healer(lambda alert: True, flags=FeatureFlags("/nonexistent", {}), breaker=breaker, events=EventBus())


def _registry(*names: str) -> BreakerRegistry:
    registry = BreakerRegistry()
    for name in names:
        CircuitBreaker(name, events=EventBus(), registry=registry)
    return registry


def test_the_healers_own_breaker_is_among_them() -> None:
    """The breaker that a healer makes for itself is listed in its place by name, and found."""
    healer = _healer()
    known = KnownBreakers(_registry("a", "z"), healer)

    assert [snapshot.name for snapshot in known.snapshots()] == ["a", "healer", "z"]
    assert known.get("healer") is healer.breaker
    assert known.get("a").name == "a"


def test_one_that_stands_in_the_registry_is_listed_once() -> None:
    """A breaker that the host put into the registry and gave to the healer is one breaker."""
    registry = _registry("healer")

    assert len(KnownBreakers(registry, _healer(registry.get("healer"))).snapshots()) == 1


def test_an_unknown_name_is_told_with_all_there_are() -> None:
    """The names told include the healer's own breaker, and without a healer only the registry's."""
    with pytest.raises(NotFoundError) as caught:
        KnownBreakers(_registry("a"), _healer()).get("b")
    assert set(caught.value.known) == {"a", "healer"}

    with pytest.raises(NotFoundError) as caught:
        KnownBreakers(_registry("a"), None).get("b")
    assert set(caught.value.known) == {"a"}


def test_without_a_registry_it_is_the_default_one() -> None:
    """Naming no registry means the one that breakers join when none is named."""
    name = "tests.status.known"
    made = CircuitBreaker(name)
    try:
        assert KnownBreakers(None, None).get(name).snapshot().name == made.name
    finally:
        DEFAULT_REGISTRY.remove(name)
