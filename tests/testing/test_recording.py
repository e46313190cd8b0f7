"""Levers in memory: what they remember, and how they are made to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.errors import ConfigError, FallbackExhaustedError, NotFoundError
from selfheal.healing.actions import builtin_actions
from selfheal.levers import Notification
from selfheal.testing import Pull, RecordingLevers


def test_they_serve_all_eleven(tmp_path: Path) -> None:
    """Each of the eleven actions, and those that need no other lever, finds what it asks for."""
    levers = RecordingLevers(tmp_path)
    served = {
        action.name
        for action in builtin_actions()
        if all(isinstance(levers.get(need.role), need.protocol) for need in action.needs)
    }

    assert served >= {
        *("log", "rate_limit", "restart_if_critical", "clear_cache", "restart_service", "fallback_llm", "notify"),
        *("enable_cache", "scale_workers", "redistribute_tasks", "snapshot", "profile", "stop_optional"),
        *("reorder_tasks", "clean_temp"),
    }
    assert "snapshotter" not in RecordingLevers(), "without a directory nothing writes files"


def test_pulls_are_remembered_in_order() -> None:
    """Each pull has lever, move and arguments; they can be forgotten."""
    levers = RecordingLevers()
    levers.cache.enable()
    levers.services.restart("api")

    assert levers.pulls == [Pull("cache", "enable", ()), Pull("services", "restart", ("api",))]
    assert levers.moves() == ["cache.enable", "services.restart"]
    levers.forget()
    assert levers.pulls == []


def test_a_move_fails_until_it_works_again() -> None:
    """A failing move is remembered and changes nothing; others work."""
    levers = RecordingLevers()
    levers.fail("rate_limiter", "set_rate", OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        levers.rate_limiter.set_rate(1.0)
    levers.cache.clear()
    assert (levers.rate_limiter.rate, levers.cache.entries) == (100.0, 0)
    assert levers.moves() == ["rate_limiter.set_rate", "cache.clear"]

    levers.fail("rate_limiter", "set_rate", None)
    levers.rate_limiter.set_rate(1.0, 2.0)
    assert (levers.rate_limiter.rate, levers.rate_limiter.burst) == (1.0, 2.0)


@pytest.mark.parametrize(("lever", "move"), [("nothing", "set_rate"), ("cache", "set_rate"), ("rate_limiter", "rate")])
def test_what_cannot_fail_is_refused(lever: str, move: str) -> None:
    """A misspelt move would make a test that cannot fail."""
    with pytest.raises(ConfigError, match="a lever that is there, and a method of it"):
        RecordingLevers().fail(lever, move, OSError())


def test_each_lever_behaves_as_a_real_one() -> None:
    """A restart gives another process, a scale keeps its bounds, providers come in order, tasks move."""
    levers = RecordingLevers()
    first = levers.services.status("api").pid
    assert levers.services.restart("api").pid != first
    levers.services.stop("api", "test")
    assert levers.services.status("api").state == "STOPPED"
    assert levers.services.running() == ()
    assert [levers.workers.scale(n) for n in (0, 5, 100)] == [1, 5, 8]
    assert [levers.fallback.switch(reason="x") for _ in range(2)] == ["secondary", "local"]
    with pytest.raises(FallbackExhaustedError):
        levers.fallback.switch(reason="x")
    with pytest.raises(NotFoundError):
        levers.fallback.switch("nowhere", reason="x")
    assert levers.fallback.return_to("x") == "primary"
    levers.queue.holders = {"w": 2}
    assert [levers.queue.redistribute("w") for _ in range(2)] == [2, 0]
    levers.queue.ranks = {"api": {1: 5}}
    assert levers.queue.reprioritise(1, priority=9)
    assert not levers.queue.reprioritise(2, priority=9)
    assert levers.queue.priorities("api") == {1: 9}
    assert (levers.cache.enable(), levers.cache.enable(), levers.cache.disable()) == (True, False, True)
    levers.notifier.notify(Notification(title="slow"))
    assert [one.title for one in levers.notifier.notifications] == ["slow"]


def test_further_levers_join_or_replace() -> None:
    """A host's own lever stands beside them, or in place of one."""
    mine = object()
    levers = RecordingLevers(cache=mine, gateway=mine)

    assert levers["cache"] is levers["gateway"] is mine
    assert len(levers) == 11
