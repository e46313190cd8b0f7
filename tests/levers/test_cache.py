"""Cache control over caches of every kind."""

from __future__ import annotations

import functools
import threading
from typing import Any

import cachetools
import pytest

from selfheal.errors import ConfigError, LeverUnsupportedError
from selfheal.events import EventBus, LeverMoved
from selfheal.levers import CacheControl, SwitchableCache
from selfheal.testing import FakeClock


@functools.lru_cache(maxsize=10)
def squared(x: int) -> int:
    return x * x


def decorated_by_cachetools(**options: Any) -> Any:
    @cachetools.cached(cachetools.LRUCache(10), **options)
    def doubled(x: int) -> int:
        return 2 * x

    return doubled


@pytest.mark.parametrize(
    "fn", [squared, decorated_by_cachetools(), decorated_by_cachetools(info=True)], ids=["lru", "cachetools", "info"]
)
def test_cached_functions_are_counted_and_cleared(fn: Any) -> None:
    """Functions cached by functools or cachetools are measured and cleared."""
    control = CacheControl("numbers", fn)
    for x in range(3):
        fn(x)

    assert control.size().entries == 3
    report = control.clear()
    assert (report.entries, report.bytes, report.failures) == (3, None, 0)
    assert control.size().entries == 0


@pytest.mark.parametrize(
    "cache", [{}, cachetools.TTLCache(10, 60), cachetools.LFUCache(10)], ids=lambda c: type(c).__name__
)
def test_mappings_are_counted_and_cleared(cache: Any) -> None:
    """Dictionaries and the caches of cachetools are mappings."""
    cache.update(a=1, b=2)
    control = CacheControl("rows", cache)

    assert control.size().entries == 2
    assert control.clear().entries == 2
    assert len(cache) == 0


def test_the_lock_of_a_mapping_is_held() -> None:
    """A mapping that is not safe under threads is touched under the lock that its users take."""
    held: list[bool] = []
    lock = threading.Lock()

    class Rows(dict[str, int]):
        def clear(self) -> None:
            held.append(lock.locked())
            super().clear()

        def __len__(self) -> int:
            held.append(lock.locked())
            return super().__len__()

    control = CacheControl("rows", Rows(a=1), lock=lock)
    control.size()
    control.clear()

    assert held == [True] * 3
    assert not lock.locked()


def test_a_switchable_cache_is_switched() -> None:
    """Enable and disable reach a cache that can be switched by itself."""
    cache = SwitchableCache("prices", enabled=False)
    control = CacheControl("prices", cache)

    assert not control.enabled
    assert control.enable()
    assert not control.enable()
    assert cache.enabled
    assert control.disable()
    assert not cache.enabled
    assert control.size().entries == 0
    assert control.clear().entries == 0


def test_a_switch_of_the_host_is_called() -> None:
    """A cache of another kind is switched by the host's callable, and cleared when it goes off."""
    rows = {"a": 1}
    calls: list[bool] = []
    control = CacheControl("rows", rows, switch=calls.append, enabled=True)

    assert control.disable()
    assert (calls, rows, control.enabled) == ([False], {}, False)
    assert control.enable()
    assert (calls, control.enabled) == ([False, True], True)


def test_what_cannot_be_switched_says_so() -> None:
    """A plain mapping has no switch, and no temporary files."""
    control = CacheControl("rows", {})

    with pytest.raises(LeverUnsupportedError, match="lever 'rows' cannot enable: pass switch= to CacheControl"):
        control.enable()
    with pytest.raises(LeverUnsupportedError, match="cannot disable"):
        control.disable()
    with pytest.raises(LeverUnsupportedError, match="only a directory has them"):
        control.clean_temp()


def test_moves_are_events() -> None:
    """What was done, what came of it, why and who is published."""
    seen: list[LeverMoved] = []
    bus = EventBus()
    bus.subscribe(seen.append, LeverMoved, inline=True)
    control = CacheControl("prices", SwitchableCache(enabled=False), events=bus, clock=FakeClock(wall=5.0))
    control.enable("provider slow", by="healer")
    control.clear()

    assert [(e.kind, e.lever, e.move, e.detail, e.reason, e.by, e.at) for e in seen] == [
        ("cache", "prices", "enable", "", "provider slow", "healer", 5.0),
        ("cache", "prices", "clear", "0 entries", "", "", 5.0),
    ]


@pytest.mark.parametrize(
    ("cache", "options", "told"),
    [
        (5, {}, r"CacheControl\.cache must be a cached function, a switchable cache"),
        ((1, 2), {}, r"CacheControl\.cache must be"),
        ("/tmp/x", {}, r"CacheControl\.root must be given for a directory"),
        ({}, {"switch": 5}, r"switch must be a callable or None"),
        ({}, {"name": ""}, r"name must be text that is not blank"),
    ],
)
def test_bad_settings_are_refused(cache: Any, options: dict[str, Any], told: str) -> None:
    """What cannot be controlled is one clear error."""
    with pytest.raises(ConfigError, match=told):
        CacheControl(**{"name": "x", "cache": cache, **options})


@pytest.mark.parametrize("older_than", [-1, float("nan"), True])
def test_a_bad_age_is_refused(older_than: Any, tmp_path: Any) -> None:
    """An age is 0 or more seconds."""
    with pytest.raises(ConfigError, match="older_than of CacheControl"):
        CacheControl("x", tmp_path, root=tmp_path).clean_temp(older_than)
