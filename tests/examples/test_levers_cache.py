"""The cache of bought summaries, and the lever that moves it."""

from __future__ import annotations

import pytest

from examples.reference_app.cache import SummaryCache
from selfheal import EventBus
from selfheal.levers import CacheControl
from selfheal.testing import FakeClock


@pytest.fixture
def cache() -> SummaryCache:
    return SummaryCache(2, enabled=True)


def test_it_keeps_by_text_and_length(cache: SummaryCache) -> None:
    """Another text, or another length, is another summary."""
    cache.keep("text", 1, "one")

    assert cache.get("text", 1) == "one"
    assert cache.get("text", 2) is None
    assert cache.get("text ", 1) is None
    assert cache.hits == 1


def test_it_is_bounded(cache: SummaryCache) -> None:
    """The least recently used goes first."""
    cache.keep("a", 1, "A")
    cache.keep("b", 1, "B")
    cache.get("a", 1)
    cache.keep("c", 1, "C")

    assert (cache.get("a", 1), cache.get("b", 1), cache.get("c", 1)) == ("A", None, "C")
    assert len(cache) == 2


def test_a_summary_is_not_given_out_for_ever() -> None:
    """It goes after its time, however often it was asked for."""
    clock = FakeClock()
    cache = SummaryCache(ttl=600.0, clock=clock)
    cache.keep("a", 1, "A")
    clock.advance(599.0)
    assert cache.get("a", 1) == "A"

    clock.advance(1.0)

    assert (cache.get("a", 1), len(cache), cache.hits) == (None, 0, 1)


def test_switched_off_it_keeps_and_gives_nothing() -> None:
    """Whatever it is offered."""
    cache = SummaryCache(enabled=False)
    cache.keep("a", 1, "A")

    assert cache.get("a", 1) is None
    assert len(cache) == 0


def test_the_lever_moves_it(cache: SummaryCache) -> None:
    """Counted, cleared, switched off and on by a CacheControl; switched off it forgets."""
    control = CacheControl("summaries", cache, events=EventBus())
    cache.keep("a", 1, "A")
    assert control.size().entries == 1

    assert control.clear().entries == 1
    cache.keep("b", 1, "B")
    assert control.disable("a test")
    assert (control.enabled, cache.enabled, len(cache)) == (False, False, 0)
    assert control.enable("a test")
    assert cache.get("b", 1) is None
