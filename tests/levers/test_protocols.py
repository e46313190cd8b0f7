"""The narrow protocols: satisfied by what is shipped, and by a host's own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from selfheal.levers import (
    CacheControl,
    Caching,
    ConsoleNotifier,
    Fallback,
    FallbackSwitch,
    FileNotifier,
    LogNotifier,
    Notifiers,
    Notifying,
    RateLimiting,
    Scaling,
    ServiceControl,
    Snapshotter,
    Snapshotting,
    SwitchableCache,
    TaskRedistribution,
    WebhookNotifier,
    protocols,
)
from selfheal.resources import RateLimiter, TaskQueue
from selfheal.supervision import Supervisor, WorkerPool

SHIPPED = [
    (RateLimiting, RateLimiter),
    (Caching, CacheControl),
    (Caching, SwitchableCache),
    (ServiceControl, Supervisor),
    (Fallback, FallbackSwitch),
    (Scaling, WorkerPool),
    (TaskRedistribution, TaskQueue),
    (Notifying, Notifiers),
    (Notifying, LogNotifier),
    (Notifying, ConsoleNotifier),
    (Notifying, FileNotifier),
    (Notifying, WebhookNotifier),
    (Snapshotting, Snapshotter),
]


@pytest.mark.parametrize(("protocol", "shipped"), SHIPPED, ids=lambda c: c.__name__)
def test_what_is_shipped_has_the_methods(protocol: type, shipped: type) -> None:
    """Each method of the protocol is there, and can be called as the protocol says."""
    for name in members(protocol):
        asked, given = inspect.getattr_static(protocol, name), inspect.getattr_static(shipped, name)
        assert isinstance(given, property) == isinstance(asked, property), name
        if not isinstance(asked, property):
            accepts(inspect.signature(given), inspect.signature(asked))


def members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def accepts(given: inspect.Signature, asked: inspect.Signature) -> None:
    """Raise unless ``given`` takes every call that ``asked`` describes."""
    positional: list[None] = []
    named: dict[str, None] = {}
    for parameter in asked.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = None
        else:
            positional.append(None)
    given.bind(*positional, **named)
    required = [p for p in asked.parameters.values() if p.default is p.empty]
    given.bind(
        *[None for p in required if p.kind is not p.KEYWORD_ONLY],
        **{p.name: None for p in required if p.kind is p.KEYWORD_ONLY},
    )


def test_instances_are_recognised(tmp_path: Path) -> None:
    """``isinstance`` tells what can serve as which lever, and what cannot."""
    limiter, cache = RateLimiter(1), CacheControl("rows", {})

    assert isinstance(limiter, RateLimiting)
    assert isinstance(cache, Caching)
    assert isinstance(SwitchableCache(), Caching)
    assert isinstance(FallbackSwitch("x", {"a": int}), Fallback)
    assert isinstance(TaskQueue(max_size=1), TaskRedistribution)
    assert isinstance(Notifiers({}), Notifying)
    assert isinstance(Snapshotter(tmp_path), Snapshotting)
    assert not isinstance(limiter, Caching)
    assert not isinstance(cache, RateLimiting)


def test_a_host_brings_its_own() -> None:
    """An object with the methods is a lever, without inheriting anything."""

    class Own:
        size = 2

        def snapshot(self) -> Own:
            return self

        def scale(self, n: int) -> int:
            self.size = n
            return n

        def restart(self, name: str) -> Any:
            return name

        def status(self, name: str) -> Any:
            return "up"

    own = Own()
    assert isinstance(own, Scaling)
    assert isinstance(own, ServiceControl)


def test_every_protocol_is_shipped_and_exported() -> None:
    """No protocol is without something that satisfies it, and each can be tested by ``isinstance``."""
    declared = {
        c
        for c in vars(protocols).values()
        if getattr(c, "_is_runtime_protocol", False) and c.__module__ == protocols.__name__
    }

    assert declared == {protocol for protocol, _ in SHIPPED}


def typed(tmp: Path) -> tuple[RateLimiting, list[Caching], ServiceControl, Fallback, Scaling, TaskRedistribution, Any]:
    """Read by the type checker: what is shipped fits its protocol."""
    supervisor: Any = None
    pool: Any = None
    service: Supervisor = supervisor
    workers: WorkerPool = pool
    told: list[Notifying] = [Notifiers({}), LogNotifier(), ConsoleNotifier(), FileNotifier(tmp), WebhookNotifier("")]
    taker: Snapshotting = Snapshotter(tmp)
    caches: list[Caching] = [CacheControl("x", {}), SwitchableCache()]
    switch = FallbackSwitch("x", {"a": int})
    return RateLimiter(1), caches, service, switch, workers, TaskQueue(), (told, taker)
